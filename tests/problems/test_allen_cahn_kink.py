"""The kink of Allen-Cahn's initial values at x = ±1, of which the exact ansatz knows what becomes."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from hypothesis import given, strategies as st

from pinn.problems.allen_cahn import AllenCahn, initial

PROBLEM = AllenCahn(hard=True)


@given(st.floats(-6, 6), st.floats(0.001, 1))
def test_it_diffuses_and_decays_as_the_equation_near_minus_one_says(
    scaled: float, t: float
) -> None:
    """w_t = D w_xx − 2 R w, at distances of some widths √(4 D t)."""
    d = torch.tensor(scaled * 0.02 * t**0.5, dtype=torch.float64, requires_grad=True)
    time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    w = PROBLEM.diffused_kink(d, time)
    w_t, w_d = torch.autograd.grad(w, (time, d), create_graph=True)
    (w_dd,) = torch.autograd.grad(w_d, d)
    size = abs(w_t) + abs(2 * PROBLEM.reaction * w)
    left = w_t - PROBLEM.diffusivity * w_dd + 2 * PROBLEM.reaction * w
    assert abs(left) < 1e-9 * size


def test_the_initial_values_hold_exactly_and_the_periodic_solution_is_smooth_afterwards() -> None:
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    zero = SimpleNamespace(x=x, t=torch.zeros_like(x), u=torch.randn_like(x))
    torch.testing.assert_close(PROBLEM.ansatz(zero)["u"], initial(x), rtol=0, atol=1e-8)

    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64, requires_grad=True)
    later = SimpleNamespace(x=ends, t=torch.full((2,), 0.01, dtype=torch.float64), u=0 * ends)
    (slope,) = torch.autograd.grad(PROBLEM.ansatz(later)["u"].sum(), ends)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-8)
