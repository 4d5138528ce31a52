"""Points drawn of a pool by the weights that it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.core import Ball, Box, Points
from pinn.engine import train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.plugins.samplers.pool import AttentionPool
from tests.conftest import MakeConfig

BOX = Box(x=(0, 1), y=(0, 2))


def left(p: Points) -> Points:
    return np.where(p[:, :1].T < 0.5, 4.0, 1.0)


def right(p: Points) -> Points:
    return 5.0 - left(p)


@given(st.integers(1, 30), st.integers(0, 1000), st.floats(0, 0.99))
def test_the_weights_follow_the_residuals(count: int, seed: int, gamma: float) -> None:
    sampler, generator = AttentionPool(gamma=gamma, size=3), np.random.default_rng(seed)
    points = sampler.draw(BOX, count, generator)
    points, memory = sampler.redraw_from(None, BOX, points, left, generator)
    first = left(memory[:, :2])[0]
    first /= first.max()
    np.testing.assert_allclose(memory[:, 2], (1 - gamma) * first)
    points, later = sampler.redraw_from(memory, BOX, points, right, generator)
    np.testing.assert_array_equal(later[:, :2], memory[:, :2])
    then = right(memory[:, :2])[0]
    then /= then.max()
    np.testing.assert_allclose(later[:, 2], gamma * (1 - gamma) * first + (1 - gamma) * then)
    pool = {tuple(point) for point in memory[:, :2]}
    assert {tuple(point) for point in points} <= pool
    assert len(np.unique(points, axis=0)) == count


def test_points_are_drawn_in_proportion_to_the_weights() -> None:
    """Four times as many on the left, of a large pool, where the residual is four times as large."""
    sampler, generator = AttentionPool(size=100), np.random.default_rng(0)
    points, _ = sampler.redraw_from(None, BOX, np.empty((2000, 2)), left, generator)
    assert float((points[:, 0] < 0.5).mean()) == pytest.approx(0.8, abs=0.03)


def test_it_draws_in_a_shape() -> None:
    disk, generator = Ball(x=0, y=0, radius=1), np.random.default_rng(0)
    points = disk.uniform(50, generator)
    found, memory = AttentionPool().redraw_from(None, disk, points, left, generator)
    assert disk.inside(found).all()
    assert disk.inside(memory[:, :2]).all()


def test_a_run_keeps_its_pool(make_config: MakeConfig, without_results: None) -> None:
    config = make_config(
        {"name": "burgers"},
        points={"sampler": "pool", "redraw": 2, "size": 4},
        optimizers=[{"name": "adam", "steps": 5}],
    )
    run = train(config)
    saved = read(newest_first(run.path / "checkpoints")[0])
    pool = saved["pool"].numpy()
    assert pool.shape == (4 * 48, 3)
    drawn = {tuple(point) for point in saved["interior"].double().tolist()}
    of_pool = {tuple(point) for point in pool[:, :2].astype(np.float32).astype(float).tolist()}
    assert drawn <= of_pool
