"""A network against the reference solution, on the problem's evaluation grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinn.core.errors import PartError, PinnError, Whence, one_of
from pinn.core.problem import Problem
from pinn.core.reference import CLOSE, Reference
from pinn.engine.derivatives.known_values import values_of_conditions
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.quantities import Quantities, named_tensors
from pinn.engine.derivatives.unknowns import true_values, unknown_values

GRID = {1: 1001, 2: 201, 3: 41, 4: 17}
BATCH = 16384
BROKEN = 0.1
"""Of a field's size: how far a reference may be from what a condition says, rounded corners included."""


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
    return named_tensors(exact, len(points), f"the solution of {problem.name}", constants=True)


def reference_solution(problem: Problem) -> Reference | None:
    """The problem's numerical reference, or its exact solution on the evaluation grid, in float64.

    In the order of the domain, and NaN outside of it.

    Raises:
        PartError: it is not one of this problem; says in what.
    """
    what = f"the reference of problem {problem.name!r}"
    try:
        found = problem.reference()
    except PinnError as error:
        text = str(error)
        if not text.startswith("the reference has"):
            raise
        raise PartError(what, Whence(problem), text.removeprefix("the reference")) from None
    if found is None:
        found, what = _exact_reference(problem), f"the solution of problem {problem.name!r}"
    return None if found is None else _placed(problem, found, what)


def _exact_reference(problem: Problem) -> Reference | None:
    coordinates = grid_coordinates(problem)
    grid = Reference(coordinates, {})
    named = exact_solution(problem, torch.from_numpy(grid.points()))
    if named is None:
        return None
    return Reference(coordinates, {n: t.numpy().reshape(grid.shape) for n, t in named.items()})


def _placed(problem: Problem, reference: Any, what: str) -> Reference:
    """The reference with coordinates in the domain's order, and without what lies outside."""

    def unfit(text: str) -> PartError:
        return PartError(what, Whence(problem), f" {text}")

    if not isinstance(reference, Reference):
        raise unfit(f"is a {type(reference).__name__}; return a pinn.core.Reference, or None")
    domain, given = problem.domain, reference.coordinates
    if {*given} != {*domain.names}:
        raise unfit(f"has the coordinates {one_of(given)}; expected {one_of(domain.names)}")
    for name, (low, high) in domain.intervals.items():
        along, room = given[name], CLOSE * (high - low)
        if not np.isfinite(along).all():
            raise unfit(f"has values of {name} that are not finite")
        if not (low - room <= along.min() and along.max() <= high + room):
            raise unfit(
                f"has {name} from {along.min():.9g} to {along.max():.9g}, outside of {low:.9g} to "
                f"{high:.9g}: leave out what lies outside of the domain"
            )
    for name, values in reference.fields.items():
        if np.isinf(values).any():
            raise unfit(f"has infinite values of {name}; NaN stands where it is not known")
    coordinates = {name: given[name] for name in domain.names}
    fields = dict(reference.fields)
    if not reference.scattered:
        order = [[*given].index(name) for name in domain.names]
        fields = {name: values.transpose(order) for name, values in fields.items()}
    placed = Reference(coordinates, fields, reference.scattered)
    within = _within(problem, placed.points()).reshape(placed.shape)
    if not within.any():
        raise unfit("has no point inside of the domain")
    if within.all():
        return placed
    masked = {name: np.where(within, values, np.nan) for name, values in placed.fields.items()}
    return Reference(coordinates, masked, placed.scattered)


def _within(problem: Problem, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (n, dimension) of the domain's bounding box lie in the domain, up to rounding."""
    lower, upper = problem.domain.lower, problem.domain.upper
    return problem.domain.inside(points.clip(lower, upper))


def _unused(names: Sequence[str]) -> Iterator[str]:
    if names:
        yield f"the reference has {one_of(names)}, which no observable is called: not compared"


def _broken_conditions(problem: Problem, reference: Reference) -> Iterator[str]:
    """That conditions give a field other values than the reference on a grid, by a tenth of its size."""
    for known in () if reference.scattered else values_of_conditions(problem):
        field = reference.fields.get(known.field)
        if field is None:
            continue
        off = reference.at(known.places)[known.field] - known.values
        off, size = off[np.isfinite(off)], float(np.nanmax(np.abs(field)))
        rms = float(np.sqrt(np.mean(off**2))) if len(off) else 0.0
        if rms > BROKEN * max(size, float(np.abs(known.values).max())):
            yield (
                f"the reference breaks condition {known.condition!r}: there its {known.field} is off by "
                f"{rms:.2g} (rms). Are its axes in order, its units and options those of the problem?"
            )


class Evaluator:
    """Predictions of a problem's observables; the reference is made when first needed.

    Args:
        chunk: points that are evaluated at once, if less than BATCH; 0: BATCH.

    Attributes:
        notes: what `check_reference` found that is to be known of the reference, a sentence each.
    """

    def __init__(
        self, problem: Problem, dtype: torch.dtype, device: torch.device, chunk: int = 0
    ) -> None:
        self.problem = problem
        self.dtype = dtype
        self.device = device
        self.notes: list[str] = []
        self._piece = min(chunk or BATCH, BATCH)
        what = f"the observables of {problem.name}"
        self.law = residuals(problem, problem.observables, what)

    @cached_property
    def reference(self) -> Reference | None:
        return reference_solution(self.problem)

    def check_reference(self) -> None:
        """See that the reference, if there is one, is a solution of this problem.

        That it is of a part of the domain, or of other things as well, becomes a note.

        Raises:
            PartError: it is not; says in what.
        """
        reference = self.reference
        if reference is None:
            return
        observed = [name for name in self.law.names if name in reference.fields]
        exact = type(self.problem).reference is Problem.reference
        what = f"the {'solution' if exact else 'reference'} of problem {self.problem.name!r}"
        unfit = partial(PartError, what, Whence(self.problem))
        if not observed:
            raise unfit(
                f" has {one_of(reference.fields)}; expected one of {one_of(self.law.names)}, which "
                "observables(q) names"
            )
        others = [name for name in reference.fields if name not in observed]
        for name in others:
            meant = [n for n in self.law.names if n.lower() == name.lower()]
            if meant:
                raise unfit(f" has {name!r}, and the observable is called {meant[0]!r}")
        for name in observed:
            if not np.isfinite(reference.fields[name]).any():
                raise unfit(f" has no value of {name} that is a number: all are NaN")
        self.notes += [
            *self._parts(reference),
            *_unused(others),
            *_broken_conditions(self.problem, reference),
        ]

    def _parts(self, reference: Reference) -> Iterator[str]:
        """That the reference is of a part of the domain, if it is."""
        parts = []
        for name, (low, high) in self.problem.domain.intervals.items():
            along = reference.coordinates[name]
            steps = np.diff(along) if len(along) > 1 and not reference.scattered else [0.0, 0.0]
            least, most = float(along.min()), float(along.max())
            room = 0.05 * (high - low) if reference.scattered else CLOSE * (high - low)
            if least - steps[0] > low + room or most + steps[-1] < high - room:
                parts.append(f"{name} from {least:g} to {most:g} of {low:g} to {high:g}")
        if parts:
            yield f"the reference has {', '.join(parts)}: errors are of this part of the domain"

    @cached_property
    def grid(self) -> Reference:
        """The evaluation grid: that of the reference, or the problem's own where there is none."""
        return self.reference or Reference(grid_coordinates(self.problem), {})

    @cached_property
    def _grid_points(self) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        """Those of the grid that lie in the domain, and which these are."""
        points = self.grid.points()
        within = _within(self.problem, points)
        return self._tensor(points[within]), within

    def on_grid(self, module: torch.nn.Module) -> dict[str, NDArray[np.float64]]:
        """{observable: array on the evaluation grid}, NaN outside of the domain."""
        points, within = self._grid_points
        found = {}
        for name, value in self._predict(module, points).items():
            whole = np.full(len(within), np.nan)
            whole[within] = value
            found[name] = whole.reshape(self.grid.shape)
        return found

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
            pieces = [self.law(module, piece, unknowns) for piece in points.split(self._piece)]
        values = torch.cat(pieces, 1).cpu().double().numpy()
        return dict(zip(self.law.names, values, strict=True))
