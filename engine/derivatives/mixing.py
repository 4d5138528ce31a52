"""Whether the residual at a point depends on which other points are there: means, sums, maxima."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinn.core.errors import PartError, Whence, one_of, out_of_memory
from pinn.core.problem import Problem
from pinn.engine.derivatives.ansatz import behind_ansatz, coordinate_series
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.quantities import Quantities
from pinn.engine.derivatives.residuals import Residuals, law_quantities, places_of, read_series
from pinn.engine.derivatives.scales import scaled
from pinn.engine.derivatives.unknowns import start_values

POINTS = 8
Found = tuple[Tensor, float]
"""Residuals (names, n), and the size of the derivatives that they are made of."""
ROUNDING = 1e-9
"""Beside the largest residual."""
NOTHING = 1e-13
"""Beside the largest derivative, for residuals that vanish."""


def check_points_stay_apart(laws: Iterable[Residuals]) -> None:
    """No residual, and no field of the ansatz, at a point changes with the points beside it.

    Each law is called with eight points, and with four and four of them, on the same numbers. Laws that
    draw random numbers, or fail at these points, are not judged.

    Raises:
        PartError: one does; says which, and the way out.
    """
    for law in laws:
        if mixed := _mixed(law):
            raise PartError(
                f"{law.what}: {one_of(mixed)} at a point depends on which other points there are, by a "
                "mean, sum, maximum or order over all of them, so that chunks, batches and the points' "
                "number would change the equations. Make each residual of the quantities at its own "
                "point: a size is a number known beforehand, an integral is "
                'q.integral("u", over="x")',
                Whence(law.problem),
            )


def probed(law: Residuals) -> Tensor | None:
    """Its residuals (names, 8) for smooth fields of their usual size; None where it fails there."""
    with torch.random.fork_rng(devices=[]):
        found = _tried(law, torch.arange(POINTS))
    return None if found is None else found[0]


def _mixed(law: Residuals) -> list[str]:
    """The names of the residuals that depend on other points."""
    every = torch.arange(POINTS)
    with torch.random.fork_rng(devices=[]):
        whole = _tried(law, every)
        if whole is None:  # what is wrong with it is told where it is used
            return []
        halves = [(half, _tried(law, half)) for half in (every[::2], every[1::2])]
        agreeing = _agree(whole, halves)
        if all(agreeing):
            return []
        again = _tried(law, every)
    if again is None or not torch.equal(whole[0].nan_to_num(), again[0].nan_to_num()):
        return []
    return [name for name, agrees in zip(law.names, agreeing, strict=True) if not agrees]


def _agree(whole: Found, halves: Sequence[tuple[Tensor, Found | None]]) -> list[bool]:
    """Whether each residual is the same in the halves; none is where these cannot be computed."""
    residuals, size = whole
    joined = torch.full_like(residuals, torch.inf)
    for half, found in halves:
        if found is None:
            return [False] * len(residuals)
        joined[:, half] = found[0]
    largest = residuals.nan_to_num().abs().amax(1, keepdim=True)
    close = (joined - residuals).abs() <= ROUNDING * largest + NOTHING * size
    undefined = joined.isnan() & residuals.isnan()
    alike: list[bool] = (close | undefined | (joined == residuals)).all(1).tolist()
    return alike


def _tried(law: Residuals, chosen: Tensor) -> Found | None:
    try:
        return _residuals(law, chosen)
    except Exception as error:
        if out_of_memory(error):
            raise
        return None


def _residuals(law: Residuals, chosen: Tensor) -> Found:
    """At some of eight points."""
    problem, points = law.problem, some_points(law.problem, POINTS, 0.1)
    unknowns = start_values(problem, points)

    def fields_at(points: Tensor, chosen: Tensor) -> dict[str, Any]:
        def network(points: Any) -> Any:
            return smooth_fields(problem, points)

        columns: Any = [*coordinate_series(problem, points, law.jets).values()]
        outputs = network(torch.stack(columns, -1))[chosen]
        places = coordinate_series(problem, points[chosen], law.jets)
        return behind_ansatz(problem, places, scaled(problem, outputs), unknowns, network)

    def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
        found = fields_at(others, torch.arange(len(others)))
        places = places_of(problem, others, elsewhere, there)
        return law_quantities(problem, places, read_series(problem, others, found), unknowns)

    with torch.no_grad():
        fields, here = fields_at(points, chosen), points[chosen]
        _, normals, _ = law.split(law.with_any_normals(here))
        resolve = read_series(problem, here, fields)
        found = law.at(here, resolve, unknowns, elsewhere, normals)
    sizes = [float(c.abs().max()) for field in fields.values() for c in field.coefficients.values()]
    return found.double(), max(1.0, *sizes)


def some_points(problem: Problem, count: int, margin: float) -> Tensor:
    """(count, dimension), in the box without so much of each interval at both ends."""
    low, high = torch.tensor([problem.domain.lower, problem.domain.upper], dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    drawn = torch.rand(count, len(low), generator=generator, dtype=torch.float64)
    return low + (high - low) * (margin + (1 - 2 * margin) * drawn)


def smooth_fields(problem: Problem, points: Any) -> Any:
    """Curved functions of the points (n, dimension) instead of a network's, (n, outputs)."""
    low, high = torch.tensor([problem.domain.lower, problem.domain.upper], dtype=torch.float64)
    coordinates = (points - low) / (high - low)
    generator = torch.Generator().manual_seed(3)
    shape = len(low), len(components(problem))
    weight = torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.tanh(coordinates @ weight) + 0.5 * torch.sin(coordinates @ (1 - weight)) + 0.25
