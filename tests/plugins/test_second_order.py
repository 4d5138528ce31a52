"""Optimizers that see residuals and their Jacobian: exact steps, invariants, dead ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from pinn.plugins.optimizers.gauss_newton import GaussNewton
from pinn.plugins.optimizers.inverse_hessian import TOGETHER, InverseHessian, scalings
from pinn.plugins.optimizers.self_scaled import SelfScaledBFGS, SelfScaledBroyden

SELF_SCALED = [SelfScaledBFGS, SelfScaledBroyden]
SEEDS = st.integers(0, 2**32 - 1)


class Least:
    """Least squares of a function of x, as a closure: ρ, its Jacobian, ‖ρ‖² and its gradient."""

    def __init__(self, function: Callable[[Tensor], Tensor], start: Tensor) -> None:
        self.function = function
        self.x = start.clone().requires_grad_()
        self.asked = 0

    def __call__(self) -> Tensor:
        self.asked += 1
        loss = (self.function(self.x) ** 2).sum()
        (self.x.grad,) = torch.autograd.grad(loss, self.x)
        return loss.detach()

    def residuals(self) -> Tensor:
        return self.function(self.x).detach()

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors)

    def jacobian(
        self, rows: int = 1024, once: bool = False, own: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        found = torch.func.jacrev(self.function)(self.x.detach())
        yield from zip(self.residuals().split(rows), found.split(rows), strict=True)

    def minimised(self, part: Any, steps: int) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = part.build([self.x])
        for _ in range(steps):
            optimizer.step(self)  # type: ignore[arg-type]
        return optimizer


def linear(seed: int, residuals: int, unknowns: int) -> tuple[Tensor, Tensor, Least]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(residuals, unknowns, generator=generator, dtype=torch.float64)
    right = torch.randn(residuals, generator=generator, dtype=torch.float64)
    start = torch.randn(unknowns, generator=generator, dtype=torch.float64)
    return matrix, right, Least(lambda x: matrix @ x - right, start)


def rosenbrock(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


START = torch.tensor([-1.2, 1.0], dtype=torch.float64)


# --- Gauss-Newton


@given(SEEDS, st.integers(1, 12), st.integers(1, 12))
@settings(deadline=None)
def test_one_step_solves_a_linear_problem(seed: int, residuals: int, unknowns: int) -> None:
    matrix, right, problem = linear(seed, residuals, unknowns)
    best = float(((matrix @ torch.linalg.lstsq(matrix, right).solution - right) ** 2).sum())
    condition = float(torch.linalg.cond(matrix))
    problem.minimised(GaussNewton(damping=1e-12), 1)
    assert float(problem()) <= best + 1e-8 * (1 + best) * condition**2


@given(SEEDS, st.floats(1e-6, 1e3))
@settings(deadline=None)
def test_the_small_and_the_large_system_make_the_same_step(seed: int, damping: float) -> None:
    """(JᵀJ + λI)⁻¹Jᵀ = Jᵀ(JJᵀ + λI)⁻¹; rows of zeros change neither."""
    matrix, right, wide = linear(seed, 4, 6)
    padded = torch.cat([matrix, matrix.new_zeros(4, 6)])
    zeros = torch.cat([right, right.new_zeros(4)])
    tall = Least(lambda x: padded @ x - zeros, wide.x.detach())
    for problem in (wide, tall):
        problem.minimised(GaussNewton(damping=damping), 1)
    torch.testing.assert_close(wide.x, tall.x, rtol=1e-6, atol=1e-8)


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(deadline=None)
def test_the_scale_of_the_loss_changes_nothing(seed: int, factor: float) -> None:
    for part in (GaussNewton(), SelfScaledBFGS(), SelfScaledBroyden()):
        ends = []
        for scale in (1.0, factor):
            problem = Least(lambda x, s=scale: s * rosenbrock(x), START)
            problem.minimised(part, 5)
            ends.append(problem.x.detach())
        torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-8)


def test_blocks_of_rows_change_nothing() -> None:
    ends = []
    for rows in (1, 3, 100):
        problem = linear(0, 10, 4)[2]
        problem.minimised(GaussNewton(rows=rows), 1)
        ends.append(problem.x.detach())
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ends[1], ends[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("part", [GaussNewton(), SelfScaledBFGS(), SelfScaledBroyden()])
def test_a_curved_valley_is_followed_to_its_end(part: Any) -> None:
    problem = Least(rosenbrock, START)
    problem.minimised(part, 80)
    assert float(problem()) < 1e-20


def test_a_step_that_would_rise_is_refused_and_more_damped() -> None:
    """The derivative of this residual points away from where it falls."""
    problem = Least(
        lambda x: torch.cat([2 - torch.exp(-(x**2)), x.new_ones(1)]), START[:1] * 0 + 1e-9
    )
    optimizer = problem.minimised(GaussNewton(damping=1e-12, tries=2), 1)
    (group,) = optimizer.param_groups
    assert float(problem()) <= 2.0
    assert group["damping"] > 1e-12 or group["gain_ratio"] > 0.25


def test_a_singular_system_moves_nothing_and_goes_on() -> None:
    problem = Least(lambda x: 0 * x + math.nan * (x > 1e9), START)
    optimizer = problem.minimised(GaussNewton(), 2)
    (group,) = optimizer.param_groups
    assert torch.equal(problem.x.detach(), START)
    assert group["refused"] == 2
    assert group["step_length"] == 0


# --- self-scaled


def positive_definite(seed: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """H, a gradient g, and another one."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    gradient, other = torch.randn(2, size, generator=generator, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(size, dtype=torch.float64), gradient, other


@given(SEEDS, st.integers(2, 10), st.floats(0.01, 10), st.booleans())
@settings(deadline=None)
def test_the_update_keeps_the_secant_equation_and_stays_positive_definite(
    seed: int, size: int, length: float, broyden: bool
) -> None:
    matrix, before, other = positive_definite(seed, size)
    kept = InverseHessian(matrix)
    moved = -length * (kept @ before)
    after = before + other * torch.sign(other @ moved)  # yᵀs > 0, as a Wolfe step has it
    images = kept @ before, kept @ after
    image = kept.update(moved, (before, after), images, length, broyden)
    inverse = kept.whole()
    torch.testing.assert_close(
        image, inverse @ after, rtol=1e-6, atol=1e-8 * (1 + float(inverse.abs().max()))
    )
    largest = float(inverse.abs().max())
    torch.testing.assert_close(
        inverse @ (after - before), moved, rtol=1e-6, atol=1e-9 * (1 + largest)
    )
    assert float(torch.linalg.eigvalsh((inverse + inverse.T) / 2)[0]) > -1e-10 * largest


@given(st.floats(0.1, 100), st.floats(0.1, 100))
def test_scalings_are_those_of_the_formulas(h: float, b: float) -> None:
    """Where b h = 1, H and B = H⁻¹ agree along s and y, and the family is BFGS."""
    tau, phi = scalings(h, max(b, 1 / h), 50, broyden=False)
    assert (tau, phi) == (min(1.0, 1 / max(b, 1 / h)), 1.0)
    tau, _ = scalings(h, 1 / h, 50, broyden=True)
    assert 0 < tau <= 1 + 1e-9


def test_curvature_that_is_not_positive_leaves_the_matrix() -> None:
    matrix, before, _ = positive_definite(0, 5)
    inverse = InverseHessian(matrix.clone())
    moved = -(inverse @ before)
    after = before - moved
    inverse.update(moved, (before, after), (inverse @ before, inverse @ after), 1.0, True)
    assert torch.equal(inverse.whole(), matrix)


@given(SEEDS, st.integers(2, 10), st.integers(1, 2 * TOGETHER + 1), st.booleans())
@settings(deadline=None)
def test_updates_that_wait_act_as_those_that_were_added(
    seed: int, size: int, updates: int, broyden: bool
) -> None:
    matrix, *_ = positive_definite(seed, size)
    waiting, added = InverseHessian(matrix.clone()), InverseHessian(matrix.clone())
    hessian, *_ = positive_definite(seed + 1, size)
    gradients = torch.randn(updates, size, generator=torch.Generator().manual_seed(seed)).double()
    for gradient in gradients:
        moved = -0.1 * (waiting @ gradient)
        after = gradient + hessian @ moved
        for inverse in (waiting, added):
            images = inverse @ gradient, inverse @ after
            inverse.update(moved, (gradient, after), images, 0.1, broyden)
        size_of_image = float((added.whole() @ after).abs().max())
        torch.testing.assert_close(
            waiting @ after, added @ after, rtol=1e-6, atol=1e-8 * size_of_image
        )


@pytest.mark.parametrize("cls", SELF_SCALED)
def test_a_matrix_that_is_no_longer_positive_definite_begins_anew(cls: type[Any]) -> None:
    problem = Least(rosenbrock, START)
    part = cls(check=1)
    optimizer = problem.minimised(part, 3)
    (group,) = optimizer.param_groups
    optimizer.state[problem.x]["inverse"]["matrix"].copy_(torch.diag(START))
    before = float(problem())
    for _ in range(40):
        optimizer.step(problem)  # type: ignore[arg-type]
    assert group["resets"] >= 1
    assert float(problem()) < before


class Floor:
    """A loss that is rounding: it has a gradient, and every step from the start raises it."""

    def __init__(self) -> None:
        self.x = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.slope, self.called = torch.ones(3, dtype=torch.float64), 0

    def __call__(self) -> Tensor:
        self.called += 1
        self.x.grad = self.slope.clone()
        return 1.0 + 1e-3 * (self.x.detach() != 1).any().double()


@pytest.mark.parametrize("cls", SELF_SCALED)
def test_at_the_floor_of_rounding_nothing_is_tried_twice(cls: type[Any]) -> None:
    """Until the gradient changes, as with new points; and it is said."""
    loss = Floor()
    optimizer = cls(start="identity").build([loss.x])
    with pytest.warns(UserWarning, match="may be at the floor of the precision"):
        optimizer.step(loss)
    tried = loss.called
    optimizer.step(loss)
    assert loss.called == tried + 1
    loss.slope = -loss.slope
    with pytest.warns(UserWarning, match="may be at the floor of the precision"):
        optimizer.step(loss)
    assert loss.called > tried + 2
    assert torch.equal(loss.x.detach(), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("start", ["identity", "gauss-newton"])
@pytest.mark.parametrize("cls", SELF_SCALED)
def test_tiny_losses_are_minimised_as_large_ones(cls: type[Any], start: str) -> None:
    tiny = Least(lambda x: 1e-9 * rosenbrock(x), START)
    tiny.minimised(cls(start=start), 80)
    assert float(tiny()) < 1e-36


def test_without_a_jacobian_the_self_scaled_methods_begin_with_the_identity() -> None:
    part = SelfScaledBroyden(start="identity")
    problem = Least(rosenbrock, START)
    problem.jacobian = None  # type: ignore[assignment, method-assign]
    problem.minimised(part, 60)
    assert float(problem()) < 1e-15
