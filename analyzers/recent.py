"""What a quantity was at the end of a run: what conclusions are drawn from."""

from __future__ import annotations

import numpy as np

from pinn.core import Records

DECADES = 0.5
"""Of steps that count as the end: from a third of the run on."""
ENOUGH = 3
"""Measurements that a conclusion needs."""


def lately(records: Records, name: str) -> float | None:
    """The median of a quantity's finite values over the last half decade of steps; None of too few."""
    values = _of_the_end(records, name)
    return float(np.median(values)) if len(values) >= ENOUGH else None


def fall(records: Records, name: str) -> float | None:
    """By what factor a positive quantity fell between the halves of its last half decade, by medians.

    1 where it stands still; None of too few measurements.
    """
    values = _of_the_end(records, name)
    if len(values) < 2 * ENOUGH:
        return None
    half = len(values) // 2
    before, after = float(np.median(values[:half])), float(np.median(values[half:]))
    return before / after if after > 0 else None


def _of_the_end(records: Records, name: str) -> np.ndarray:
    steps, values = records.series(name)
    if not len(steps):
        return np.empty(0)
    recent = values[steps >= steps[-1] / 10**DECADES].astype(float)
    return recent[np.isfinite(recent)]
