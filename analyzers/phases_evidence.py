"""What a trace says for and against order, in bins of the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scores = Mapping[str, Floats]
"""From −½ in disorder to ½ in order, one a bin, by what they are taken from."""

PER_DECADE = 20
"""Bins of the steps, equal in the logarithm: phases differ in length by orders of magnitude."""
HELD = 5
"""A level is held where it is the median of so many bins."""
AGREED = 10.0
"""S above which gradients agree wholly: at first, while weights are small, S is 1e5 and more."""
APART = 3.0
"""Levels of S are told apart by this factor."""
DISORDERED = 0.2
"""S below which gradients are never in order."""
EVEN = 0.05
"""Squared coefficient of variation 1/φ² − 1 below which residuals are alike (φ > 0.976)."""
UNEVEN = 0.5
"""The same above which they surely are not (φ < 0.816)."""

GRADIENTS, RESIDUALS, ERROR, LOSS = "gradient SNR", "residual order", "relative L2 error", "loss"


@frozen(eq=False)
class Binned:
    """Medians of a quantity in bins, and medians of those of each HELD bins in a row."""

    levels: Floats
    held: Floats

    @classmethod
    def of(cls, values: Floats, first: NDArray[np.int64]) -> Binned:
        """Of measurements; NaN, which comes before the first that is known, counts as the highest."""
        count = np.diff(first, append=len(values))
        order = np.lexsort((values, np.repeat(np.arange(len(first)), count)))
        middle = [values[order[first + half]] for half in ((count - 1) // 2, count // 2)]
        return cls.of_levels((middle[0] + middle[1]) / 2)

    @classmethod
    def of_levels(cls, levels: Floats) -> Binned:
        if len(levels) < HELD:
            return cls(levels, np.empty(0))
        windows = np.lib.stride_tricks.sliding_window_view(levels, HELD)
        return cls(levels, np.sort(windows, axis=1)[:, HELD // 2])

    def between(self, begin: int, end: int) -> tuple[Floats, Floats]:
        """Levels and held levels of these bins alone."""
        return self.levels[begin:end], self.held[begin : max(end - HELD + 1, begin)]


@frozen(eq=False)
class Evidence:
    """Measurements in the order of their steps, and their bins.

    All that is said of bins up to `end` follows from measurements in these bins.

    Attributes:
        steps: (measurements,)
        first: number of the first measurement of each bin, (bins,).
        ratios: S of the whole loss and of its PDE part, (measurements,) each; NaN before it is known.
        agreement: log10 S, for each of `ratios`.
        unevenness: 1/φ² − 1 of the residual order, its squared coefficient of variation.
        error, loss: squared relative error, and the loss.
    """

    steps: Floats
    first: NDArray[np.int64]
    ratios: tuple[Floats, ...]
    agreement: tuple[Binned, ...]
    unevenness: Binned
    error: Binned
    loss: Binned

    @classmethod
    def of(
        cls,
        steps: ArrayLike,
        mean_norm: ArrayLike,
        std_norm: ArrayLike,
        residual_order: ArrayLike | None = None,
        pde_snr: ArrayLike | None = None,
        error: ArrayLike | None = None,
        loss: ArrayLike | None = None,
    ) -> Evidence:
        """Of the arguments of `find_phases`; measurements whose S is not a number are left out."""
        at, mean, std = (np.asarray(values, float) for values in (steps, mean_norm, std_norm))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = mean / std
        usable = np.isfinite(at) & (at >= 1) & (ratio >= 0)
        chosen = np.flatnonzero(usable)[np.argsort(at[usable], kind="stable")]
        at = at[chosen]
        first = np.flatnonzero(np.diff(np.floor(np.log10(at) * PER_DECADE + 1e-9), prepend=-1))

        def known(values: ArrayLike | None) -> Floats:
            if values is None:
                return np.full(len(at), np.nan)
            found = np.asarray(values, float)[chosen]
            return newest(np.where(np.isfinite(found), found, np.nan))

        ratios = tuple(r.clip(1e-9, 1e9) for r in (ratio[chosen], known(pde_snr)))
        return cls(
            steps=at,
            first=first,
            ratios=ratios,
            agreement=tuple(Binned.of(np.log10(r), first) for r in ratios),
            unevenness=Binned.of(known(residual_order).clip(1e-6, 1) ** -2.0 - 1, first),
            error=Binned.of(known(error) ** 2, first),
            loss=Binned.of(known(loss), first),
        )

    def __len__(self) -> int:
        return len(self.first)

    def step(self, number: int) -> int:
        """Of the first measurement in this bin."""
        return int(self.steps[self.first[number]])

    # for the end of fitting

    def disagreement(self, end: int) -> tuple[int, Scores] | None:
        """Whether the gradients agree less than in fitting, from the bin on at which they agree most.

        The score is high in disorder. None where S has not fallen by a factor yet.
        """
        _, held = self.agreement[0].between(0, end)
        if not len(held):
            return None
        held = held.clip(max=math.log10(AGREED))
        most = int(held.argmax())
        boundary = _between(float(held[most:].min()), float(held[most]))
        if boundary is None:
            return None
        return most, {GRADIENTS: -self._shares(0, most, end, boundary)}

    def dispersion(self, end: int) -> tuple[int, Scores] | None:
        """Whether the residuals are less alike than at first; None if they never were, or still are."""
        levels, held = self.unevenness.between(0, end)
        if not len(held) or not (held[0] < EVEN and held[-1] > UNEVEN):
            return None
        return 0, {RESIDUALS: levels / (levels + EVEN) - 0.5}

    # for total diffusion

    def order(self, begin: int, end: int) -> Scores:
        """Whether gradients agree, residuals are alike and the error has fallen, since bin `begin`."""
        found = {
            GRADIENTS: self._gradients(begin, end),
            RESIDUALS: self._residuals(begin, end),
            ERROR: _fall(self.error, begin, end),
        }
        if found[ERROR] is None:
            found[LOSS] = _fall(self.loss, begin, end)
        return {name: scores for name, scores in found.items() if scores is not None}

    def _gradients(self, begin: int, end: int) -> Floats | None:
        """The mean over whole loss and PDE part.

        Where S stays on one level, it speaks against order if it is below 1, and says nothing above.
        """
        scores = []
        for which, series in enumerate(self.agreement):
            levels, held = series.between(begin, end)
            if not len(held) or np.isnan(levels[0]):
                continue
            least = int(held.argmin())
            boundary = _between(float(held[least]), float(held[least:].max()))
            if boundary is None and np.median(held) < 0:
                boundary = 1.0
            if boundary is not None:
                scores.append(self._shares(which, begin, end, boundary))
        return np.mean(scores, axis=0) if scores else None

    def _residuals(self, begin: int, end: int) -> Floats | None:
        """The share of unevenness that has gone; residuals that were alike all along say little."""
        levels, held = self.unevenness.between(begin, end)
        if not len(held) or np.isnan(levels[0]) or (worst := held.max()) < EVEN:
            return None
        gone, alike = (worst - levels) / (worst + EVEN), EVEN / (EVEN + levels)
        return np.maximum(gone, alike.clip(max=0.5)) - 0.5

    def _shares(self, which: int, begin: int, end: int, boundary: float) -> Floats:
        """The share of signal S² / (S² + c²) less ½, its mean in each bin.

        Bounded, so that a spike weighs no more than any other measurement.
        """
        places = self.first[begin:end]
        last = self.first[end] if end < len(self) else len(self.steps)
        squares = self.ratios[which][places[0] : last] ** 2
        sums = np.add.reduceat(squares / (squares + boundary**2), places - places[0])
        return sums / np.diff(places, append=last) - 0.5


def _fall(series: Binned, begin: int, end: int) -> Floats | None:
    """The share of the median that has gone, less ½."""
    levels, _ = series.between(begin, end)
    known = levels[~np.isnan(levels)]
    if len(known) < HELD or (median := np.median(known)) <= 0:
        return None
    return np.where(np.isnan(levels), 0.0, (1 - levels / median).clip(0) - 0.5)


def _between(low: float, high: float) -> float | None:
    """The S between two levels (log10), which is 1, signal as large as noise, wherever it can be."""
    margin = math.log10(APART) / 2
    if high - low < 2 * margin:
        return None
    return max(10 ** min(max(0.0, low + margin), high - margin), DISORDERED)


def newest(values: Floats) -> Floats:
    """The newest value in place of NaN; NaN stays where there was none yet."""
    places = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(places)]
