from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pinn_gradient_conflict import GradientConflict, cosine

from pinn.core import BatchGradients
from pinn.testing import (
    arrays,
    check_agreement,
    check_analyzer,
    check_bounds,
    check_invariant,
    duplicated,
    permuted,
    scaled,
    sign_flipped,
)

Pair = NDArray[np.float64]


def of_columns(pair: Pair) -> float:
    """Of the first and the last column."""
    return cosine(pair[:, 0], pair[:, -1])


def test_it_is_a_sound_analyzer() -> None:
    check_analyzer(GradientConflict)


def test_the_cosine_is_between_minus_one_and_one() -> None:
    check_bounds(of_columns, arrays(2), low=-1, high=1)


@pytest.mark.parametrize("change", [scaled, permuted(0), duplicated(0), sign_flipped(0)])
def test_the_cosine_does_not_depend_on_scale_order_or_signs_of_parameters(change: Any) -> None:
    check_invariant(of_columns, change, arrays(2))


def test_the_cosine_does_not_depend_on_the_scale_of_either_gradient() -> None:
    def one_scaled(pair: Pair, generator: np.random.Generator) -> Pair:
        return pair * 2.0 ** generator.integers(-500, 500, size=pair.shape[1])

    check_invariant(of_columns, one_scaled, arrays(2, least=2))


def test_the_cosine_agrees_with_its_formula() -> None:
    def naive(pair: Pair) -> float:
        a, b = pair[:, 0], pair[:, -1]
        lengths = math.sqrt(sum(a * a)) * math.sqrt(sum(b * b))
        return sum(a * b) / lengths if lengths else math.nan

    check_agreement(of_columns, naive, arrays(2))


def measured(pde: list[float], conditions: list[float]) -> dict[str, float]:
    """Of gradients in two parameters, of shapes (2,) and (1, 1)."""

    def split(gradient: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(gradient[:2]), torch.tensor([gradient[2:]])

    a, b = split(pde)
    gradients = BatchGradients(("bias", "weight"), (a[None], b[None]), split(conditions))
    view: Any = SimpleNamespace(batch_gradients=lambda batches: {1: gradients}[batches])
    return dict(GradientConflict().measure(view))


def test_all_parameters_count() -> None:
    found = measured([1.0, 2.0, 2.0], [0.0, 0.0, -1.5])
    assert found == pytest.approx({"gradient_cosine": -2 / 3, "gradient_ratio": 2.0})


def test_without_conditions_nothing_is_defined() -> None:
    assert all(map(math.isnan, measured([1.0, 2.0, 2.0], [0.0, 0.0, 0.0]).values()))
