"""What every optimizer must keep."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pinn.core.parts import Optimizer
from pinn.engine.training.state import load_optimizer
from pinn.testing.declaration import DECLARATION
from pinn.testing.probes.differences import first_difference
from pinn.testing.small_runs import it_trains_and_continues_exactly, small_run
from pinn.testing.trial import Trial, perform

ENOUGH = 60
"""Steps in which any optimizer gets somewhere."""
LENGTHS = (1, 2, 7, 1000, 100_000)


def check_optimizer(optimizer: type[Optimizer] | Optimizer) -> None:
    """Everything that the framework expects of an optimizer.

    A torch optimizer that takes a closure and lowers a quadratic and the loss of a small network;
    everything that it remembers in its state_dict; learning rates that are finite and not negative;
    options; precision, devices; and runs of a few steps, killed and continued.

    Args:
        optimizer: a class, which is checked with its default options, or an instance.

    Raises:
        AssertionError: what was found, and what to do.
    """
    perform("optimizer", optimizer, (*DECLARATION, *CHECKS))


class _Descent:
    """Minimises Σ s (x − 1)² over two tensors, as the training loop does."""

    def __init__(self, part: Any, dtype: torch.dtype = torch.float64) -> None:
        self.part = part
        self.parameters = [
            torch.tensor([1.05, 0.95], dtype=dtype, requires_grad=True),
            torch.tensor([[0.9], [1.1]], dtype=dtype, requires_grad=True),
        ]
        self.optimizer = part.build(list(self.parameters))
        self.asked: list[list[Tensor]] = []

    def loss(self) -> Tensor:
        return (self._weighted() ** 2).sum()

    def _weighted(self) -> Tensor:
        x, y = self.parameters
        return torch.cat([x - 1, math.sqrt(2) * (y[:, 0] - 1)])

    def residuals(self) -> Tensor:
        return self._weighted().detach()

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors)

    def jacobian(
        self, rows: int = 1024, once: bool = False, own: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        slopes = torch.ones(4, dtype=self.parameters[0].dtype)
        slopes[2:] *= math.sqrt(2)
        for here in torch.arange(4).split(max(rows, 1)):
            yield self.residuals()[here], torch.diag(slopes)[here]

    def __call__(self) -> Tensor:
        """The loss, as a step's closure; see `pinn.core.Closure`."""
        assert torch.is_grad_enabled(), (
            "a step calls its closure where gradients are switched off: write "
            "`with torch.enable_grad(): loss = closure()`"
        )
        self.asked.append(self.now())
        value = self.loss()
        gradients = torch.autograd.grad(value, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        return value.detach()

    def now(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.parameters]

    def steps(self, begin: int, end: int, of: int = ENOUGH) -> list[Tensor]:
        for step in range(begin, end):
            rate = self.part.learning_rate(step, of)
            if rate is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
            self.asked = []
            before = self.now()
            self.optimizer.step(self)
            assert self.asked, (
                "a step never calls its closure, which is what computes loss and gradient: write "
                "`loss = closure()` at its beginning"
            )
            assert first_difference(before, self.asked[0]) is None, (
                "the first call of the closure in a step is not at the parameters as they were: "
                "call it before you move them; weights and records belong to that call"
            )
        return self.now()


def it_builds_a_torch_optimizer(trial: Trial) -> None:
    descent = _Descent(trial.part)
    assert isinstance(descent.optimizer, torch.optim.Optimizer), (
        f"build returns {type(descent.optimizer).__name__}: return a torch.optim.Optimizer"
    )
    held = [p for group in descent.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in descent.parameters}, (
        f"the optimizer holds {len(held)} of {len(descent.parameters)} parameters: pass all of "
        "`parameters` on"
    )


def it_moves_every_parameter_and_lowers_a_quadratic(trial: Trial) -> None:
    for dtype in (torch.float32, torch.float64):
        descent = _Descent(trial.part, dtype)
        first, start = float(descent.loss().detach()), descent.now()
        end = descent.steps(0, ENOUGH)
        last = float(descent.loss().detach())
        assert math.isfinite(last) and last < first, (
            f"{ENOUGH} steps bring the quadratic Σ (x − 1)² from {first:.3g} to {last:.3g} in "
            f"{dtype}: check the sign of the step, and choose a smaller default learning rate"
        )
        for place, (before, after) in enumerate(zip(start, end, strict=True)):
            assert after.dtype == dtype, f"a parameter of {dtype} became {after.dtype}"
            assert not torch.equal(before, after), (
                f"parameter {place + 1} of {len(end)} never moves: step through all of param_groups"
            )


def it_steps_the_same_way_again(trial: Trial) -> None:
    first = _Descent(trial.part).steps(0, 8)
    for part in (trial.part, trial.fresh()):
        assert first_difference(first, _Descent(part).steps(0, 8)) is None, (
            "the same steps from the same place lead elsewhere the second time: it keeps "
            "something outside of the torch optimizer's state, or draws random numbers; keep what "
            "changes in self.state"
        )


def its_state_dict_holds_all_that_it_remembers(trial: Trial) -> None:
    straight, first = _Descent(trial.part), _Descent(trial.part)
    straight.steps(0, 4)
    first.steps(0, 4)
    saved = _saved_and_loaded(first.optimizer.state_dict())
    continued = _Descent(trial.fresh())
    with torch.no_grad():
        for parameter, value in zip(continued.parameters, first.now(), strict=True):
            parameter.copy_(value)
    load_optimizer(continued.optimizer, saved)
    place = first_difference(straight.steps(4, 8), continued.steps(4, 8))
    assert place is None, (
        "an optimizer that loads the state_dict of another goes on differently: it remembers "
        "something that is not in it; keep what changes in self.state[parameter] or in param_groups"
    )


def _saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    """As in a checkpoint."""
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    except Exception as error:
        first, *_ = str(error).splitlines() or [""]
        raise AssertionError(
            f"its state_dict cannot be saved in a checkpoint ({first}): hold only tensors, "
            "numbers, words, lists and dicts in self.state and param_groups"
        ) from error
    return loaded


def its_learning_rates_are_finite_and_not_negative(trial: Trial) -> None:
    for steps in LENGTHS:
        for step in sorted({*range(0, steps, max(steps // 50, 1)), steps - 1}):
            rate = trial.part.learning_rate(step, steps)
            if rate is not None:
                _check_rate(rate, step, steps)
                again = trial.fresh().learning_rate(step, steps)
                assert rate == again, (
                    f"learning_rate({step}, {steps}) is {rate:g}, and {again:g} when it is asked "
                    "again: make it depend on its arguments alone"
                )


def _check_rate(rate: Any, step: int, steps: int) -> None:
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    assert number and math.isfinite(rate) and rate >= 0, (
        f"learning_rate({step}, {steps}) is {rate!r}: return a finite number that is not "
        f"negative, or None; steps count from 0 to {steps - 1}"
    )


def it_lowers_the_loss_of_a_small_network(trial: Trial) -> None:
    rows = small_run(trial, steps=ENOUGH, run={"checkpoint": ENOUGH}).rows
    first, best = rows[0]["loss"], min(row["loss"] for row in rows[1:])
    assert best < first, (
        f"in {ENOUGH} steps the loss of a small network never falls below that of the first, "
        f"{first:.3g}: choose another default learning rate"
    )


CHECKS = (
    it_builds_a_torch_optimizer,
    its_learning_rates_are_finite_and_not_negative,
    it_moves_every_parameter_and_lowers_a_quadratic,
    it_steps_the_same_way_again,
    its_state_dict_holds_all_that_it_remembers,
    it_lowers_the_loss_of_a_small_network,
    it_trains_and_continues_exactly,
)
