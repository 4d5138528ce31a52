"""Error norms against NumPy by hand, and the analyzer on a real run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.analyzers.error import Error, maximum, relative_l2, root_mean_square
from pinn.core import Curves, Reference
from pinn.core.records import Records


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


def test_a_zero_reference_has_no_relative_error() -> None:
    assert math.isnan(relative_l2(np.array([3.0, 4.0]), np.zeros(2)))
    assert root_mean_square(np.array([1.0, 7.0]), np.zeros(2)) == 5


def test_where_the_reference_is_not_known_nothing_is_counted() -> None:
    u, known = np.array([3.0, 0.0, 9.0]), np.array([3.0, 4.0, np.nan])
    assert relative_l2(u, known) == 0.8
    assert maximum(u, known) == 4
    assert root_mean_square(u, known) == pytest.approx(np.sqrt(8))
    assert math.isnan(relative_l2(np.array([np.nan, 0.0, 0.0]), known))


@pytest.mark.parametrize("zero", [0.0, 1e-16, -1e-15])
def test_a_field_whose_reference_is_zero_has_an_absolute_error_under_its_own_name(
    zero: float, tmp_path: Path
) -> None:
    reference = {"v": np.full(4, zero), "u": np.array([1.0, 0.0, 0.0, 0.0])}
    view: Any = Fixed(reference, {"v": np.full(4, 0.5), "u": np.array([1.5, 0.0, 0.0, 0.0])})
    found = Error().measure(view)
    assert found.keys() == {"rel_l2", "rel_l2.u", "rms.v", "linf.v", "linf.u"}
    assert found["rel_l2"] == found["rel_l2.u"] == 0.5
    assert found["rms.v"] == pytest.approx(0.5)
    records = Records(tmp_path / "metrics.jsonl")
    records.add(1, found, "error")
    first, second = Error().figures(records)
    assert isinstance(first, Curves)
    assert isinstance(second, Curves)
    assert first.quantities == {"rel_l2.u": "u"}
    assert second.quantities == {"rms.v": "v"}
    assert "v, whose reference is zero" in second.title


def test_a_small_field_is_not_zero_and_a_field_that_is_zero_alone_has_no_headline() -> None:
    small: Any = Fixed(
        {"u": np.ones(2), "c": np.full(2, 1e-12)}, {"u": np.ones(2), "c": np.zeros(2)}
    )
    assert Error().measure(small)["rel_l2.c"] == 1
    alone: Any = Fixed({"u": np.full(2, 1e-150)}, {"u": np.zeros(2)})
    assert Error().measure(alone)["rel_l2"] == 1
    nothing: Any = Fixed({"u": np.zeros(2)}, {"u": np.ones(2)})
    assert Error().measure(nothing) == {"rms.u": 1.0, "linf.u": 1.0}


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
