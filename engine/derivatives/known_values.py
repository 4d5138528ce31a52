"""The values of fields that conditions and measurements give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor

from pinn.core.domain import Points
from pinn.core.errors import PinnError
from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.engine.derivatives.quantities import named_tensors
from pinn.engine.derivatives.stand_ins import stand_ins
from pinn.engine.derivatives.unknowns import start_values

LINEAR = 1e-9
"""Of a residual's size: less is rounding."""
PLACES = 256
"""Of each face on which a condition is, at which it is asked for values."""


@frozen
class Known:
    """What a condition says that a field is at some places.

    Attributes:
        condition: its name.
        field: a real field of the problem.
        places: (n, dimension).
        values: (n,).
    """

    condition: str
    field: str
    places: Points
    values: NDArray[np.float64]


def values_of_conditions(problem: Problem) -> Iterator[Known]:
    """Of each condition whose residual is a (u − g) in the values of a single field u, that it is g."""
    for condition in conditions_of(problem):
        if isinstance(condition, Condition):
            try:
                with torch.enable_grad():
                    yield from _given(problem, condition)
            except PinnError:
                continue  # it is about more than values: normals, other places


def values_of_measurements(problem: Problem) -> Iterator[Known]:
    """Of all measurements of fields themselves."""
    for data in conditions_of(problem):
        if isinstance(data, Measurements) and data.of is None:
            table = data.table(problem.domain)
            places, values = np.split(table, [problem.domain.dimension], axis=1)
            for name, column in zip(data.values, values.T, strict=False):
                if name in problem.fields:
                    yield Known(data.name, name, places, column)


def _places(problem: Problem, condition: Condition) -> Points:
    if condition.at is not None:
        return condition.given(problem.domain)[0]
    generator = np.random.default_rng(0)
    found = []
    for face in problem.domain.faces(condition.on):
        lower, upper = (face.free.lower, face.free.upper) if face.free else ((), ())
        found.append(face.embed(generator.uniform(lower, upper, (PLACES, len(lower)))))
    return np.concatenate(found)


def _given(problem: Problem, condition: Condition) -> Iterator[Known]:
    """The values g of each residual a (u − g): where r vanishes, if it does so at −r(0) / r'(0)."""
    places = torch.as_tensor(_places(problem, condition))
    zero = {name: torch.zeros(len(places), dtype=places.dtype) for name in problem.fields}
    for name, residual, leaves in _residuals(problem, condition, places, zero):
        slopes = torch.autograd.grad(residual.sum(), leaves, retain_graph=True, allow_unused=True)
        seen = [i for i, slope in enumerate(slopes) if slope is not None]
        if len(seen) != 1 or seen[0] >= len(zero) or (slopes[seen[0]] == 0).any():
            continue
        field = [*zero][seen[0]]
        values = -residual.detach() / slopes[seen[0]]
        again = {n: r for n, r, _ in _residuals(problem, condition, places, zero | {field: values})}
        if again[name].abs().max() <= LINEAR * residual.abs().max():
            yield Known(condition.name, field, places.numpy(), values.numpy())


def _residuals(
    problem: Problem, condition: Condition, places: Tensor, fields: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, list[Tensor]]]:
    """Each residual with fields of these values, and what it may depend on: those first, then others."""
    leaves = {name: value.clone().requires_grad_() for name, value in fields.items()}
    others = {n: v.requires_grad_() for n, v in start_values(problem, places).items()}
    slopes: list[Tensor] = []

    def slope() -> Tensor:
        slopes.append(torch.zeros(len(places), dtype=places.dtype, requires_grad=True))
        return slopes[-1]

    q = stand_ins(problem, places, leaves, slope, others)
    found = named_tensors(condition.residual(q), len(places), condition.name, condition.name)
    for name, residual in found.items():
        if residual.requires_grad:
            yield name, residual, [*leaves.values(), *others.values(), *slopes]
