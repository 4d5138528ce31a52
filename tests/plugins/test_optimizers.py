"""The contract of every registered optimizer, its schedules, and L-BFGS past torch's tolerances."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core.discovery import registry
from pinn.plugins.optimizers.adam import Adam
from pinn.plugins.optimizers.gauss_newton import GaussNewton
from pinn.plugins.optimizers.lbfgs import LBFGS
from pinn.plugins.optimizers.self_scaled import SelfScaledBFGS, SelfScaledBroyden
from pinn.testing import check_optimizer

OPTIMIZERS = [part.cls for part in registry().parts("optimizer")]
OF_RESIDUALS = {GaussNewton, SelfScaledBFGS, SelfScaledBroyden}
"""They ask for residuals and their Jacobian: `test_second_order.py`."""


def minimise(
    part: Any, loss: Callable[[Tensor], Tensor], start: list[float], steps: int
) -> tuple[Tensor, list[float]]:
    """As the training loop does it; the loss before each step."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = part.build([x])
    losses: list[float] = []

    def closure() -> Tensor:
        value = loss(x)
        (x.grad,) = torch.autograd.grad(value, x)
        return value.detach()

    for step in range(steps):
        rate = part.learning_rate(step, steps)
        for group in optimizer.param_groups:
            if rate is not None:
                group["lr"] = rate
        losses.append(float(loss(x).detach()))
        optimizer.step(closure)
    return x.detach(), losses


def bowl(x: Tensor) -> Tensor:
    return ((x - 1) ** 2).sum()


def test_the_built_in_optimizers_are_registered() -> None:
    assert {Adam, LBFGS} <= set(OPTIMIZERS)


@pytest.mark.parametrize("cls", OPTIMIZERS, ids=lambda cls: cls.name)
def test_every_optimizer_keeps_its_contract(cls: type[Any]) -> None:
    check_optimizer(cls)


@pytest.mark.parametrize(
    "cls", [cls for cls in OPTIMIZERS if cls not in OF_RESIDUALS], ids=lambda cls: cls.name
)
def test_two_hundred_steps_all_but_solve_a_quadratic(cls: type[Any]) -> None:
    x, losses = minimise(cls(), bowl, [1.05, 0.95], 200)
    assert float(bowl(x)) < 0.1 * losses[0]


# --- Adam


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 1e-3),
        (4999, 1e-3),
        (5000, 9e-4),
        (9999, 9e-4),
        (10_000, 8.1e-4),
        (299_999, 1e-3 * 0.9**59),
    ],
)
def test_the_default_schedule_is_that_of_the_paper(step: int, rate: float) -> None:
    assert Adam().learning_rate(step, 300_000) == pytest.approx(rate, rel=1e-12)


@given(st.integers(1, 1000), st.integers(0, 999))
def test_constant_and_cosine_schedules(steps: int, step: int) -> None:
    step = min(step, steps - 1)
    assert Adam(lr=0.1, schedule="constant").learning_rate(step, steps) == 0.1
    cosine = Adam(lr=0.1, schedule="cosine")
    assert cosine.learning_rate(0, steps) == 0.1
    expected = 0.1 * math.cos(math.pi * step / steps / 2) ** 2
    assert cosine.learning_rate(step, steps) == pytest.approx(expected, rel=1e-9)
    assert 0 < cosine.learning_rate(steps - 1, steps) <= 0.1


@pytest.mark.parametrize("schedule", ["exponential", "cosine", "constant"])
def test_warmup_grows_linearly_to_the_schedule(schedule: str) -> None:
    warm = Adam(schedule=schedule, warmup=4, decay_steps=2)
    cold = Adam(schedule=schedule, decay_steps=2)
    ratios = [warm.learning_rate(s, 10) / cold.learning_rate(s, 10) for s in range(6)]
    assert ratios == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_adam_takes_the_step_of_its_formula() -> None:
    part = Adam(lr=0.1, beta1=0.8, beta2=0.9, eps=1e-3, schedule="constant")
    x, m, v = 0.0, 0.0, 0.0
    for step in range(1, 6):
        g = 2 * (x - 1)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        x -= 0.1 * (m / (1 - 0.8**step)) / (math.sqrt(v / (1 - 0.9**step)) + 1e-3)
    found, _ = minimise(part, bowl, [0.0], 5)
    assert float(found) == pytest.approx(x, rel=1e-12)


# --- L-BFGS


def steep(x: Tensor) -> Tensor:
    scales = torch.logspace(0, 4, len(x), dtype=x.dtype)
    return (scales * (x - 1) ** 2).sum()


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_lbfgs_minimises_a_quadratic_of_condition_1e4() -> None:
    x, _ = minimise(LBFGS(), steep, [0.0, 3.0, -2.0, 5.0, 0.5], 40)
    torch.testing.assert_close(x, torch.ones_like(x), rtol=0, atol=1e-8)


def test_lbfgs_minimises_rosenbrock() -> None:
    x, losses = minimise(LBFGS(), rosenbrock, [-1.2, 1.0, -0.5], 80)
    torch.testing.assert_close(x, torch.ones_like(x), rtol=0, atol=1e-6)
    assert all(b <= a for a, b in pairwise(losses))


def test_lbfgs_goes_on_where_the_tolerances_of_torch_stop() -> None:
    """PINN losses of 1e-8 have gradients below torch's default of 1e-7."""

    def small(x: Tensor) -> Tensor:
        return 1e-9 * (torch.tensor([1.0, 10.0], dtype=x.dtype) * (x - 1) ** 2).sum()

    start = [4.0, 3.0]
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    assert float(torch.autograd.grad(small(x), x)[0].abs().max()) < 1e-7
    found, _ = minimise(LBFGS(), small, start, 20)
    assert float((found - 1).abs().max()) < 1e-6


def test_lbfgs_leaves_a_dead_end() -> None:
    """A direction that does not descend, as after a change of the weights, is forgotten."""
    x = torch.tensor([4.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = LBFGS().build([x])

    def closure() -> Tensor:
        value = ((x - 1) ** 4).sum()
        (x.grad,) = torch.autograd.grad(value, x)
        return value.detach()

    for _ in range(3):
        optimizer.step(closure)  # type: ignore[arg-type]
    state = optimizer.state[x]
    state["d"], state["H_diag"] = -state["d"], -torch.as_tensor(state["H_diag"])
    state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
    before = x.detach().clone()
    for _ in range(40):
        optimizer.step(closure)  # type: ignore[arg-type]
    assert float((x.detach() - 1).abs().max()) < float((before - 1).abs().max()) / 10


def test_lbfgs_does_not_depend_on_the_scale_of_the_loss() -> None:
    start = [-0.5, 0.5]
    found, _ = minimise(LBFGS(), lambda x: 1e-9 * rosenbrock(x), start, 60)
    assert float(rosenbrock(found)) < 1e-10


def test_lbfgs_does_one_iteration_a_step_within_its_evaluations() -> None:
    calls = 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return rosenbrock(x)

    x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = LBFGS(evaluations=5).build([x])

    def closure() -> Tensor:
        value = counted(x)
        (x.grad,) = torch.autograd.grad(value, x)
        return value.detach()

    for step in range(1, 11):
        calls = 0
        optimizer.step(closure)
        assert optimizer.state[x]["n_iter"] == step
        # One more than the limit: a line search finishes the bracket that it has begun.
        assert 1 <= calls <= 25 + 1


@pytest.mark.parametrize("steepness", [1e2, 1e3, 1e4])
def test_lbfgs_recovers_where_its_line_search_overflows(steepness: float) -> None:
    """Small losses with large relative gradients, in float32, as a network's after Adam."""
    x = torch.full((8,), 1.001, requires_grad=True)
    optimizer = LBFGS().build([x])

    def closure() -> Tensor:
        value = 1e-5 * ((steepness * (x - 1)) ** 4).mean()
        (x.grad,) = torch.autograd.grad(value, x)
        return value.detach()

    first = float(closure())
    for _ in range(60):
        optimizer.step(closure)  # type: ignore[arg-type]
    assert float(closure()) < 1e-3 * first
