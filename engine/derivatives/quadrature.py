"""Gauss-Legendre quadrature along a coordinate, or over a part of a shape's boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from pinn.core.domain import Box, Face, Points, Shape
from pinn.core.errors import PinnError, one_of
from pinn.engine.derivatives.quantities import Rule

SCANNED, HALVINGS = 4097, 50
"""Places of a curve that are looked at for where it is cut, and halvings of what holds a cut."""
MIDPOINTS = 128
"""In each direction, of a surface that is cut."""


def quadrature(
    domain: Shape, over: str, nodes: int, points: Tensor, low: Any = None, high: Any = None
) -> Rule:
    """The rule at each of the points (n, dimension).

    Raises:
        PinnError: `over` is no coordinate of a box and no part of a boundary.
    """
    if over in domain.names:
        return _along(domain, over, nodes, points, low, high)
    if isinstance(domain, Box):
        raise PinnError(
            f"q.integral: over={over!r} is no coordinate; there are {one_of(domain.names)}. Over a face "
            'it is that of a coordinate, as in q.at(x=1).integral("u_x", over="y")'
        )
    names, table, weights = _around(domain, over, nodes)
    columns = [domain.names.index(name) for name in names]
    count, size = len(points), len(weights)
    placed = points[:, None, :].expand(-1, size, -1).clone()
    placed[:, :, columns] = points.new_tensor(table[0])
    normals = points.new_zeros(size, points.shape[1])
    normals[:, columns] = points.new_tensor(table[1])
    return Rule(
        placed.reshape(-1, points.shape[1]),
        points.new_tensor(weights).expand(count, -1),
        normals.repeat(count, 1),
    )


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
            places, weights = leggauss(nodes)
            along = begin + (end - begin) * (places + 1) / 2
            yield _kept(piece, along[:, None], (end - begin) / 2 * weights * piece.measure)
    else:
        places, weights = leggauss(nodes)
        places, weights = (places + 1) / 2, weights / 2
        if not piece.whole:
            places = (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
            weights = np.full(MIDPOINTS, 1 / MIDPOINTS)
        grid = np.stack([g.ravel() for g in np.meshgrid(places, places, indexing="ij")], axis=1)
        yield _kept(piece, grid, np.outer(weights, weights).ravel() * piece.measure)


def _kept(piece: Face, parameters: Points, weights: Points) -> tuple[Points, Points, Points]:
    points, normals, kept = piece.place(parameters)
    return points[kept], normals[kept], weights[kept]


def _uncut(piece: Face) -> list[tuple[float, float]]:
    """The intervals of the parameter that belong to the boundary; their ends found by bisection."""

    def belongs(parameters: Points) -> Any:
        return piece.place(parameters[:, None])[2]

    if piece.whole:
        return [(0.0, 1.0)]
    scanned = np.linspace(0, 1, SCANNED)
    middles = (scanned[1:] + scanned[:-1]) / 2  # corners, where two sides are one, are no middles
    kept = belongs(middles)
    changes = np.flatnonzero(kept[1:] != kept[:-1])
    low, high, first = middles[changes], middles[changes + 1], kept[changes]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        same = belongs(middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    cuts = np.concatenate([[0.0], (low + high) / 2, [1.0]])
    inside = np.concatenate([kept[:1], kept[changes + 1]])
    return [
        (float(a), float(b)) for a, b, here in zip(cuts[:-1], cuts[1:], inside, strict=True) if here
    ]
