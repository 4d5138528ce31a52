"""How sure a change of phase is: how often such changes are right in traces whose truth is known."""

from __future__ import annotations

import math

import numpy as np
from attrs import astuple, frozen

from pinn.analyzers.phases_evidence import PER_DECADE, Floats

NEAR = PER_DECADE // 2
"""Bins on either side of a change that are compared."""


@frozen
class Signs:
    """What the confidence in a change depends on.

    Attributes:
        separation: z of a rank sum (Mann & Whitney 1947) of the scores after against those before.
        contrast: mean score after less mean score before, in half a decade each, for a kind of evidence.
        kinds: of evidence.
    """

    separation: float
    contrast: float
    kinds: int

    @classmethod
    def of(cls, scores: Floats, turn: int, kinds: int) -> Signs:
        """Of summed scores that turn at bin `turn`."""
        before, after = scores[:turn], scores[turn:]
        contrast = after[:NEAR].mean() - before[-NEAR:].mean()
        return cls(_rank_sum(after, before), float(contrast) / kinds, kinds)


WEIGHTS = {
    "diffusion": (1.44, 7.97, 0.0, -7.31),
    "total_diffusion": (-0.34, 10.19, 2.07, -4.36),
}
"""Of the signs in their order, and a constant. `python -m benchmarks.phases_calibration` fits them."""


def confidence(to: str, signs: Signs) -> float:
    """The probability that the change is right within a factor of 2 in steps, by a logistic model."""
    *weights, constant = WEIGHTS[to]
    total = constant + sum(w * x for w, x in zip(weights, astuple(signs), strict=True))
    return 1 / (1 + math.exp(-total))


def _rank_sum(high: Floats, low: Floats) -> float:
    """By how many standard deviations `high` lies above `low` in ranks; ties count half."""
    n, m = len(high), len(low)
    ordered = np.sort(low)
    above = sum(np.searchsorted(ordered, high, side).sum() for side in ("left", "right")) / 2
    return float(above - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
