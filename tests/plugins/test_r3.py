"""Points that stay where residuals are large, and what belongs to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from pinn.core import Ball, Box
from pinn.engine import train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.plugins.samplers.r3 import RetainResampleRelease
from tests.conftest import MakeConfig

BOX = Box(x=(0, 1), y=(0, 2))


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_those_above_the_mean_stay_in_their_places(count: int, seed: int) -> None:
    sampler, generator = RetainResampleRelease(), np.random.default_rng(seed)
    old = sampler.draw(BOX, count, generator)
    residuals = generator.normal(size=(2, count))
    new = sampler.redraw(BOX, old, lambda _: residuals, generator)
    size = np.abs(residuals).sum(0)
    assert new.shape == old.shape
    np.testing.assert_array_equal((new == old).all(1), size > size.mean())


def test_equal_residuals_hold_nothing() -> None:
    sampler = RetainResampleRelease()
    old = sampler.draw(BOX, 50, np.random.default_rng(0))
    new = sampler.redraw(BOX, old, lambda p: np.ones((1, len(p))), np.random.default_rng(1))
    assert not (new == old).any()


def test_they_gather_where_the_residual_is_and_leave_when_it_falls() -> None:
    """Of a residual that lives in a tenth of the box nearly all points do, after some rounds."""
    sampler, generator = RetainResampleRelease(), np.random.default_rng(0)
    points = sampler.draw(BOX, 1000, generator)

    def bump(where: float) -> Any:
        return lambda p: np.where(abs(p[:, :1].T - where) < 0.05, 1.0, 1e-3)

    for _ in range(30):
        points = sampler.redraw(BOX, points, bump(0.2), generator)
    assert (abs(points[:, 0] - 0.2) < 0.05).mean() > 0.9
    for _ in range(30):
        points = sampler.redraw(BOX, points, bump(0.8), generator)
    assert (abs(points[:, 0] - 0.2) < 0.05).mean() < 0.1


def test_new_points_lie_in_the_shape() -> None:
    disk = Ball(x=0, y=0, radius=1)
    sampler, generator = RetainResampleRelease(), np.random.default_rng(0)
    old = disk.uniform(200, generator)
    assert disk.inside(sampler.redraw(disk, old, lambda p: p[:, :1].T, generator)).all()


def test_a_point_that_stays_keeps_its_weight(make_config: MakeConfig, tmp_path: Path) -> None:
    """The others begin again: one update adds η at most."""

    def state(steps: int, redraw: int) -> dict[str, Any]:
        config = make_config(
            {"name": "helmholtz", "a1": 1, "a2": 1},
            run={"directory": str(tmp_path / f"{steps}-{redraw}"), "precision": "float64"},
            weighting={"name": "rba", "eta": 0.1},
            points={"sampler": "r3", "interior": 40, "conditions": 8, "redraw": redraw},
            optimizers=[{"name": "adam", "steps": steps, "lr": 1e-12}],
            analyzers=[{"name": "homogeneity"}],
        )
        return read(newest_first(train(config).path / "checkpoints")[0])

    before, after = state(3, 3), state(4, 3)
    stayed = (before["interior"] == after["interior"]).all(1)
    assert 0 < stayed.sum() < 40
    assert (after["weights"][:, stayed] >= 0.999 * before["weights"][:, stayed]).all()
    assert (after["weights"][:, stayed] > 0.1).all()
    assert (after["weights"][:, ~stayed] <= 0.1).all()
    memory = next(iter(after["memories"].values()))
    assert memory[stayed].mean() > 2 * memory[~stayed].mean()
