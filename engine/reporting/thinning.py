"""Lines of very many points as what one sees of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

Array = NDArray[Any]
STRETCHES = 400
DOTS = 800


def thin(line: Line2D) -> None:
    """Of a line that goes from left to right, keep the ends, lows and highs of each stretch.

    Of points without a line between them some are kept, as evenly as their logarithms go.
    """
    x, y = (np.asarray(line.get_data()[i], dtype=float) for i in (0, 1))
    if len(x) <= 4 * STRETCHES or not (np.diff(x) >= 0).all():
        return
    if line.get_linestyle() in ("None", " ", ""):
        line.set_data(x[chosen := evenly(x, DOTS)], y[chosen])
        return
    line.set_markevery([])
    chosen = extremes(x, y)
    line.set_data(x[chosen], y[chosen])


def extremes(x: Array, y: Array) -> Array:
    """Indices of the first, last, lowest and highest finite value of each stretch, and of a gap."""
    kept = {0, len(x) - 1}
    for begin, end in pairwise([*evenly(x, STRETCHES), len(x)]):
        finite = np.isfinite(y[begin:end])
        known = begin + np.flatnonzero(finite)
        if len(known):
            kept |= {known[0], known[-1], known[y[known].argmin()], known[y[known].argmax()]}
        if not finite.all():
            kept.add(begin + int(finite.argmin()))
    return np.array(sorted(kept))


def evenly(x: Array, count: int) -> Array:
    """Indices of at most `count` values, as evenly as their logarithms go if they are positive."""
    spaced = np.geomspace if x[0] > 0 else np.linspace
    return np.unique(np.searchsorted(x, spaced(x[0], x[-1], count)).clip(0, len(x) - 1))
