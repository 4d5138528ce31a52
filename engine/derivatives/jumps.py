"""Coefficients of derivatives that jump inside of the domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from pinn.core.domain import Points
from pinn.core.errors import PinnError
from pinn.core.problem import Problem
from pinn.engine.derivatives.cuts import Places, bisected
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.quantities import named_tensors
from pinn.engine.derivatives.stand_ins import stand_ins
from pinn.engine.derivatives.unknowns import start_values

LINES, ALONG = 5, 513
"""Straight lines through the domain, and places on each, at which coefficients are looked at."""
LARGE = 0.05
"""Of the largest coefficient: a change between neighbours that is looked at closer."""


@frozen
class Jump:
    """An equation, and a place at which the factor of one of its derivatives is not continuous."""

    equation: str
    place: Points


def jumps(problem: Problem) -> Iterator[Jump]:
    """The first jump of each equation that has any.

    At a jump of k in (k u_x)_x = 0 the flux k u_x is continuous and the slope is not. Equations are
    asked at points, none of which is on the jump: k u_xx = 0 holds for any straight line.
    """
    generator = np.random.default_rng(0)
    ends = problem.domain.uniform(2 * LINES, generator)
    found: set[str] = set()
    for begin, end in zip(ends[:LINES], ends[LINES:], strict=True):

        def on_line(along: Places, begin: Points = begin, end: Points = end) -> Points:
            return begin + np.asarray(along)[:, None] * (end - begin)

        try:
            places = dict(_on_line(problem, on_line))
        except (PinnError, RuntimeError):
            return  # equations that look at other places, or need a network, are not known here
        for name in places.keys() - found:
            found.add(name)
            yield Jump(name, on_line(np.array([places[name]]))[0])


def _on_line(problem: Problem, on_line: Callable[[Places], Points]) -> Iterator[tuple[str, float]]:
    scanned = np.linspace(0, 1, ALONG)
    for (name, number), values in _coefficients(problem, on_line(scanned)).items():
        size = np.abs(values).max()
        for at in np.flatnonzero(np.abs(np.diff(values)) > LARGE * size):
            middle = (values[at] + values[at + 1]) / 2
            above = values[at + 1] > middle

            def beyond(
                along: Places, key: Any = (name, number), level: Any = (middle, above)
            ) -> Any:
                found = _coefficients(problem, on_line(along))[key]
                return (found > level[0]) == level[1]

            place = float(bisected(beyond, scanned[at : at + 1], scanned[at + 1 : at + 2])[0])
            near = np.clip([place - 1e-7, place + 1e-7], 0, 1)
            left, right = _coefficients(problem, on_line(near))[name, number]
            if abs(right - left) > LARGE * size:
                yield name, place
                break


def _coefficients(problem: Problem, points: Points) -> dict[tuple[str, int], Places]:
    """The slope of each equation, and of what it differentiates, in each derivative: {…: (n,)}."""
    slopes: list[Tensor] = []
    fluxes: list[tuple[Tensor, Any]] = []
    with torch.enable_grad():
        equations = _equations(problem, torch.as_tensor(points), slopes, fluxes)

    def asked(tensor: Any) -> Iterator[Tensor]:
        if isinstance(tensor, Tensor) and tensor.requires_grad:
            yield tensor
            for derivative, flux in fluxes:
                if _slopes(tensor, [derivative])[0] is not None:
                    yield from asked(flux)

    found: dict[tuple[str, int], Places] = {}
    for name, equation in equations.items():
        for tensor in asked(equation):
            for slope in _slopes(tensor, slopes):
                if slope is not None:
                    found[name, len(found)] = slope.numpy()
    return found


def _equations(
    problem: Problem, places: Tensor, slopes: list[Tensor], fluxes: list[tuple[Tensor, Any]]
) -> dict[str, Tensor]:
    """The equations of fields that are constants, as are their derivatives; any smooth field will do.

    Args:
        slopes: takes the derivatives that are asked for.
        fluxes: takes what stands for the derivative of an expression, and the expression.
    """

    def constant() -> Tensor:
        return torch.full((len(places),), 0.7, dtype=places.dtype, requires_grad=True)

    def slope() -> Tensor:
        slopes.append(constant())
        return slopes[-1]

    def differentiate(what: Any, _: Any) -> Tensor:
        fluxes.append((constant(), what))
        return fluxes[-1][0]

    fields = {name: constant() for name in components(problem)}
    q = stand_ins(problem, places, fields, slope, start_values(problem, places), differentiate)
    return named_tensors(problem.equations(q), len(places), "the equations")


def _slopes(tensor: Tensor, of: list[Tensor]) -> Sequence[Tensor | None]:
    return torch.autograd.grad(tensor.sum(), of, retain_graph=True, allow_unused=True) if of else ()
