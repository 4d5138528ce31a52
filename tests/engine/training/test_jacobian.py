"""Weighted residuals and their Jacobian, against the loss, its gradient, and torch's own Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]
WEIGHTINGS = st.sampled_from(
    [
        Vanilla(),
        Vanilla(joint=True),
        ResidualBasedAttention(joint=True),
        ResidualBasedAttention(loss="weight*residual^2"),
    ]
)
FACTORS = st.dictionaries(
    st.sampled_from(["first", "second", "initial", "walls"]),
    st.sampled_from([0.0, 0.5, 3.0, 100.0]),
)


def joined(blocks: Any) -> tuple[Tensor, Tensor]:
    residuals, jacobians = zip(*blocks, strict=True)
    return torch.cat(residuals), torch.cat(jacobians)


@given(st.integers(0, 100), WEIGHTINGS, FACTORS, st.sampled_from([1, 4, 5, 13, 1000]))
def test_they_belong_to_the_loss_and_its_gradient(
    make_case: MakeCase, seed: int, weighting: Any, factors: dict[str, float], rows: int
) -> None:
    """loss = ‖ρ‖², gradient = 2 Jᵀρ, in blocks of any size, under any weights and factors."""
    case = make_case(seed)
    weights = case.some_weights(seed)
    objective = case.objective(weighting, factors)
    evaluation = objective.evaluate(case.parameters, case.points, weights, update=False)
    residuals = objective.weighted_residuals(case.parameters, case.points, weights)
    again, jacobian = joined(objective.jacobian(case.parameters, case.points, weights, rows))
    gradient = torch.cat([g.flatten() for g in evaluation.gradient])
    scale = 1 + float(gradient.abs().max())
    torch.testing.assert_close(residuals @ residuals, evaluation.loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(again, residuals, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(2 * jacobian.T @ again, gradient, rtol=1e-9, atol=1e-11 * scale)


@given(st.integers(0, 100))
def test_rows_are_derivatives_of_residuals(make_case: MakeCase, seed: int) -> None:
    case = make_case(seed)
    objective = case.objective(Vanilla())
    weights = torch.ones(2, len(case.points.interior), dtype=torch.float64)
    _, jacobian = joined(objective.jacobian(case.parameters, case.points, weights, 6))
    count = len(case.points.interior)

    def equations(*parameters: Tensor) -> Tensor:
        found: Tensor = objective.interior_residuals(parameters, case.points.interior)
        return found / count**0.5

    slopes = torch.autograd.functional.jacobian(equations, case.parameters)
    expected = torch.cat([s.flatten(2) for s in slopes], 2)
    rows = jacobian[: 2 * count].reshape(count, 2, -1).movedim(1, 0)
    torch.testing.assert_close(rows, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("chunk", [0, 5])
def test_chunks_change_nothing(make_case: MakeCase, chunk: int) -> None:
    case = make_case(0)
    weights = case.some_weights(0)
    found = case.objective(ResidualBasedAttention(), chunk=chunk)
    whole = case.objective(ResidualBasedAttention())
    torch.testing.assert_close(
        found.weighted_residuals(case.parameters, case.points, weights),
        whole.weighted_residuals(case.parameters, case.points, weights),
        rtol=1e-13,
        atol=1e-14,
    )


def test_a_point_of_weight_zero_has_a_row_of_zeros(make_case: MakeCase) -> None:
    """Where a square root has no slope."""
    case = make_case(0)
    weights = case.some_weights(0)
    weights[:, 3] = 0
    objective = case.objective(ResidualBasedAttention())
    residuals, jacobian = joined(objective.jacobian(case.parameters, case.points, weights, 100))
    assert not residuals[6:8].any()
    assert not jacobian[6:8].any()
    assert torch.isfinite(jacobian).all()


def test_they_leave_no_gradient_behind(make_case: MakeCase) -> None:
    case = make_case(0)
    weights = case.some_weights(0)
    objective = case.objective(Vanilla())
    residuals, jacobian = joined(objective.jacobian(case.parameters, case.points, weights, 100))
    assert not residuals.requires_grad
    assert not jacobian.requires_grad
    assert not objective.weighted_residuals(case.parameters, case.points, weights).requires_grad
    assert all(parameter.grad is None for parameter in case.parameters)
