"""Causal weights, against their formula."""

from __future__ import annotations

import math

import pytest
import torch

from pinn.core import PinnError
from pinn.plugins.weightings.causal import Causal
from pinn.testing import check_weighting


def examples(count: int, equations: int = 1) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Points in no order, and their residuals."""
    generator = torch.Generator().manual_seed(count)
    t = 3 + 2 * torch.rand(count, generator=generator, dtype=torch.float64)
    residuals = torch.randn(equations, count, generator=generator, dtype=torch.float64)
    return {"x": torch.zeros_like(t), "t": t}, residuals


def weights(
    causal: Causal, points: dict[str, torch.Tensor], residuals: torch.Tensor
) -> torch.Tensor:
    return causal.update_at(points, torch.ones_like(residuals), residuals, torch.zeros(()))


def test_it_is_a_sound_weighting() -> None:
    check_weighting(Causal)


@pytest.mark.parametrize("slices", [2, 7, 40])
@pytest.mark.parametrize("equations", [1, 3])
def test_the_weights_agree_with_the_formula(slices: int, equations: int) -> None:
    """Written out point by point; some of the 40 slices have no points."""
    points, residuals = examples(50, equations)
    t = points["t"].tolist()
    length = (max(t) - min(t)) / slices
    slice_of = [min(int((time - min(t)) / length), slices - 1) for time in t]
    squares: dict[int, list[float]] = {k: [] for k in range(slices)}
    for k, square in zip(slice_of, (residuals**2).sum(0).tolist(), strict=True):
        squares[k].append(square)
    losses = [sum(s) / len(s) if s else 0.0 for s in squares.values()]
    expected = [math.exp(-0.3 * sum(losses[:i])) for i in slice_of]
    found = weights(Causal(epsilon=0.3, slices=slices), points, residuals)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_later_points_never_weigh_more() -> None:
    points, residuals = examples(200)
    in_order = weights(Causal(), points, residuals)[points["t"].argsort()]
    assert in_order[0] == 1
    assert (in_order.diff() <= 0).all()


def test_a_solved_past_or_no_epsilon_let_all_points_count_the_same() -> None:
    points, residuals = examples(30)
    assert (weights(Causal(), points, 0 * residuals) == 1).all()
    assert (weights(Causal(epsilon=0.0), points, residuals) == 1).all()


def test_the_loss_is_the_weight_times_the_square() -> None:
    residuals = torch.tensor([[3.0, -2.0]])
    assert Causal().contributions(torch.tensor([0.5, 1.0]), residuals).tolist() == [[4.5, 4.0]]


def test_another_coordinate_can_be_time() -> None:
    points, residuals = examples(30)
    renamed = {"x": points["x"], "tau": points["t"]}
    found = weights(Causal(time="tau"), renamed, residuals)
    assert torch.equal(found, weights(Causal(), points, residuals))
    with pytest.raises(PinnError, match="there is no coordinate 't'; the domain has x, tau"):
        weights(Causal(), renamed, residuals)
