"""`check_optimizer` finds what is wrong with an optimizer, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pinn.core import Closure, Optimizer, option
from pinn.testing import check_optimizer


class Momentum(torch.optim.Optimizer):
    """v ← 0.9 v + g, x ← x − rate · v"""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                assert parameter.grad is not None
                parameter -= group["lr"] * self.velocity(parameter)
        return loss

    def velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        state["v"] = 0.9 * state.get("v", 0.0) + parameter.grad
        return state["v"]


@frozen
class Descent(Optimizer):
    """Gradient descent with momentum."""

    name = "descent"
    lr: float = option(1e-3, "learning rate")

    def build(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return Momentum(parameters, self.lr)


def wrong(**members: Any) -> Any:
    return frozen(type("Wrong", (Descent,), {"__doc__": "Wrong.", **members}))


def built(**methods: Any) -> Any:
    torch_optimizer = type("Changed", (Momentum,), methods)
    return wrong(build=lambda self, parameters: torch_optimizer(parameters, self.lr))


def fails(cls: Any, *messages: str) -> None:
    with pytest.raises(AssertionError, match="(?s)^optimizer 'descent': .*" + ".*".join(messages)):
        check_optimizer(cls)


@pytest.mark.parametrize("name", ["NAdam", "RMSprop", "Rprop", "AdamW", "Adagrad"])
def test_the_optimizers_of_torch_pass(name: str) -> None:
    kind = getattr(torch.optim, name)
    check_optimizer(wrong(build=lambda self, parameters: kind(parameters, lr=self.lr)))


def test_a_sound_optimizer_passes() -> None:
    check_optimizer(Descent)
    check_optimizer(Descent(lr=1e-2))


class Marquardt(torch.optim.Optimizer):
    """(JᵀJ + μ I) d = −Jᵀρ, with the sign of the step as it is given."""

    def __init__(self, parameters: Any, sign: float) -> None:
        super().__init__(parameters, {"lr": sign})

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        with torch.enable_grad():
            loss = closure()
        (group,) = self.param_groups
        here = parameters_to_vector(group["params"])
        matrix, slope = 1e-3 * torch.eye(len(here)).to(here), torch.zeros_like(here)
        for residuals, jacobian in closure.jacobian(2):
            matrix, slope = matrix + jacobian.T @ jacobian, slope + jacobian.T @ residuals
        step = -group["lr"] * torch.linalg.solve(matrix, slope)
        vector_to_parameters(here + step, group["params"])
        if closure.residuals().square().sum() > 4 * loss:
            vector_to_parameters(here, group["params"])
        return loss


def test_one_that_asks_for_residuals_and_their_jacobian() -> None:
    def with_sign(sign: float) -> Any:
        return wrong(build=lambda self, parameters: Marquardt(parameters, sign))

    check_optimizer(with_sign(1.0))
    fails(with_sign(-1.0), "check the sign of the step")


def test_a_step_in_the_wrong_direction() -> None:
    uphill: Any = lambda self, parameter: -parameter.grad  # noqa: E731
    fails(
        built(velocity=uphill), "bring the quadratic .* from .* to .*: check the sign of the step"
    )


def test_a_rate_that_is_too_large() -> None:
    with pytest.raises(AssertionError, match="choose a smaller default learning rate"):
        check_optimizer(Descent(lr=10.0))


def test_a_memory_outside_of_the_state() -> None:
    def velocity(self: Any, parameter: Tensor) -> Tensor:
        memory = self.__dict__.setdefault("memory", {})
        memory[parameter] = 0.9 * memory.get(parameter, 0.0) + parameter.grad
        return memory[parameter]

    fails(
        built(velocity=velocity),
        "loads the state_dict of another goes on differently",
        "self.state",
    )


def test_a_memory_that_outlives_the_optimizer() -> None:
    steps: list[int] = []

    def velocity(self: Any, parameter: Tensor) -> Tensor:
        steps.append(1)
        return parameter.grad / len(steps)

    fails(built(velocity=velocity), "the same steps from the same place lead elsewhere")


def test_a_state_that_no_checkpoint_holds() -> None:
    def velocity(self: Any, parameter: Tensor) -> Tensor:
        self.state[parameter]["how"] = test_a_state_that_no_checkpoint_holds
        return parameter.grad

    fails(
        built(velocity=velocity), "its state_dict cannot be saved in a checkpoint", "only tensors"
    )


def test_a_step_without_closure_or_with_a_late_one() -> None:
    @torch.no_grad()
    def late(self: Any, closure: Any) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= 1e-3 * torch.ones_like(parameter)
        with torch.enable_grad():
            return closure()

    @torch.no_grad()
    def without_gradients(self: Any, closure: Any) -> Any:
        return closure()

    fails(built(step=lambda self, closure=None: None), "a step never calls its closure")
    fails(
        built(step=late), "the first call of the closure .* is not at the parameters as they were"
    )


def test_parameters_that_are_left_out() -> None:
    first: Any = lambda self, parameters: Momentum([next(iter(parameters))], self.lr)  # noqa: E731
    fails(wrong(build=first), "the optimizer holds 1 of 2 parameters: pass all")


def test_what_is_no_torch_optimizer() -> None:
    fails(wrong(build=lambda self, parameters: []), "build returns list: return a torch.optim")


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (lambda self, step, steps: 1e-3 / step if step else 1e-3, None),
        (
            lambda self, step, steps: 1e-3 * (1 - 2 * step / steps),
            r"is -.*: return a finite number",
        ),
        (
            lambda self, step, steps: 1e-3 * step / (steps - 1),
            "ZeroDivisionError: .*division by zero",
        ),
        (lambda self, step, steps: torch.tensor(1e-3), r"is tensor\(.*: return a finite number"),
    ],
)
def test_learning_rates(rate: Any, shown: str | None) -> None:
    cls = wrong(learning_rate=rate)
    if shown is None:
        check_optimizer(cls)
    else:
        fails(cls, shown)
