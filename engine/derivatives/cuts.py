"""Where something changes along a line, by bisection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]
Mask = NDArray[np.bool_]

SCANNED, HALVINGS = 4097, 50
"""Places of a line that are looked at for where it is cut, and halvings of what holds a cut."""


def kept_intervals(belongs: Callable[[Places], Mask]) -> list[tuple[float, float]]:
    """The intervals of [0, 1] whose places belong."""
    edges = np.linspace(0, 1, SCANNED)
    middles = (edges[1:] + edges[:-1]) / 2  # corners, where two sides are one, are no middles
    kept = belongs(middles)
    changes = np.flatnonzero(kept[1:] != kept[:-1])
    cuts = bisected(belongs, middles[changes], middles[changes + 1])
    ends = np.concatenate([[0.0], cuts, [1.0]])
    inside = np.concatenate([kept[:1], kept[changes + 1]])
    return [
        (float(a), float(b)) for a, b, here in zip(ends[:-1], ends[1:], inside, strict=True) if here
    ]


def bisected(belongs: Callable[[Places], Mask], low: Places, high: Places) -> Places:
    """Where what holds at each `low`, and not at its `high`, or the other way round, changes."""
    first = belongs(low) if len(low) else np.empty(0, bool)
    for _ in range(HALVINGS if len(low) else 0):
        middle = (low + high) / 2
        same = belongs(middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2
