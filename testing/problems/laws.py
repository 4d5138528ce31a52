"""The laws of a problem: its equations, each condition, its observables; and where they hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.engine.derivatives.fields import build_network
from pinn.engine.derivatives.probing import condition_law, residuals
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import attach_unknowns, start_values
from pinn.engine.training.sampling import with_normals
from pinn.testing.companions import SmallNetwork
from pinn.testing.probes.examples import points_in

EXAMPLE_POINTS = 200


@frozen
class PlacedLaw:
    """A law of the problem, and points (n, dimension) at which it holds, in double precision."""

    called: str
    residuals: Residuals
    points: Tensor

    def __call__(self, module: nn.Module) -> Tensor:
        """Residuals (names, n), with the unknowns at their start."""
        with torch.no_grad():
            return self.residuals(
                module, self.points, start_values(self.residuals.problem, self.points)
            )


def equations_of(problem: Problem) -> PlacedLaw:
    what = f"the equations of {problem.name}"
    law = residuals(problem, problem.equations, what, dtype=torch.float64, may_lack=True)
    return PlacedLaw("the equations", law, inside(problem))


def condition_of(problem: Problem, condition: Condition | Measurements) -> PlacedLaw:
    what = f"condition {condition.name!r}"
    law = condition_law(problem, condition, torch.float64)
    if isinstance(condition, Condition):
        return PlacedLaw(what, law, where_it_holds(problem, condition, law))
    table = condition.table(problem.domain)[:EXAMPLE_POINTS, : problem.domain.dimension]
    return PlacedLaw(what, law, torch.from_numpy(table))


def inside(problem: Problem, count: int = EXAMPLE_POINTS) -> Tensor:
    return points_in(problem.domain, count)


def where_it_holds(
    problem: Problem, condition: Condition, law: Residuals, count: int = 50
) -> Tensor:
    """Points (faces * count or fewer, dimension), one for a corner; beside them normals, if needed."""
    if condition.at is not None:
        placed = [condition.given(problem.domain)]
    else:
        generator = np.random.default_rng(0)
        placed = []
        for face in problem.domain.faces(condition.on):
            free = face.free
            within = np.empty((1, 0)) if free is None else free.uniform(count, generator)
            placed.append(face.at(within))
    points, normals = (np.concatenate(each) for each in zip(*placed, strict=True))
    return torch.from_numpy(with_normals(condition, law, points, normals))


def laws(problem: Problem) -> Iterator[PlacedLaw]:
    """The equations and observables inside, each condition where it holds."""
    equations = equations_of(problem)
    if equations.residuals.names:
        yield equations
    for condition in conditions_of(problem):
        yield condition_of(problem, condition)
    what = f"the observables of {problem.name}"
    law = residuals(problem, problem.observables, what, dtype=torch.float64)
    yield PlacedLaw("the observables", law, inside(problem))


def random_network(problem: Problem, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    module = build_network(lambda i, o: SmallNetwork().build(i, o, generator), problem)
    attach_unknowns(module, problem)
    return module.double()


def place(problem: Problem, point: Tensor) -> str:
    """A point as messages name it: "x = 0.5, t = 1"."""
    named = zip(problem.domain.names, point.tolist(), strict=False)
    return ", ".join(f"{name} = {value:.4g}" for name, value in named)
