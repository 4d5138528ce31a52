"""Few seeds, said honestly: intervals, censored times, and tests that can go either way."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from attrs import frozen
from scipy.stats import CensoredData, binomtest, ecdf, logrank

LEVEL = 0.95


@frozen
class Share:
    """How often something holds, against chance.

    Attributes:
        held, of: so many of so many.
        chance: the share that chance alone makes.
        low, high: exact 95 % interval of the share (Clopper & Pearson 1934).
    """

    held: int
    of: int
    chance: float
    low: float
    high: float

    @classmethod
    def counted(cls, outcomes: Sequence[bool], chance: float) -> Share:
        held, of = sum(outcomes), len(outcomes)
        if not of:
            return cls(0, 0, chance, 0.0, 1.0)
        interval = binomtest(held, of).proportion_ci(LEVEL, method="exact")
        return cls(held, of, chance, float(interval.low), float(interval.high))

    @property
    def word(self) -> str:
        """Yes where the interval lies above chance, no where it lies below, else undecided."""
        if not self.of:
            return "not measured"
        if self.low > self.chance:
            return "yes"
        return "no" if self.high < self.chance else "undecided"


def median_and_range(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and largest; the range of five values covers the true median at 94 %."""
    return median(values), min(values), max(values)


@frozen
class Time:
    """When something happened, or the last step at which it had not (right-censored)."""

    step: float
    happened: bool


def median_time(times: Sequence[Time]) -> float | None:
    """The Kaplan-Meier median; None where fewer than half have seen it happen (Kaplan & Meier 1958)."""
    survival = ecdf(_censored(times)).sf
    reached = np.flatnonzero(survival.probabilities <= 0.5)
    return float(survival.quantiles[reached[0]]) if len(reached) else None


def sooner(first: Sequence[Time], second: Sequence[Time]) -> float:
    """Two-sided probability that times so different come from one distribution (log-rank, Mantel 1966).

    NaN where it happened in neither.
    """
    if not any(time.happened for time in (*first, *second)):
        return float("nan")
    return float(logrank(_censored(first), _censored(second)).pvalue)


def _censored(times: Sequence[Time]) -> CensoredData:
    return CensoredData(
        uncensored=[t.step for t in times if t.happened],
        right=[t.step for t in times if not t.happened],
    )
