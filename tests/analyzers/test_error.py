"""Error norms against NumPy by hand, and the analyzer on a real run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.analyzers.error import Error, maximum, relative_l2
from pinn.core import Reference


@given(st.integers(0, 100), st.floats(1e-10, 1e10))
def test_relative_l2_by_hand_and_scale_free(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    u, v = generator.normal(size=(2, 4, 5))
    total = sum((a - b) ** 2 for a, b in zip(u.flat, v.flat, strict=True))
    expected = np.sqrt(total) / np.sqrt(sum(b**2 for b in v.flat))
    assert relative_l2(u, v) == pytest.approx(expected, rel=1e-12)
    assert relative_l2(scale * u, scale * v) == pytest.approx(expected, rel=1e-9)
    assert maximum(u, v) == max(abs(a - b) for a, b in zip(u.flat, v.flat, strict=True))
    assert maximum(scale * u, scale * v) == pytest.approx(scale * maximum(u, v), rel=1e-9)


def test_known_values() -> None:
    assert relative_l2(np.array([3.0, 0.0]), np.array([3.0, 4.0])) == 0.8
    assert relative_l2(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert maximum(np.array([1.0, -7.0]), np.array([1.5, 2.0])) == 9


def test_a_zero_reference_has_the_absolute_norm() -> None:
    assert relative_l2(np.array([3.0, 4.0]), np.zeros(2)) == 5
    assert relative_l2(np.zeros(2), np.zeros(2)) == 0


class Fixed:
    """A view of given fields."""

    def __init__(self, reference: dict[str, Any] | None, prediction: dict[str, Any]) -> None:
        self.reference = None if reference is None else Reference({}, reference)
        self.prediction = prediction


def test_every_observable_that_has_a_reference_is_measured_and_the_first_is_the_headline() -> None:
    view: Any = Fixed(
        {"v": np.array([2.0]), "speed": np.array([4.0]), "w": np.array([1.0])},
        {"speed": np.array([5.0]), "extra": np.array([0.0]), "v": np.array([4.0])},
    )
    assert Error().measure(view) == {
        "rel_l2": 0.25,
        "rel_l2.speed": 0.25,
        "linf.speed": 1.0,
        "rel_l2.v": 1.0,
        "linf.v": 2.0,
    }


@pytest.mark.parametrize("reference", [None, {}, {"other": np.ones(1)}])
def test_without_a_reference_nothing_is_measured(reference: dict[str, Any] | None) -> None:
    view: Any = Fixed(reference, {"u": np.ones(1)})
    assert Error().measure(view) == {}
