"""The fields of a problem: what a network has to put out for them, and of which coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pinn.core.domain import Box
from pinn.core.errors import PartError, Whence, nearest, one_of
from pinn.core.problem import Problem
from pinn.engine.derivatives.quantities import parts_of
from pinn.engine.derivatives.series import Series


def components(problem: Problem) -> tuple[str, ...]:
    """The real functions that a network puts out, in order: a complex field is two."""
    return tuple(part for name in problem.fields for part in parts_of_field(problem, name))


def parts_of_field(problem: Problem, field: str) -> tuple[str, ...]:
    """The real functions that a field is made of."""
    return parts_of(field) if field in problem.complex_fields else (field,)


def coordinates_of(problem: Problem, field: str) -> tuple[str, ...]:
    """The coordinates that a field is a function of, in the order of the domain."""
    if not isinstance(problem.fields, Mapping):
        return problem.domain.names
    own = problem.fields[field]
    return tuple(name for name in problem.domain.names if name in own)


def build_network(
    build: Callable[[Box, tuple[str, ...]], nn.Module], problem: Problem
) -> nn.Module:
    """What `build(inputs, outputs)` makes for the fields: one network, or one for each set of
    coordinates.

    Raises:
        PartError: a field of unknown coordinates, or of none.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for field in problem.fields:
        groups.setdefault(_checked_coordinates(problem, field), []).append(field)
    if [*groups] == [problem.domain.names]:
        return build(problem.domain.box, components(problem))
    order = components(problem)
    networks, axes, places = [], [], []
    for names, fields in groups.items():
        outputs = tuple(part for field in fields for part in parts_of_field(problem, field))
        box = Box(**{name: problem.domain.intervals[name] for name in names})
        networks.append(build(box, outputs))
        axes.append([problem.domain.names.index(name) for name in names])
        places += [order.index(part) for part in outputs]
    return Separate(networks, axes, places)


def _checked_coordinates(problem: Problem, field: str) -> tuple[str, ...]:
    if isinstance(problem.fields, Mapping):
        own, names = problem.fields[field], problem.domain.names
        begin = problem.name, Whence(problem), f": the coordinates of field {field!r} are {own!r}"
        if isinstance(own, str) or not isinstance(own, tuple | list | set | frozenset):
            example = f"{{{field!r}: ({names[0]!r},)}}"
            raise PartError(*begin, f"; write a tuple of names, as in {example}")
        for name in own:
            if name not in names:
                near = nearest(str(name), names)
                raise PartError(*begin, f", but there is no {name!r}{near}, only {one_of(names)}")
        if not own:
            raise PartError(
                *begin, "; a field of no coordinate is a number: name it in unknowns() instead"
            )
    return coordinates_of(problem, field)


class Separate(nn.Module):
    """Networks of some of the coordinates each, whose outputs stand side by side.

    Args:
        networks: each takes its own columns of the points.
        axes: those columns.
        places: where each of all outputs belongs.
    """

    def __init__(self, networks: list[nn.Module], axes: list[list[int]], places: list[int]) -> None:
        super().__init__()
        self.side_by_side = nn.ModuleList(networks)
        self._axes = axes
        self._order = [places.index(place) for place in range(len(places))]

    def forward(self, points: Tensor) -> Tensor:
        pairs = zip(self.side_by_side, self._axes, strict=True)
        found = torch.cat([network(points[:, axes]) for network, axes in pairs], -1)
        return found[:, self._order]


class Columns(Series):
    """Coordinates side by side, (n, dimension); some of them know nothing of the others' slopes."""

    def __init__(self, columns: list[Series]) -> None:
        joined: Any = torch.cat(columns, -1)  # type: ignore[arg-type]
        super().__init__(joined.coefficients, joined.jets)
        self._columns = columns

    def __getitem__(self, item: Any) -> Series:
        if isinstance(item, tuple) and item[:1] == (slice(None),) and isinstance(item[-1], list):
            chosen: Any = torch.cat([self._columns[axis] for axis in item[-1]], -1)  # type: ignore[misc]
            found: Series = chosen
            return found
        return super().__getitem__(item)
