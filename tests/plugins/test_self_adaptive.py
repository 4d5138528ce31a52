"""Weights that climb the loss."""

from __future__ import annotations

import torch
from hypothesis import given, strategies as st

from pinn.plugins.weightings.self_adaptive import SelfAdaptive


@given(st.integers(0, 100), st.floats(1e-4, 0.1))
def test_a_step_is_one_of_gradient_ascent(seed: int, rate: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(2, 9, generator=generator, dtype=torch.float64).requires_grad_()
    residuals = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    part = SelfAdaptive(rate=rate)
    (slope,) = torch.autograd.grad(part.contributions(weights, residuals).sum(), weights)
    with torch.no_grad():
        torch.testing.assert_close(part.update(weights, residuals), weights + rate * slope)


def test_weights_end_at_the_most() -> None:
    weights = torch.ones(1, 2, dtype=torch.float64)
    for _ in range(100):
        weights = SelfAdaptive(most=7.0).update(weights, torch.tensor([[0.0, 1e3]]).double())
    assert weights.tolist() == [[1.0, 7.0]]
