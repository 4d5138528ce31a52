"""Gauss-Legendre quadrature: along coordinates, over a shape's inside or a part of its boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from attrs import evolve
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from pinn.core.domain import Box, Face, Points, Product, Shape
from pinn.core.errors import PinnError, one_of
from pinn.engine.derivatives.cuts import kept_intervals
from pinn.engine.derivatives.inner_quadrature import gauss, inner_quadrature
from pinn.engine.derivatives.quantities import Rule

MIDPOINTS = 128
"""In each direction, of a surface that is cut."""


def quadrature(
    domain: Shape,
    over: str | Sequence[str],
    nodes: int,
    points: Tensor,
    low: Any = None,
    high: Any = None,
) -> Rule:
    """The rule at each of the points (n, dimension), or one for all where it fixes every coordinate.

    Raises:
        PinnError: `over` is no coordinate of a box and no part of a boundary; several coordinates with
            ends of their own, or some of those that a shape bounds together.
    """
    if not isinstance(over, str):
        return _inside(domain, tuple(over), nodes, points, low, high)
    if over in domain.names:
        return _along(domain, over, nodes, points, low, high)
    if isinstance(domain, Box):
        raise PinnError(
            f"q.integral: over={over!r} is no coordinate; there are {one_of(domain.names)}. Over a face "
            'it is that of a coordinate, as in q.at(x=1).integral("u_x", over="y")'
        )
    names, (places, across), weights = _around(domain, over, nodes)
    rule = _everywhere(domain, names, places, weights, points)
    normals = points.new_zeros(len(weights), points.shape[1])
    normals[:, [domain.names.index(name) for name in names]] = points.new_tensor(across)
    return evolve(rule, normals=normals.repeat(len(rule.weights), 1))


def _everywhere(
    domain: Shape, names: Sequence[str], places: Points, weights: Points, points: Tensor
) -> Rule:
    """The same values of some coordinates at each of the points, whose others stay as they are."""
    if len(names) == len(domain.names):
        points = points[:1]  # one rule for all
    placed = points[:, None, :].expand(-1, len(weights), -1).clone()
    placed[:, :, [domain.names.index(name) for name in names]] = points.new_tensor(places)
    return Rule(
        placed.reshape(-1, points.shape[1]), points.new_tensor(weights).expand(len(points), -1)
    )


def _inside(
    domain: Shape, over: tuple[str, ...], nodes: int, points: Tensor, low: Any, high: Any
) -> Rule:
    if low is not None or high is not None:
        raise PinnError("q.integral: low and high go with a single coordinate")
    if not over or len({*over}) < len(over) or not {*over} <= {*domain.names}:
        raise PinnError(
            f"q.integral: over={over} should be coordinates; there are {one_of(domain.names)}"
        )
    shape = domain.shape if isinstance(domain, Product) else domain
    together = () if isinstance(domain, Box) else shape.names
    if {*over} & {*together} and not {*together} <= {*over}:
        raise PinnError(
            f"q.integral: over={over} has some of {', '.join(together)}, which bound the shape together"
        )
    names = [name for name in over if name not in together]
    rules = [gauss(*domain.intervals[name], nodes) for name in names]
    if {*over} & {*together}:
        names += together
        rules.append(inner_quadrature(shape, nodes))
    chosen = np.indices([len(weights) for _, weights in rules]).reshape(len(rules), -1)
    places = np.column_stack([p[i] for (p, _), i in zip(rules, chosen, strict=True)])
    weights = np.prod([w[i] for (_, w), i in zip(rules, chosen, strict=True)], axis=0)
    return _everywhere(domain, names, places, weights, points)


def _along(domain: Shape, over: str, nodes: int, points: Tensor, low: Any, high: Any) -> Rule:
    if (low is None or high is None) and over not in _straight(domain):
        raise PinnError(
            f"q.integral over {over} needs low and high: on this shape its ends are not the same "
            "everywhere"
        )
    ends = domain.intervals[over]
    zero = torch.zeros_like(points[:, :1])
    begin, end = (
        zero + (default if value is None else _column(value))
        for value, default in zip((low, high), ends, strict=True)
    )
    places, weights = (points.new_tensor(each) for each in leggauss(nodes))
    along = begin + (end - begin) * (places + 1) / 2
    column = domain.names.index(over)
    placed = [
        along if number == column else points[:, number : number + 1].expand(-1, nodes)
        for number in range(points.shape[1])
    ]
    return Rule(torch.stack(placed, 2).reshape(-1, points.shape[1]), (end - begin) / 2 * weights)


def _column(value: Any) -> Any:
    value = value.tensor() if hasattr(value, "tensor") else value
    return value[:, None] if isinstance(value, Tensor) and value.ndim == 1 else value


def _straight(domain: Shape) -> Sequence[str]:
    """The coordinates whose ends are the same at all points."""
    if isinstance(domain, Box):
        return domain.names
    others = getattr(domain, "others", None)
    return others.names if isinstance(others, Box) else ()


@lru_cache(maxsize=64)
def _around(
    domain: Shape, over: str, nodes: int
) -> tuple[Sequence[str], tuple[Points, Points], Points]:
    """The coordinates of a part of the boundary, points and normals on it, and weights."""
    names, pieces = domain.around(over)
    found = [rule for piece in pieces for rule in _of_piece(piece, nodes)]
    if not found:
        raise PinnError(f"q.integral: nothing is left of {over!r}")
    points, normals, weights = (np.concatenate(each) for each in zip(*found, strict=True))
    return names, (points, normals), weights


def _of_piece(piece: Face, nodes: int) -> Iterator[tuple[Points, Points, Points]]:
    dimension = 0 if piece.free is None else piece.free.dimension
    if dimension == 0:
        yield _kept(piece, np.empty((1, 0)), np.ones(1))
    elif dimension == 1:
        for begin, end in _uncut(piece):
            along, weights = gauss(begin, end, nodes)
            yield _kept(piece, along[:, None], weights * piece.measure)
    else:
        places, weights = gauss(0, 1, nodes)
        if not piece.whole:
            places = (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
            weights = np.full(MIDPOINTS, 1 / MIDPOINTS)
        grid = np.stack([g.ravel() for g in np.meshgrid(places, places, indexing="ij")], axis=1)
        yield _kept(piece, grid, np.outer(weights, weights).ravel() * piece.measure)


def _kept(piece: Face, parameters: Points, weights: Points) -> tuple[Points, Points, Points]:
    points, normals, kept = piece.place(parameters)
    return points[kept], normals[kept], weights[kept]


def _uncut(piece: Face) -> list[tuple[float, float]]:
    """The intervals of the parameter that belong to the boundary."""
    if piece.whole:
        return [(0.0, 1.0)]
    return kept_intervals(lambda parameters: piece.place(parameters[:, None])[2])
