"""Damped Gauss-Newton steps, as a torch optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pinn.core import Closure, PinnError
from pinn.plugins.optimizers.dense import tell_slow

STRIPS = 8
"""Strips of columns in which JᵀJ is summed, each no further than its diagonal."""
LEAST, MOST = 1e-14, 1e8
"""Bounds of the damping."""
LITTLE, MUCH = 0.25, 0.75
"""Gain ratios below which the damping grows and above which it shrinks."""
FITTING = 1e-10
"""The damping of a fit of the last layer: it has few unknowns, some of which may do the same."""

Blocks = Iterator[tuple[Tensor, Tensor]]


class GaussNewtonSteps(torch.optim.Optimizer):
    """What it remembers stands in its one group: `damping`, and of the last step `gain_ratio`,
    `step_length`, `evaluations` of the residuals, and `refused`, the steps so far that moved nothing.

    Args:
        last_layer: first steps that fit the last layer alone; the group counts them down.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        damping: float,
        grow: float,
        shrink: float,
        tries: int,
        rows: int,
        last_layer: int = 0,
    ) -> None:
        options = {"grow": grow, "shrink": shrink, "tries": tries, "rows": rows}
        super().__init__(parameters, {**options, "last_layer": last_layer})
        (group,) = self.param_groups
        group |= {"damping": damping, "refused": 0}

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        (group,) = self.param_groups
        with torch.enable_grad():
            loss = closure()
        if group["last_layer"]:
            group["last_layer"] -= 1
            self._fit_last_layer(closure, loss)
            return loss
        parameters: list[Tensor] = group["params"]
        here = parameters_to_vector(parameters)
        system = _system(closure, len(here), group["rows"])
        for tried in range(1, group["tries"] + 1):
            direction, ratio = _tried(closure, loss, system, group["damping"], parameters, here)
            if ratio > MUCH:
                group["damping"] = max(group["damping"] / group["shrink"], LEAST)
            elif not ratio > LITTLE:
                group["damping"] = min(group["damping"] * group["grow"], MOST)
            if ratio > 0:
                length = float(direction.norm())  # type: ignore[union-attr]
                group |= {"gain_ratio": ratio, "step_length": length, "evaluations": tried}
                return loss
        vector_to_parameters(here, parameters)
        if not group["refused"]:
            _tell_refused(group["damping"], direction is None)
        group |= {"gain_ratio": 0.0, "step_length": 0.0, "evaluations": group["tries"]}
        group["refused"] += 1
        return loss

    def _fit_last_layer(self, closure: Closure, loss: Tensor) -> None:
        """The damped step of the last matrix and the vectors behind it, if it lowers the loss."""
        (group,) = self.param_groups
        layer = group["params"][last_matrix(group["params"]) :]
        here = parameters_to_vector(layer)
        own = _blocks(closure, group["rows"], once=True, own=True)
        blocks = ((r, j[:, -len(here) :]) for r, j in own)
        system = NormalEquations(blocks, here, closure.total)
        step, ratio = _tried(closure, loss, system, FITTING, layer, here)
        if not ratio > 0:
            vector_to_parameters(here, layer)
        length = float(step.norm()) if step is not None and ratio > 0 else 0.0
        group |= {"gain_ratio": max(ratio, 0.0), "step_length": length, "evaluations": 1}


def _tried(
    closure: Closure,
    loss: Tensor,
    system: _System,
    damping: float,
    parameters: Sequence[Tensor],
    here: Tensor,
) -> tuple[Tensor | None, float]:
    """Makes the step of this damping from `here`; the step, and its gain ratio, 0 without one."""
    direction = system.solution(damping)
    if direction is None:
        return None, 0.0
    vector_to_parameters(here + direction.to(here), parameters)
    there = float((closure.residuals().double() ** 2).sum())
    predicted = system.predicted_decrease(direction, damping)
    return direction, (float(loss) - there) / predicted if predicted > 0 else 0.0


def last_matrix(parameters: Sequence[Tensor]) -> int:
    """Where the weights of the last layer are.

    Raises:
        PinnError: there is no matrix.
    """
    matrices = [place for place, parameter in enumerate(parameters) if parameter.ndim == 2]
    if not matrices:
        raise PinnError("optimizer 'gauss-newton': last_layer, but the network has no matrix")
    return matrices[-1]


def _tell_refused(damping: float, unsolved: bool) -> None:
    """Once a stage: how many there are is recorded."""
    why = "its system is singular or not finite" if unsolved else "the loss falls at no damping"
    warnings.warn(
        f"gauss-newton refuses a step: {why}, up to {damping:.1g}. Nothing moved, and training goes "
        'on. The loss may be at the floor of the precision ([run] precision = "float64"), or an '
        "equation may not depend on the network; the analyzer search counts such steps",
        stacklevel=2,
    )


class _System(Protocol):
    def solution(self, damping: float) -> Tensor | None:
        """The step, in double precision; None where the system is singular or not finite."""

    def predicted_decrease(self, direction: Tensor, damping: float) -> float:
        """‖ρ‖² − ‖ρ + Jd‖² of such a step: −gᵀd + μ m ‖d‖², g = Jᵀρ."""


def _system(closure: Closure, unknowns: int, rows: int) -> _System:
    """The smaller one of two that have the same solution."""
    like = closure.residuals()
    tell_slow("gauss-newton", min(len(like), unknowns))
    if len(like) >= unknowns:
        return normal_equations(closure, like.new_empty(unknowns), rows)
    return _Kernel(_blocks(closure, rows), like.new_empty(len(like), unknowns, dtype=torch.float64))


def normal_equations(
    closure: Closure, like: Tensor, rows: int, once: bool = False
) -> NormalEquations:
    """Of unknowns like these."""
    return NormalEquations(_blocks(closure, rows, once, own=True), like, closure.total)


def _blocks(closure: Closure, rows: int, once: bool = False, own: bool = False) -> Blocks:
    return ((r.double(), j.double()) for r, j in closure.jacobian(rows, once, own))


class NormalEquations:
    """(JᵀJ + μ m I) d = −Jᵀρ, for as many parameters as residuals, or fewer."""

    def __init__(
        self, blocks: Blocks, like: Tensor, total: Callable[[Sequence[Tensor]], list[Tensor]]
    ) -> None:
        matrix = like.new_zeros(len(like), len(like), dtype=torch.float64)
        gradient = like.new_zeros(len(like), dtype=torch.float64)
        for residuals, jacobian in blocks:
            gradient += jacobian.T @ residuals
            _add_lower_product(matrix, jacobian)
        self.matrix, self.gradient = total([matrix, gradient])
        self.diagonal = self.matrix.diagonal().clone()
        self.scale = self.diagonal.mean()

    def solution(self, damping: float) -> Tensor | None:
        self.matrix.diagonal().copy_(self.diagonal + damping * self.scale)
        return _solved(self.matrix, -self.gradient)

    def inverse(self, damping: float) -> Tensor | None:
        """(JᵀJ + μ m I)⁻¹; None where it is singular or not finite."""
        self.matrix.diagonal().copy_(self.diagonal + damping * self.scale)
        factor, failed = torch.linalg.cholesky_ex(self.matrix)
        return None if int(failed) else torch.cholesky_inverse(factor)

    def predicted_decrease(self, direction: Tensor, damping: float) -> float:
        return _decrease(self.gradient, direction, damping * self.scale)


class _Kernel:
    """d = −Jᵀ(JJᵀ + μ m I)⁻¹ρ, for fewer residuals than parameters."""

    def __init__(self, blocks: Blocks, jacobian: Tensor) -> None:
        """`jacobian` is filled."""
        self.jacobian, self.residuals = jacobian, jacobian.new_empty(len(jacobian))
        end = 0
        for residuals, rows in blocks:
            begin, end = end, end + len(residuals)
            self.residuals[begin:end], self.jacobian[begin:end] = residuals, rows
        self.matrix = self.jacobian @ self.jacobian.T
        self.diagonal = self.matrix.diagonal().clone()
        self.scale = self.diagonal.sum() / self.jacobian.shape[1]

    def solution(self, damping: float) -> Tensor | None:
        self.matrix.diagonal().copy_(self.diagonal + damping * self.scale)
        solved = _solved(self.matrix, -self.residuals)
        return None if solved is None else self.jacobian.T @ solved

    def predicted_decrease(self, direction: Tensor, damping: float) -> float:
        return _decrease(self.jacobian.T @ self.residuals, direction, damping * self.scale)


def _add_lower_product(matrix: Tensor, jacobian: Tensor) -> None:
    """matrix += JᵀJ, at and below the diagonal and a little above it."""
    columns = matrix.shape[0]
    for strip in torch.arange(columns).tensor_split(STRIPS):
        if len(strip):
            begin, end = int(strip[0]), int(strip[-1]) + 1
            matrix[begin:end, :end].addmm_(jacobian[:, begin:end].T, jacobian[:, :end])


def _solved(matrix: Tensor, right: Tensor) -> Tensor | None:
    """matrix⁻¹ right, of which only the lower half is read."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        return None
    solved = torch.cholesky_solve(right[:, None], factor)[:, 0]
    return solved if bool(torch.isfinite(solved).all()) else None


def _decrease(gradient: Tensor, direction: Tensor, damping: Any) -> float:
    return float(-(gradient @ direction) + damping * (direction @ direction))
