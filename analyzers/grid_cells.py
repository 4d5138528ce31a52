"""Averages over the cells of a grid that divides the domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cell_numbers(
    points: NDArray[Any], lower: Sequence[float], upper: Sequence[float], cells: int
) -> NDArray[np.int64]:
    """The cell of each point (n, dimension) on a grid of `cells` cells a coordinate, (n,).

    Numbered in C order. The upper end of the domain belongs to the last cell.
    """
    scaled = (np.asarray(points, float) - lower) / np.subtract(upper, lower)
    places = np.clip((scaled * cells).astype(np.int64), 0, cells - 1)
    shape = (cells,) * len(lower)
    return np.ravel_multi_index(tuple(places.T), shape)


def cell_means(values: NDArray[Any], numbers: NDArray[Any], count: int) -> NDArray[np.float64]:
    """The mean of the values (n,) in each of `count` cells, (count,); NaN in an empty cell."""
    members = np.bincount(numbers, minlength=count)
    sums = np.bincount(numbers, weights=values, minlength=count)
    return np.divide(sums, members, out=np.full(count, np.nan), where=members > 0)
