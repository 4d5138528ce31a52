"""What a quantity was at the end of a run: what conclusions are drawn from."""

from __future__ import annotations

import numpy as np

from pinn.core import Records

DECADES = 0.5
"""Of steps that count as the end: from a third of the run on."""
ENOUGH = 3
"""Measurements that a conclusion needs."""


def recent(records: Records, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of a quantity over the last half decade of steps, (n,) both."""
    steps, values = records.series(name)
    if not len(steps):
        return steps, np.empty(0)
    begin = steps >= steps[-1] / 10**DECADES
    found = values[begin].astype(float)
    finite = np.isfinite(found)
    return steps[begin][finite], found[finite]


def lately(records: Records, name: str) -> float | None:
    """The median of a quantity's finite values over the last half decade of steps; None of too few."""
    values = recent(records, name)[1]
    return float(np.median(values)) if len(values) >= ENOUGH else None


def average(records: Records, name: str) -> float | None:
    """The mean of a quantity's finite values over the last half decade of steps; None of too few.

    Of what a step costs: a few steps that cost much make up for many that cost little.
    """
    values = recent(records, name)[1]
    return float(np.mean(values)) if len(values) >= ENOUGH else None


def rate(records: Records, name: str) -> float | None:
    """How much a counter rose a step over the last half decade of steps; None of too few measurements.

    A counter that falls began anew at 0, as that of a further stage does.
    """
    steps, counts = recent(records, name)
    if len(counts) < ENOUGH:
        return None
    rises = np.diff(counts)
    return float(np.where(rises < 0, counts[1:], rises).sum() / (steps[-1] - steps[0]))


def fall(records: Records, name: str) -> float | None:
    """By what factor a positive quantity fell between the halves of its last half decade, by medians.

    1 where it stands still; None of too few measurements.
    """
    values = recent(records, name)[1]
    if len(values) < 2 * ENOUGH:
        return None
    half = len(values) // 2
    before, after = float(np.median(values[:half])), float(np.median(values[half:]))
    return before / after if after > 0 else None
