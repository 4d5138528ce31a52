"""Some of many points, those of large weight more often."""

from __future__ import annotations

import numpy as np

from pinn.core import Points

LEAST = 1e-9
"""Of c: where hardly a weight is not zero, others fill up the number of points."""


def drawn(
    candidates: Points,
    weights: Points,
    count: int,
    k: float,
    c: float,
    generator: np.random.Generator,
) -> Points:
    """`count` different ones, with probability ∝ wᵏ / mean wᵏ + c; weights are (candidates,)."""
    power = weights**k
    mean = power.mean()
    share = (power / mean if mean > 0 else np.ones_like(power)) + max(c, LEAST)
    chosen = generator.choice(
        len(candidates), count, replace=False, p=share / share.sum(), shuffle=False
    )
    return candidates[chosen]
