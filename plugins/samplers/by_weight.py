"""Some of many points, those of large weight more often."""

from __future__ import annotations

import numpy as np

from pinn.core import Points

LEAST = 1e-9
"""Of c: where hardly a weight is not zero, others fill up the number of points."""
BELOW_ONE = 1 - 1e-9
"""The probability of a point that is certain: two marks, 1 apart, never fall into what is shorter."""


def drawn(
    candidates: Points,
    weights: Points,
    count: int,
    k: float,
    c: float,
    generator: np.random.Generator,
) -> Points:
    """`count` different ones, in any order, each with probability ∝ wᵏ / mean wᵏ + c but at most 1.

    Drawn systematically (Madow 1949, Ann. Math. Stat. 20, 333): the probabilities laid end to end, and a
    mark at every whole number behind a random beginning. Laid in an order in which neighbours are near
    each other, as the leaves of a k-d tree are, no region gets more than its share or less: a sum over
    the points scatters less than over independent ones (Gerber, Chopin & Whiteley 2019, Ann. Stat. 47,
    2236).

    Args:
        candidates: at least `count`.
        weights: (candidates,).
    """
    from scipy.spatial import cKDTree

    if count == len(candidates):
        return candidates
    power = weights**k
    mean = power.mean()
    share = (power / mean if mean > 0 else np.ones_like(power)) + max(c, LEAST)
    nearby = cKDTree(candidates, leafsize=1).indices
    ends = np.cumsum(probabilities(share[nearby], count))
    marks = (generator.uniform() + np.arange(count)) * (ends[-1] / count)
    chosen = nearby[np.searchsorted(ends[:-1], marks, side="right")]
    return candidates[generator.permutation(chosen)]


def probabilities(share: Points, count: int) -> Points:
    """∝ share, with the sum `count`, less than there are, but none above 1: others get the rest."""
    found = share * (count / share.sum())
    while (found > BELOW_ONE).any():
        certain = found >= BELOW_ONE
        others = found[~certain].sum()
        found = found * ((count - certain.sum() * BELOW_ONE) / others)
        found[certain] = BELOW_ONE
    return found
