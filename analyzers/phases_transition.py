"""How a transition between phases looks: how abrupt it is, and what changes across it.

Of any recorded quantity, at a step that is known; steps are compared by their logarithm, in decades.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NEAR = 0.5
"""Decades of steps before and after a transition that are looked at."""
PER_DECADE = 100
"""Bins of the steps, equal in the logarithm: equidistant measurements crowd behind a transition."""
FEW = 8
"""Bins that a fit needs, twice as many as it has unknowns."""
GRID, ZOOMS, TINY = 31, 4, 1e-300
"""Widths and middles that are tried at once; how often more closely; what does not divide by zero."""
WINDOW = 11
"""Measurements of a running median, that in the middle left out."""
GAUSSIAN = 1.4826
"""Standard deviation over median absolute deviation, of the normal distribution."""

BIMODAL_UNIFORM, BIMODAL_NORMAL = 5 / 9, 1 / 3
"""Sarle's coefficient of a uniform and of a normal distribution; of two values it is 1."""


@frozen
class Change:
    """A quantity before and after a transition; NaN where it was not measured.

    Attributes:
        before, after: what it was on both sides.
        difference: after − before.
        ratio: after / before, NaN where that is 0.
    """

    before: float
    after: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def ratio(self) -> float:
        return self.after / self.before if self.before else math.nan


@frozen
class Abruptness:
    """How nearly a transition is a jump, which in physics would make it one of first order.

    Attributes:
        jump: ratio of the medians after and before.
        width: decades of steps from 10 % to 90 % of the rise of the logarithm; at least `resolution`.
        resolution: decades between the measurements on both sides of the transition: no width below it
            can be told from a jump.
        bimodality: Sarle's coefficient of the logarithms, see `bimodality`.
    """

    jump: float
    width: float
    resolution: float
    bimodality: float


def around(steps: ArrayLike, values: ArrayLike, at: float, decades: float = NEAR) -> Change:
    """Medians of a quantity within so many decades of steps before and after step `at`.

    Before are steps from at / 10^decades, after those from `at`, up to at · 10^decades. Of saturation,
    binarisation or weight norms it is their change at the transition; the last value would have all that
    came later in it. Values that are not finite are left out.
    """
    return Change(*(_median(values) for _, values in _sides(steps, values, at, decades)))


def abruptness(steps: ArrayLike, values: ArrayLike, at: float, decades: float = NEAR) -> Abruptness:
    """How abruptly positive values, such as the SNR, change around step `at`.

    Args:
        steps: (measurements,), in any order.
        values: (measurements,); what is not positive and finite is left out.
        at: the step of the first measurement behind the transition.
        decades: of steps before and after that are looked at; less where another transition is near.
    """
    usable, kept = _positive(steps, values)
    (before, low), (after, high) = _sides(usable, np.log10(kept), at, decades)
    # Relative to the transition, so that no bin holds measurements of both sides.
    places, logs = np.log10(np.concatenate([before, after]) / at), np.concatenate([low, high])
    gap = float(np.log10(after[0] / before[-1])) if len(before) and len(after) else math.nan
    first = np.unique(_bins(places), return_index=True)[1]
    return Abruptness(
        jump=float(10 ** (_median(high) - _median(low))),
        width=max(rise_width(places, logs), gap),
        resolution=gap,
        bimodality=bimodality(logs[first]),
    )


def rise_width(places: Floats, values: Floats) -> float:
    """The distance over which values rise or fall from 10 % to 90 % of the way, in units of `places`.

    That of the logistic curve low + rise / (1 + exp(−2 ln 9 (x − middle) / width)) that fits best, in
    the least squares of medians in bins of a hundredth; running medians of five bins remove spikes and
    leave edges. Badly determined where a rise fills the whole range, or where values go to and fro
    between two levels. NaN of fewer than 8 bins, and of a constant.

    Args:
        places: x, (n,), such as log10 of the steps.
        values: (n,), such as log10 of the SNR.
    """
    bins = _bins(places)
    numbers = np.unique(bins)
    if len(numbers) < FEW or not np.ptp(values):
        return math.nan
    x, y = (np.array([np.median(v[bins == n]) for n in numbers]) for v in (places, values))
    y = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(y, 2, "edge"), 5), axis=1)
    y = y - y.mean()
    ends = np.array([math.log(1 / PER_DECADE), x[0]]), np.array([math.log(4 * np.ptp(x)), x[-1]])
    for _ in range(ZOOMS):
        grids = np.linspace(*ends, GRID)
        log_widths, middles = (grid.ravel() for grid in np.meshgrid(*grids.T, indexing="ij"))
        scaled = (x - middles[:, None]) * (math.log(9) / np.exp(log_widths))[:, None]
        curves = np.tanh(scaled)  # the logistic curve, but for its height
        curves -= curves.mean(1, keepdims=True)
        explained = (curves @ y) ** 2 / np.maximum((curves**2).sum(1), TINY)
        best = np.array([log_widths[explained.argmax()], middles[explained.argmax()]])
        cell = (ends[1] - ends[0]) / (GRID - 1)
        ends = np.maximum(ends[0], best - cell), np.minimum(ends[1], best + cell)
    return math.exp(best[0])


def bimodality(values: Floats) -> float:
    """Sarle's coefficient (g² + 1) / (k + 3 (n − 1)² / ((n − 2)(n − 3))), above 0.

    g is the skewness and k the excess kurtosis of the n values, both corrected for n. 1 is two values,
    whatever their shares, 5/9 the uniform distribution, as of a steady ramp, 1/3 the normal one. Above
    5/9 speaks for two states without proving them: a single skewed peak can exceed it too. NaN of fewer
    than four values, and where all are equal. Pfister et al., Front. Psychol. 4:700, 2013.
    """
    n = len(values)
    if n < 4 or not np.ptp(values):
        return math.nan
    off = (values - values.mean()) / np.ptp(values)
    variance = np.mean(off**2)
    skewness = np.mean(off**3) / variance**1.5 * math.sqrt(n * (n - 1)) / (n - 2)
    pairs = (n - 2) * (n - 3)
    excess = (n - 1) / pairs * ((n + 1) * (np.mean(off**4) / variance**2 - 3) + 6)
    return float((skewness**2 + 1) / (excess + 3 * (n - 1) ** 2 / pairs))


def scatter_around(steps: ArrayLike, losses: ArrayLike, at: float, decades: float = NEAR) -> Change:
    """How a loss scatters from measurement to measurement before and after step `at`, in decades.

    On each side `scatter` of log10 of what is positive and finite, in the order of the steps.
    """
    usable, kept = _positive(steps, losses)
    sides = _sides(usable, np.log10(kept), at, decades)
    return Change(*(scatter(logs) for _, logs in sides))


def scatter(values: Floats) -> float:
    """Robust standard deviation of a sequence about its running median, of five values on each side.

    1.4826 times the median absolute deviation: the standard deviation of normal noise, to within a
    tenth. NaN of fewer than 22 values.
    """
    if len(values) < 2 * WINDOW:
        return math.nan
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW)
    off = windows[:, WINDOW // 2] - np.median(np.delete(windows, WINDOW // 2, axis=1), axis=1)
    return GAUSSIAN * float(np.median(np.abs(off)))


def _sides(
    steps: ArrayLike, values: ArrayLike, at: float, decades: float
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Steps and finite values, in order, within so many decades before `at` and from it on."""
    given, found = np.asarray(steps, float), np.asarray(values, float)
    factor = 10**decades
    near = np.isfinite(found) & (given >= at / factor) & (given <= at * factor)
    order = np.flatnonzero(near)[np.argsort(given[near], kind="stable")]
    given, found = given[order], found[order]
    begun = int(np.searchsorted(given, at))
    return (given[:begun], found[:begun]), (given[begun:], found[begun:])


def _positive(steps: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    given, found = np.asarray(steps, float), np.asarray(values, float)
    usable = np.isfinite(found) & (found > 0) & (given >= 1)
    return given[usable], found[usable]


def _bins(places: Floats) -> NDArray[np.int64]:
    return np.floor(places * PER_DECADE + 1e-9).astype(np.int64)


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else math.nan
