"""Information by relative binning: one bin width a layer, so neurons that move little get few bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def positions(values: Array, bins: int) -> Array:
    """Where each value lies in its neuron's range, in bin widths from the middle: (points, neurons).

    z = (x − (min_j + max_j) / 2) / w, with one width for the layer, w = mean_j (max_j − min_j) / bins.
    The bin is the whole number nearest to z: measured from the middle, a change of a neuron's sign does
    no more than rename its bins. Zero where no neuron moves; NaN throughout where a value is not finite.

    Raises:
        ValueError: not a matrix with at least one point and one neuron.

    Relative binning: Anagnostopoulos et al., arXiv 2403.18494.
    """
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"expected values (points, neurons), at least one of each; found shape {values.shape}"
        )
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    low, high = values.min(0), values.max(0)
    with np.errstate(over="ignore", invalid="ignore"):
        ranges = high - low
        # An exact sum: the width is the same in whatever order the neurons come.
        width = values.dtype.type(math.fsum((ranges / len(ranges)).tolist()) / bins)
    if not np.isfinite(width):
        return np.full_like(values, math.nan)
    if width == 0:
        return np.zeros_like(values)
    found = values - (low / 2 + high / 2)
    found /= width
    return found


def symbols(positions: Array) -> NDArray[np.int64]:
    """The rows of bin numbers T, each distinct row named by a number 0, 1, …: (points,).

    Exact: rows are compared as they are, not by a hash of them.

    Raises:
        ValueError: a position is not finite.
    """
    rounded = np.rint(positions)
    furthest = float(np.abs(rounded).max())
    if not math.isfinite(furthest):
        raise ValueError("values that are not finite have no bins")
    numbers = np.ascontiguousarray(rounded, np.min_scalar_type(-max(int(furthest), 1)))
    rows = numbers.view(f"V{numbers.dtype.itemsize * numbers.shape[1]}").ravel().tolist()
    names: dict[bytes, int] = {}
    return np.array([names.setdefault(row, len(names)) for row in rows])


def entropy(symbols: NDArray[np.int64]) -> float:
    """H = −Σ p log₂ p in bits, p the shares of the distinct symbols; between 0 and log₂ N."""
    counts = np.sort(np.unique(symbols, return_counts=True)[1])
    total = len(symbols)
    return max(math.log2(total) - float(counts @ np.log2(counts)) / total, 0.0)


def mutual_information(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """I(A; B) = H(A) + H(B) − H(A, B) in bits, between 0 and min(H(A), H(B))."""
    pairs = first * (second.max() + 1) + second
    alone = entropy(first), entropy(second)
    return min(max(sum(alone) - entropy(pairs), 0.0), *alone)
