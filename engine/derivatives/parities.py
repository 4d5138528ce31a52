"""Reflections under which a problem keeps its form, and the signs that its fields take in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from attrs import frozen

from pinn.core.domain import Box
from pinn.core.errors import out_of_memory
from pinn.core.problem import Condition, Measurements, Problem
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.mixing import smooth_fields, some_points
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import start_values

Signs = tuple[int, ...]
"""For each output of the network 1, if it is even about the middle of a coordinate, or −1, if odd."""
MOST_OUTPUTS = 3
"""Of whose signs all combinations are tried."""
ROUNDING = 1e-7
"""Beside a residual."""


@frozen
class Reflections:
    """Which reflections x ↦ x* of one coordinate about its middle keep the form of a problem.

    With a sign for every output of the network, one does if it maps the places of every condition to
    themselves, and if each residual r of smooth fields with these signs has r(x*) = ± r(x) at eight
    of its points. There the fields' derivatives are any numbers, so that the mirror image of a solution
    is one, too; where there is only one, it has these signs.

    Attributes:
        equations, conditions: of one problem, the conditions with the laws made of them.
    """

    equations: Residuals
    conditions: Sequence[tuple[Condition | Measurements, Residuals]]

    @property
    def problem(self) -> Problem:
        return self.equations.problem

    def signs(self) -> Iterator[tuple[str, Signs]]:
        """(coordinate, signs) for each coordinate in which there are such, and no others."""
        count = len(components(self.problem))
        if count > MOST_OUTPUTS:
            return
        for name in self.problem.domain.names:
            kept = [s for s in product((1, -1), repeat=count) if self.keep(name, s)]
            if len(kept) == 1:
                yield name, kept[0]

    def keep(self, coordinate: str, signs: Signs) -> bool | None:
        """None where it cannot be known: of data, shapes, laws that fail at these points."""
        problem, domain = self.problem, self.problem.domain
        if not isinstance(domain, Box) or isinstance(problem.fields, Mapping):
            return None
        laws: list[tuple[Residuals, Mapping[str, float]]] = [(self.equations, {})]
        for condition, law in self.conditions:
            if isinstance(condition, Measurements) or condition.at is not None:
                return None
            if not _maps_to_itself(domain, condition.on, coordinate):
                return False
            laws += [(law, domain.face(text).fixed) for text in condition.on]
        axis = domain.names.index(coordinate)
        try:
            return all(_is_kept(law, fixed, axis, signs) for law, fixed in laws)
        except Exception as error:
            if out_of_memory(error):
                raise
            return None


def _maps_to_itself(domain: Box, on: Sequence[str], coordinate: str) -> bool:
    ends = sum(domain.intervals[coordinate])

    def places(reflected: bool) -> set[frozenset[tuple[str, float]]]:
        return {
            frozenset(
                (name, round(ends - value if reflected and name == coordinate else value, 9))
                for name, value in domain.face(text).fixed.items()
            )
            for text in on
        }

    return places(reflected=True) == places(reflected=False)


def _is_kept(law: Residuals, fixed: Mapping[str, float], axis: int, signs: Signs) -> bool:
    problem = law.problem
    points = some_points(problem)
    for name, value in fixed.items():
        points[:, problem.domain.names.index(name)] = value
    flip, shift = torch.ones_like(points[0]), torch.zeros_like(points[0])
    flip[axis] = -1
    shift[axis] = problem.domain.lower[axis] + problem.domain.upper[axis]
    with_signs = torch.tensor(signs, dtype=points.dtype)

    def network(places: Any) -> Any:
        there = smooth_fields(problem, places * flip + shift)
        return smooth_fields(problem, places) + with_signs * there

    here = law.with_any_normals(points)
    flips = torch.cat([flip, flip]) if law.normals else flip
    image = here * flips + torch.nn.functional.pad(shift, (0, len(flips) - len(flip)))
    unknowns = start_values(problem, points)
    earlier = (network, unknowns) if law.remembers else None
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = law(network, torch.cat([here, image]), unknowns, earlier).double()
    at_points, at_images = found.chunk(2, 1)
    same, opposite = ((at_images - s * at_points).abs().amax(1) for s in (1, -1))
    return bool((torch.minimum(same, opposite) <= ROUNDING * at_points.abs().amax(1)).all())
