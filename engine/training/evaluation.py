"""A network against the reference solution, on the problem's evaluation grid."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from pinn.core.errors import PartError, Whence, one_of
from pinn.core.problem import Problem, Reference
from pinn.engine.derivatives.quantities import Quantities, named_tensors
from pinn.engine.derivatives.residuals import residuals
from pinn.engine.derivatives.unknowns import true_values, unknown_values

CLOSE = 1e-6
"""Of an interval: how far beyond its ends rounding may lead."""
GRID = {1: 1001, 2: 201, 3: 41, 4: 17}
BATCH = 16384


def grid_coordinates(problem: Problem) -> dict[str, NDArray[np.float64]]:
    """Equally spaced points per coordinate, ends included."""
    default = GRID.get(problem.domain.dimension, 9)
    return {
        name: np.linspace(low, high, problem.grid.get(name, default))
        for name, (low, high) in problem.domain.intervals.items()
    }


def exact_solution(problem: Problem, points: torch.Tensor) -> dict[str, torch.Tensor] | None:
    """The exact fields at points (n, dimension), {name: (n,)}, where they are known."""
    places = {name: points[:, i] for i, name in enumerate(problem.domain.names)}
    exact = problem.solution(Quantities(places, (), unknowns=true_values(problem, points)))
    if exact is None:
        return None
    return named_tensors(exact, len(points), f"the solution of {problem.name}")


def reference_solution(problem: Problem) -> Reference | None:
    """The problem's numerical reference, or its exact solution on the evaluation grid, in float64."""
    numerical = problem.reference()
    if numerical is not None:
        return numerical
    coordinates = grid_coordinates(problem)
    shape = tuple(len(c) for c in coordinates.values())
    named = exact_solution(problem, torch.from_numpy(Reference(coordinates, {}).points()))
    if named is None:
        return None
    return Reference(coordinates, {n: t.numpy().reshape(shape) for n, t in named.items()})


class Evaluator:
    """Predictions of a problem's observables; the reference is made when first needed."""

    def __init__(self, problem: Problem, dtype: torch.dtype, device: torch.device) -> None:
        self.problem = problem
        self.dtype = dtype
        self.device = device
        self._law = residuals(problem, problem.observables, f"the observables of {problem.name}")

    @cached_property
    def reference(self) -> Reference | None:
        return reference_solution(self.problem)

    def check_reference(self) -> None:
        """See that the reference, if there is one, is a solution of this problem on a tensor grid.

        Raises:
            PartError: it is not; says in what.
        """
        if self.reference is not None and (fault := self._misfit(self.reference)):
            raise PartError(
                f"the reference of problem {self.problem.name!r}", Whence(self.problem), f" {fault}"
            )

    def _misfit(self, reference: Reference) -> str | None:
        domain, axes = self.problem.domain, reference.coordinates
        if [*axes] != [*domain.names]:
            return f"has the coordinates {', '.join(axes)}; expected {', '.join(domain.names)}"
        for name, (low, high) in domain.intervals.items():
            axis, room = np.asarray(axes[name], float), CLOSE * (high - low)
            if axis.ndim != 1 or not len(axis) or not (np.diff(axis) > 0).all():
                return f"has values of {name} that do not rise one by one"
            if not (low - room <= axis[0] and axis[-1] <= high + room):
                return (
                    f"has {name} from {axis[0]:g} to {axis[-1]:g}, outside of {low:g} to {high:g}"
                )
        if not {*reference.fields} & {*self._law.names}:
            return f"has {one_of(reference.fields)}; expected one of {one_of(self._law.names)}"
        shape = tuple(len(axis) for axis in axes.values())
        for name, values in reference.fields.items():
            if np.shape(values) != shape:
                return f"has {name} of shape {np.shape(values)}; its coordinates make {shape}"
        return None

    @cached_property
    def grid(self) -> Reference:
        """The evaluation grid: that of the reference, or the problem's own where there is none."""
        return self.reference or Reference(grid_coordinates(self.problem), {})

    @cached_property
    def _grid_points(self) -> torch.Tensor:
        return self._tensor(self.grid.points())

    def on_grid(self, module: torch.nn.Module) -> dict[str, NDArray[np.float64]]:
        """{observable: array on the evaluation grid}"""
        shape = tuple(len(c) for c in self.grid.coordinates.values())
        values = self._predict(module, self._grid_points)
        return {name: value.reshape(shape) for name, value in values.items()}

    def at(
        self, module: torch.nn.Module, points: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """{observable: (n,)} at points (n, dimension)."""
        return self._predict(module, self._tensor(points))

    def _tensor(self, points: NDArray[np.float64]) -> torch.Tensor:
        return torch.as_tensor(points, dtype=self.dtype, device=self.device)

    def _predict(
        self, module: torch.nn.Module, points: torch.Tensor
    ) -> dict[str, NDArray[np.float64]]:
        with torch.no_grad():
            unknowns = unknown_values(self.problem, dict(module.named_parameters()))
            pieces = [self._law(module, piece, unknowns) for piece in points.split(BATCH)]
        values = torch.cat(pieces, 1).cpu().double().numpy()
        return dict(zip(self._law.names, values, strict=True))
