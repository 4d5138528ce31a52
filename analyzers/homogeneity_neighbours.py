"""How much alike neighbouring points are, which no period of the solution can hide."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest(
    points: NDArray[Any], lower: Sequence[float], upper: Sequence[float], count: int
) -> NDArray[np.int64]:
    """Numbers of the `count` nearest other points of each point (n, dimension), (n, count).

    Distances are those of the domain scaled to a unit cube. Fewer columns where there are fewer points.
    """
    from scipy.spatial import KDTree

    scaled = (np.asarray(points, float) - lower) / np.subtract(upper, lower)
    others = min(count, len(scaled) - 1)
    if others < 1:
        return np.empty((len(scaled), 0), dtype=np.int64)
    _, found = KDTree(scaled).query(scaled, k=np.arange(2, others + 2))  # the first is itself
    return np.asarray(found, dtype=np.int64)


_last: tuple[weakref.ref[Any], Any, NDArray[np.int64]] | None = None


def nearest_of(
    points: Any, lower: Sequence[float], upper: Sequence[float], count: int
) -> NDArray[np.int64]:
    """`nearest` of a tensor of points, found once for as long as the points are the same tensor."""
    global _last
    key = points._version, tuple(lower), tuple(upper), count
    if _last is None or _last[0]() is not points or _last[1] != key:
        array = points.double().cpu().numpy()
        _last = weakref.ref(points), key, nearest(array, lower, upper, count)
    return _last[2]


def neighbour_order(values: NDArray[Any], neighbours: NDArray[np.int64]) -> float:
    """φ_n = v̄ / √(v̄² + C) with C = mean_ij (v_i − v̄)(v_j − v̄) over all points i and their neighbours j.

    Of values (n,) that are not negative, and their `neighbours` (n, count); above 0 and at most 1. C is
    the variance of the values times their Moran's I (Moran 1950): the part of the variance that
    neighbours share. A residual order of cells has the variance of the cells' means in its place, which
    is zero where a period of the solution divides the cells. Here structure of any period longer than
    the distance between points lowers the order, and noise from point to point does not. C < 0 counts
    as none: 1. No values: NaN.
    """
    if not len(values):
        return math.nan
    largest = float(np.max(values))
    if largest == 0 or not neighbours.size:
        return 1.0
    scaled = np.asarray(values, float) / largest  # squares would underflow
    mean = float(scaled.mean())
    differences = scaled - mean
    shared = float((differences[:, None] * differences[neighbours]).mean())
    return mean / math.sqrt(mean**2 + max(shared, 0.0))
