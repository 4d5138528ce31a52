"""Points drawn where the residuals are large, against the density that they should have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.core import Box, Points
from pinn.plugins.samplers.rad import ResidualAdaptiveDistribution

BOX = Box(x=(0, 1), y=(0, 2))


def step(points: Points) -> Points:
    """3 on the right half, 1 on the left one, with either sign, shared out over two equations."""
    size = np.where(points[:, 0] > 0.5, 3.0, 1.0) * np.where(points[:, 1] > 1, 1, -1)
    return np.stack([size / 3, -2 * size / 3])


def on_the_right(k: float, c: float, candidates: int = 50) -> float:
    sampler = ResidualAdaptiveDistribution(k=k, c=c, candidates=candidates)
    generator = np.random.default_rng(0)
    old = sampler.draw(BOX, 2000, generator)
    return float((sampler.redraw(BOX, old, step, generator)[:, 0] > 0.5).mean())


@pytest.mark.parametrize(
    ("k", "c", "share"),
    [
        (1.0, 0.0, 3 / 4),
        (2.0, 0.0, 9 / 10),
        (0.0, 0.0, 1 / 2),
        (1.0, 1.0, (3 / 2 + 1) / (3 / 2 + 1 + 1 / 2 + 1)),
        (1.0, 1e6, 1 / 2),
    ],
)
def test_the_density_is_that_of_the_formula(k: float, c: float, share: float) -> None:
    """p ∝ |r|ᵏ / mean |r|ᵏ + c; what scatters is how many of the 100,000 candidates are on the right."""
    assert on_the_right(k, c) == pytest.approx(share, abs=5 * 0.5 / 100_000**0.5 + 1 / 2000)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_points_are_candidates_none_twice(count: int, seed: int) -> None:
    sampler = ResidualAdaptiveDistribution(candidates=3)
    old = sampler.draw(BOX, count, np.random.default_rng(0))
    seen: list[Points] = []

    def residuals(points: Points) -> Points:
        seen.append(points)
        return step(points)

    new = sampler.redraw(BOX, old, residuals, np.random.default_rng(seed))
    (candidates,) = seen
    assert len(candidates) == 3 * count
    assert len(np.unique(new, axis=0)) == count
    assert {tuple(point) for point in new} <= {tuple(point) for point in candidates}


def test_residuals_of_zero_are_drawn_uniformly() -> None:
    sampler = ResidualAdaptiveDistribution(c=0.0)
    old = sampler.draw(BOX, 500, np.random.default_rng(0))
    new = sampler.redraw(BOX, old, lambda p: np.zeros((1, len(p))), np.random.default_rng(1))
    assert abs(float((new[:, 0] > 0.5).mean()) - 0.5) < 5 * 0.5 / 500**0.5


def test_more_points_than_residuals_that_are_not_zero() -> None:
    """With c = 0 and a residual at few places there are too few candidates of positive probability."""
    sampler = ResidualAdaptiveDistribution(c=0.0, candidates=1)
    old = sampler.draw(BOX, 50, np.random.default_rng(0))
    new = sampler.redraw(BOX, old, lambda p: (p[None, :, 0] > 0.99) * 1.0, np.random.default_rng(1))
    assert new.shape == (50, 2)
