"""Points drawn systematically: how often each, and how evenly all of them lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from pinn.plugins.samplers.by_weight import drawn, probabilities

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(2, 60), st.data())
def test_probabilities_sum_up_to_the_count_and_none_is_above_one(
    seed: int, size: int, data: st.DataObject
) -> None:
    share = 10.0 ** np.random.default_rng(seed).uniform(-9, 3, size)
    count = data.draw(st.integers(1, size - 1))
    found = probabilities(share, count)
    assert 0 <= found.min() <= found.max() <= 1
    np.testing.assert_allclose(found.sum(), count, rtol=1e-9)
    free = found < 0.999
    ratios = found[free] / share[free]
    np.testing.assert_allclose(ratios, ratios[:1].repeat(free.sum()), rtol=1e-6)


@given(SEEDS, st.integers(2, 60), st.integers(1, 3), st.data())
def test_as_many_as_asked_for_none_twice(
    seed: int, size: int, dimension: int, data: st.DataObject
) -> None:
    generator = np.random.default_rng(seed)
    candidates = generator.uniform(size=(size, dimension))
    weights = 10.0 ** generator.uniform(-9, 3, size)
    count = data.draw(st.integers(1, size))
    found = drawn(candidates, weights, count, 1.0, 0.0, generator)
    assert found.shape == (count, dimension)
    assert len(np.unique(found, axis=0)) == count
    assert {tuple(point) for point in found} <= {tuple(point) for point in candidates}


def test_each_is_drawn_as_often_as_its_weight_says() -> None:
    generator = np.random.default_rng(0)
    candidates = np.arange(6.0)[:, None]
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.4])
    times = np.zeros(6)
    for _ in range(4000):
        times[drawn(candidates, weights, 2, 1.0, 0.0, generator)[:, 0].astype(int)] += 1
    np.testing.assert_allclose(times / 4000, weights, atol=0.03)


def test_a_mean_over_them_scatters_a_third_as_much_as_over_independent_points() -> None:
    """Of a smooth function over 200 points that crowd on one side, drawn of 4,000 candidates."""
    generator = np.random.default_rng(0)
    candidates = generator.uniform(size=(4000, 2))
    weights = np.exp(-3 * candidates[:, 0])
    share = weights / weights.sum()

    def scatter(points: list[np.ndarray]) -> float:
        return float(np.std([np.cos(3 * p[:, 0]).mean() + p[:, 1].mean() for p in points]))

    independent = [candidates[generator.choice(4000, 200, p=share)] for _ in range(60)]
    systematic = [drawn(candidates, weights, 200, 1.0, 0.0, generator) for _ in range(60)]
    assert scatter(systematic) < scatter(independent) / 3


def test_points_that_coincide_are_drawn_as_well() -> None:
    candidates = np.zeros((50, 2))
    assert drawn(candidates, np.ones(50), 7, 1.0, 0.0, np.random.default_rng(0)).shape == (7, 2)
