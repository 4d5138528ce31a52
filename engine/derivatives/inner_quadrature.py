"""Quadrature over the inside of a shape."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from pinn.core.domain import Face, Points, Shape
from pinn.engine.derivatives.cuts import Mask, Places, bisected, kept_intervals

SCANNED = 257
"""Places of a piece of the boundary, or of a line, that are looked at."""
LINES = 40
"""Across a body, in each of two directions."""
APART = 1e-9
"""Of the width: what is nearer is at the same place."""

Numbers = NDArray[np.signedinteger[Any]]
Rule = tuple[Points, Places]
"""Nodes (m, dimension) and weights (m,): ∫ f dV = Σ w f."""


@lru_cache(maxsize=16)
def inner_quadrature(shape: Shape, nodes: int) -> Rule:
    """Gauss-Legendre quadrature of so many nodes in each direction, of each part of a shape.

    A plane shape is swept by lines. Along each, the parts are what lies between two crossings of the
    boundary; across, what lies between corners and places where the boundary runs along the lines. There
    their length grows as a root, which x = (a + b)/2 − (b − a)/2 cos θ makes smooth in θ. A body is
    swept by 40 x 40 lines at the midpoints of a grid: good to about three digits.
    """
    return _plane(shape, nodes) if shape.dimension == 2 else _body(shape, nodes)


def gauss(low: float, high: float, nodes: int) -> tuple[Places, Places]:
    """Places and weights of Gauss-Legendre quadrature on an interval."""
    places, weights = leggauss(nodes)
    return low + (high - low) * (places + 1) / 2, (high - low) / 2 * weights


def _plane(shape: Shape, nodes: int) -> Rule:
    pieces = [piece for found in shape.parts().values() for piece in found if piece.free]
    edges = _corners_and_tangents(shape, pieces)
    angles, widths = gauss(0, np.pi, nodes)
    half = np.diff(edges)[:, None] / 2
    lines = (edges[:-1, None] + half * (1 - np.cos(angles))).ravel()
    across = (half * np.sin(angles) * widths).ravel()
    points, weights = [], []
    for x, width, crossings in zip(lines, across, _crossings(pieces, lines), strict=True):
        middles = (crossings[1:] + crossings[:-1]) / 2
        kept = shape.inside(np.column_stack([np.full(len(middles), x), middles]))
        for low, high in zip(crossings[:-1][kept], crossings[1:][kept], strict=True):
            along, weight = gauss(low, high, nodes)
            points.append(np.column_stack([np.full(nodes, x), along]))
            weights.append(width * weight)
    return np.concatenate(points), np.concatenate(weights)


def _corners_and_tangents(shape: Shape, pieces: list[Face]) -> Places:
    """The first coordinate of both, in order."""
    low, high = shape.lower[0], shape.upper[0]
    found = np.sort([low, high, *(x for piece in pieces for x in _of_piece(piece))])
    return found[np.concatenate([[True], np.diff(found) > APART * (high - low)])]


def _of_piece(piece: Face) -> Iterator[float]:
    def upward(places: Places) -> Mask:
        return piece.place(places[:, None])[1][:, 1] > 0

    scanned = np.linspace(0, 1, SCANNED)
    turned = np.flatnonzero(np.diff(upward(scanned)))
    turns = bisected(upward, scanned[turned], scanned[turned + 1])
    ends = kept_intervals(lambda places: piece.place(places[:, None])[2])
    yield from piece.place(np.array([*turns, *(e for each in ends for e in each)])[:, None])[0][
        :, 0
    ]


def _crossings(pieces: list[Face], lines: Places) -> list[Places]:
    """The second coordinate of where each of the lines meets the boundary, in order."""
    found: list[list[float]] = [[] for _ in lines]
    scanned = np.linspace(0, 1, SCANNED)
    for piece in pieces:
        beyond = piece.place(scanned[:, None])[0][:, :1] > lines
        places, line = np.nonzero(beyond[1:] != beyond[:-1])

        def further(at: Places, piece: Face = piece, line: Numbers = line) -> Mask:
            return piece.place(at[:, None])[0][:, 0] > lines[line]

        met = bisected(further, scanned[places], scanned[places + 1])
        for number, y in zip(line, piece.place(met[:, None])[0][:, 1], strict=True):
            found[number].append(y)
    return [np.sort(each) for each in found]


def _body(shape: Shape, nodes: int) -> Rule:
    low, high = np.array(shape.lower), np.array(shape.upper)
    middles = (np.arange(LINES) + 0.5) / LINES
    lines = np.stack([g.ravel() for g in np.meshgrid(middles, middles, indexing="ij")], axis=1)
    scanned = np.linspace(-1 / SCANNED, 1 + 1 / SCANNED, SCANNED)

    def belongs(line: Numbers, along: Places) -> Mask:
        return shape.inside(low + (high - low) * np.column_stack([lines[line], along]))

    every = np.repeat(np.arange(len(lines)), SCANNED)
    kept = belongs(every, np.tile(scanned, len(lines))).reshape(-1, SCANNED)
    line, place = np.nonzero(kept[:, 1:] != kept[:, :-1])
    cuts = bisected(lambda along: belongs(line, along), scanned[place], scanned[place + 1])
    line, begin, length = line[::2], cuts[::2, None], np.diff(cuts)[::2, None]
    places, weights = gauss(0, 1, nodes)
    along = (begin + length * places).ravel()
    points = low + (high - low) * np.column_stack([lines[np.repeat(line, nodes)], along])
    return points, np.prod(high - low) / LINES**2 * (length * weights).ravel()
