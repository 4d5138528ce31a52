"""What an optimizer's step asks about the parameters as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor

from pinn.core.domain import PointSet
from pinn.core.tracebacks import called_back
from pinn.engine.training.objective import Evaluation, Objective
from pinn.engine.training.state import State
from pinn.engine.training.undefined import is_finite

WALL = 1e30
"""The loss that a line search sees where the true one is not finite."""


@frozen(eq=False)
class _Answered:
    """An evaluation, and of what: a step that begins where a line search ended need not ask again."""

    parameters: tuple[Tensor, ...]
    points: PointSet
    evaluation: Evaluation

    def answers(self, parameters: tuple[torch.nn.Parameter, ...], points: PointSet) -> bool:
        return points is self.points and all(map(torch.equal, parameters, self.parameters))


@define(eq=False, slots=False)
class Closure:
    """Loss, gradient, residuals and Jacobian at the parameters as they are (see `pinn.core.Closure`).

    The first call of a step updates the weights; a line search then tries other parameters under the
    same weights, and may step where the loss is not finite: it is shown a wall there.

    Attributes:
        not_finite: the error of a step that begins where the loss or its gradient is not finite.
        evaluation: what the step saw that was made last in this process.
    """

    state: State
    objective: Objective
    not_finite: Callable[[Evaluation], Exception]
    evaluation: Evaluation | None = field(default=None, init=False)
    _step_begins: bool = field(default=False, init=False)
    _last: _Answered | None = field(default=None, init=False)

    def use(self, objective: Objective) -> None:
        """Go on with another loss."""
        self.objective = objective
        self._last = None

    def begin(self) -> None:
        """A step begins."""
        self._step_begins = True

    @property
    def asked(self) -> bool:
        """Whether the step has asked for loss and gradient."""
        return not self._step_begins and self.evaluation is not None

    @called_back
    def __call__(self) -> Tensor:
        first, self._step_begins = self._step_begins, False
        evaluation = self._evaluate(update=first)
        finite = is_finite(evaluation)
        if first:
            if not finite:
                raise self.not_finite(evaluation)
            self.evaluation = evaluation
        parameters = self.objective.parameters
        for parameter, gradient in zip(parameters, evaluation.gradient, strict=True):
            parameter.grad = gradient.clone() if finite else torch.zeros_like(parameter)
        return evaluation.loss if finite else torch.full_like(evaluation.loss, WALL)

    @called_back
    def residuals(self) -> Tensor:
        return self.objective.weighted_residuals(*self._here)

    @called_back
    def jacobian(
        self, rows: int = 1024, once: bool = False, own: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return self.objective.jacobian(*self._here, rows, once, own)

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return self.objective.processes.total(tensors)

    @property
    def _here(self) -> tuple[Any, PointSet, Tensor]:
        return self.objective.parameters, self.state.points, self._weights

    @property
    def _weights(self) -> Tensor:
        begun = self.evaluation is None or self._step_begins
        return self.state.weights if begun else self.evaluation.weights  # type: ignore[union-attr]

    def _evaluate(self, update: bool) -> Evaluation:
        parameters, points = self.objective.parameters, self.state.points
        weights = self.state.weights if update else self._weights
        fixed = self.objective.weighting.static
        if fixed and self._last is not None and self._last.answers(parameters, points):
            return self._last.evaluation
        evaluation = self.objective.evaluate(parameters, points, weights, update, self.state.step)
        if fixed:
            seen = tuple(parameter.detach().clone() for parameter in parameters)
            self._last = _Answered(seen, points, evaluation)
        return evaluation
