"""What a watched network should have learned, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from attrs import field, frozen
from numpy.typing import NDArray
from torch import Tensor

from pinn.core.domain import Box
from pinn.core.errors import PinnError, Unavailable
from pinn.core.problem import Problem
from pinn.core.reference import Reference
from pinn.core.view import Forward
from pinn.engine.training.evaluation import BATCH, GRID, grid_coordinates

Exact = Callable[[Tensor], Any]


@frozen
class WatchedProblem(Problem):
    """Name, fields and domain of what a loop solves elsewhere; its equations are not known."""

    name: str  # type: ignore[misc]
    fields: tuple[str, ...]
    domain: Box

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        raise Unavailable(
            "needs the equations of the problem; a watched loop has its residuals only"
        )


@frozen(eq=False)
class AtPoints(Reference):
    """A solution that is known at scattered points, and only there."""

    places: NDArray[np.float64] = field(kw_only=True)

    def points(self) -> NDArray[np.float64]:
        return self.places

    def at(self, points: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        if not np.array_equal(points, self.places):
            raise Unavailable("needs the solution at points that moved: give it as a function")
        return {name: np.asarray(values, float) for name, values in self.fields.items()}


class KnownSolution:
    """The network's fields, and the solution where there is one.

    Up to four coordinates they are compared on a regular grid of the box; with more, or where the
    solution is given as arrays, at the points.

    Args:
        forward: points (n, dimension) → fields (n, fields).
        points: (n, dimension), at which solutions given as arrays are known.
        solution: {field: function of points (n, dimension), or array (n,)}; functions get a float64
            tensor on the CPU, which NumPy takes too.
    """

    def __init__(
        self,
        problem: Problem,
        forward: Forward,
        points: Tensor,
        solution: Mapping[str, Exact | Any],
    ) -> None:
        self.problem = problem
        self.forward = forward
        self.asked = False
        """Whether somebody asked for the solution where there is none."""
        self._like = points
        self._places = points.detach().cpu().double().numpy().copy()
        self._solution = solution

    @cached_property
    def grid(self) -> Reference | None:
        """The regular grid, and on it what is given as functions; None in many dimensions."""
        if self.problem.domain.dimension not in GRID:
            return None
        coordinates = grid_coordinates(self.problem)
        places = Reference(coordinates, {}).points()
        shape = tuple(map(len, coordinates.values()))
        exact = {n: f for n, f in self._solution.items() if callable(f)}
        fields = {n: _exact(n, f, places).reshape(shape) for n, f in exact.items()}
        return Reference(coordinates, fields)

    def check(self) -> None:
        """Work the solution out.

        Raises:
            PinnError: it is of the wrong shape.
        """
        if self._solution:
            self._reference  # noqa: B018

    @cached_property
    def _reference(self) -> Reference:
        functions = all(map(callable, self._solution.values()))
        if functions and self.grid is not None:
            return self.grid
        known = {n: _exact(n, known, self._places) for n, known in self._solution.items()}
        return AtPoints({}, known, places=self._places)

    @property
    def reference(self) -> Reference | None:
        if self._solution:
            return self._reference
        self.asked = True
        return None

    def on_grid(self, module: torch.nn.Module | None = None) -> dict[str, NDArray[np.float64]]:
        """The fields of the network, in the shape of the reference."""
        return self.on(self._reference)

    def on(self, grid: Reference) -> dict[str, NDArray[np.float64]]:
        """{field: array in the shape of the grid}"""
        points = torch.as_tensor(grid.points()).to(self._like)
        with torch.no_grad():
            pieces = [self._fields(piece) for piece in points.split(BATCH)]
        columns = torch.cat(pieces).cpu().double().numpy().T
        shape = tuple(map(len, grid.coordinates.values())) or (len(points),)
        return {
            name: column.reshape(shape)
            for name, column in zip(self.problem.fields, columns, strict=True)
        }

    def _fields(self, points: Tensor) -> Tensor:
        return outputs(self.forward, points)


def outputs(forward: Forward, points: Tensor) -> Tensor:
    """(n, fields) at points (n, dimension).

    Raises:
        PinnError: the network cannot be called so.
    """
    try:
        with torch.no_grad():
            found = forward(points)
    except Exception as error:
        raise PinnError(
            f"the model cannot be called with points {tuple(points.shape)}: {type(error).__name__}: "
            f"{error}; pass forward=, a function of points (n, dimension) that calls it"
        ) from error
    if not isinstance(found, Tensor) or len(found) != len(points) or found.ndim > 2:
        shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise PinnError(
            f"the model returned {shown} for {len(points)} points; expected a tensor "
            f"({len(points)}, fields): pass forward=, a function of points that returns it"
        )
    return found.as_subclass(Tensor).reshape(len(points), -1)


def field_names(count: int, given: Sequence[str] | None, solution: Mapping[str, Any]) -> list[str]:
    """Names of the columns of the network.

    Raises:
        PinnError: there are not as many, or the solution is of another one.
    """
    names = list(given or solution) or (
        ["u"] if count == 1 else [f"u{i + 1}" for i in range(count)]
    )
    if len(names) != count:
        raise PinnError(
            f"the model has {count} output{'s' if count > 1 else ''}, but {', '.join(names)} "
            f"name{'s' if len(names) == 1 else ''} {len(names)}: name all with fields=(…)"
        )
    for name in solution:
        if name not in names:
            raise PinnError(f"solution= has {name!r}; the fields are {', '.join(names)}")
    return names


def _exact(name: str, known: Exact | Any, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) at places (n, dimension)."""
    found = known(torch.from_numpy(places)) if callable(known) else known
    values = found.detach().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found)
    if values.shape not in {(len(places),), (len(places), 1)}:
        raise PinnError(
            f"solution= has shape {values.shape} of {name!r} for {len(places)} points; expected "
            f"({len(places)},)"
        )
    return values.reshape(-1).astype(np.float64)
