"""Measures of single samples, of their rounding and of the symmetries of the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from pinn.analyzers.fresh import Fresh, kurtosis, rms, tail
from pinn.analyzers.rounding import Rounding, relative_difference
from pinn.analyzers.spectrum import interdependence
from pinn.analyzers.stagnation import joint_ranks, rank_correlation, stagnation
from pinn.analyzers.symmetry import Symmetry, mirrored, odd_share
from pinn.core import Box, Problem, Records
from pinn.engine import Config, train

MakeConfig = Callable[..., Config]
NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
SIZES = arrays(np.float64, st.integers(3, 40), elements=st.floats(1e-3, 1e3))


def measured(
    make_config: MakeConfig, analyzer: dict[str, Any], steps: int = 4, **tables: Any
) -> Any:
    config = make_config(
        tables.pop("problem", {"name": "helmholtz", "a1": 1, "a2": 2}),
        run={"record": 1, **tables.pop("run", {})},
        optimizers=[{"name": "adam", "steps": steps, "lr": tables.pop("lr", 1e-3)}],
        analyzers=[{"every": 1, "early_every": 0, **analyzer}],
        **tables,
    )
    return train(config)


@settings(max_examples=50)
@given(SIZES, st.randoms(use_true_random=False))
def test_stagnation_of_independent_and_of_opposed_sizes(sizes: Any, shuffler: Any) -> None:
    sizes = np.unique(sizes)
    count = len(sizes)
    if count < 4:
        return
    ones = np.ones(count)
    opposed = stagnation(sizes, sizes[::-1], ones)
    aligned = stagnation(sizes, sizes, ones)
    assert opposed["stagnation.share"] == count // 2 / count
    assert aligned["stagnation.share"] == 0
    assert opposed["stagnation.rank_correlation"] == pytest.approx(-1)
    assert aligned["stagnation.rank_correlation"] == pytest.approx(1)
    assert opposed["stagnation.residual"] >= 0.5
    assert opposed["stagnation.weight"] == 1
    order = np.array(shuffler.sample(range(count), count))
    again = stagnation(sizes[order], sizes[::-1][order], ones)
    assert again == pytest.approx(opposed)


def test_stagnation_is_a_quarter_by_chance_and_sees_the_weights() -> None:
    generator = np.random.default_rng(0)
    residuals, gradients = generator.random((2, 20_000))
    found = stagnation(residuals, gradients, np.where(residuals > 0.5, 2.0, 1.0))
    assert found["stagnation.share"] == pytest.approx(0.25, abs=0.02)
    assert found["stagnation.rank_correlation"] == pytest.approx(0, abs=0.03)
    assert found["stagnation.weight"] == pytest.approx(2 / 1.5, rel=0.02)
    np.testing.assert_allclose(joint_ranks(residuals, gradients, 4), 1 / 16, atol=0.01)


def test_stagnation_of_numbers_that_say_nothing() -> None:
    bad = stagnation(np.array([1.0, np.nan, 2.0]), np.ones(3), np.ones(3))
    assert all(map(math.isnan, bad.values()))
    assert math.isnan(rank_correlation(np.ones(5), np.arange(5.0)))
    zero = stagnation(np.zeros(4), np.zeros(4), np.zeros(4))
    assert zero["stagnation.share"] == 0
    assert math.isnan(zero["stagnation.residual"])


@given(arrays(np.float64, st.integers(1, 300), elements=st.floats(1e-3, 1e3)), st.floats(1e-3, 1e3))
def test_the_tail_is_between_its_share_of_the_points_and_one(sizes: Any, factor: float) -> None:
    top = max(round(0.01 * len(sizes)), 1)
    assert top / len(sizes) - 1e-12 <= tail(sizes) <= 1 + 1e-12
    assert tail(factor * sizes) == pytest.approx(tail(sizes))
    assert rms(sizes) == pytest.approx(float(np.sqrt(np.mean(sizes**2))))


def test_tails_and_kurtosis_in_closed_form() -> None:
    assert tail(np.ones(1000)) == pytest.approx(0.01)
    assert tail(np.r_[np.zeros(999), 5.0]) == 1
    assert math.isnan(tail(np.zeros(5)))
    assert kurtosis(np.array([-1.0, 1.0])) == 1
    normal = np.random.default_rng(0).normal(size=100_000)
    assert kurtosis(normal) == pytest.approx(3, abs=0.1)
    assert math.isnan(kurtosis(np.ones(4)))


@given(arrays(np.float64, (5, 4), elements=NUMBERS))
def test_odd_and_even_shares(values: Any) -> None:
    if not values.any():
        assert math.isnan(odd_share(values, (0,)))
        return
    flipped = values[::-1]
    assert 0 <= odd_share(values, (0,)) <= 1
    if (values + flipped).any():
        assert odd_share(values + flipped, (0,)) == 0
    if (values - flipped).any():
        assert odd_share(values - flipped, (0,)) == pytest.approx(1)


def test_a_grid_is_mirrored_or_not() -> None:
    assert mirrored(np.linspace(-1, 3, 7))
    assert not mirrored(np.array([0.0, 0.1, 1.0]))


@given(st.integers(2, 12), st.floats(1e-6, 1e6))
def test_interdependence_of_independent_and_of_equal_samples(count: int, scale: float) -> None:
    apart = interdependence(scale * np.eye(count))
    together = interdependence(scale * np.ones((count, count)))
    assert apart == {"ntk.off_diagonal": 0, "ntk.cosine": pytest.approx(0)}
    assert together["ntk.off_diagonal"] == pytest.approx(1 - 1 / count)
    assert together["ntk.cosine"] == pytest.approx(1)
    assert math.isnan(interdependence(np.zeros((2, 2)))["ntk.cosine"])


def test_what_a_step_changes_is_the_difference_of_the_residuals(make_config: MakeConfig) -> None:
    """Gradient descent by a rate that is far too small moves r by ∇r·Δθ; Adam's first steps all fall."""
    metrics = measured(make_config, {"name": "sensitivity"}, steps=6).metrics()
    for name in ("sensitivity.order", "sensitivity.descent"):
        _, values = metrics[name]
        assert len(values) == 6
        assert ((values > 0) & (values <= 1)).all()
    np.testing.assert_allclose(
        metrics["sensitivity.order"][1],
        1 / np.sqrt(1 + metrics["sensitivity.variation"][1] ** 2),
        rtol=1e-6,
    )


def test_stagnation_takes_the_gradients_of_the_residuals(make_config: MakeConfig) -> None:
    metrics = measured(make_config, {"name": "stagnation", "points": 16}).metrics()
    _, share = metrics["stagnation.share"]
    assert ((share >= 0) & (share <= 0.5)).all()
    np.testing.assert_allclose(metrics["stagnation.weight"][1], 1)
    maps = np.stack(list(metrics["stagnation.map"][1]))
    np.testing.assert_allclose(maps.sum((1, 2)), 1)


def test_points_that_are_learnt_by_heart_are_told(make_config: MakeConfig) -> None:
    """Four points, and far more parameters."""
    run = measured(
        make_config,
        {"name": "fresh", "points": 256, "every": 20},
        steps=400,
        lr=2e-2,
        problem={"name": "helmholtz", "a1": 3, "a2": 3, "hard": True},
        network={"width": 16, "depth": 2},
        points={"interior": 4},
    )
    assert run.metrics()["residual_gap"][1][-1] > 10
    found, *_ = Fresh().conclusions(Records(run.path / "metrics.jsonl"))
    assert "the points are too few" in found.finding


def test_enough_points_are_no_matter(make_config: MakeConfig) -> None:
    run = measured(make_config, {"name": "fresh", "points": 256, "every": 2}, steps=20)
    gap = run.metrics()["residual_gap"][1]
    assert ((gap > 0.5) & (gap < 2)).all()
    assert list(Fresh().conclusions(Records(run.path / "metrics.jsonl"))) == []


def test_single_precision_rounds_and_double_is_not_measured(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    single = measured(make_config, {"name": "rounding", "points": 32}).metrics()
    for name in ("rounding.residual", "rounding.gradient"):
        assert (single[name][1] > 0).all()
        assert (single[name][1] < 1e-4).all()
    double = measured(
        make_config,
        {"name": "rounding"},
        run={"precision": "float64", "directory": str(tmp_path / "double")},
    ).metrics()
    assert "rounding.residual" not in double


@frozen
class Cancelling(Problem):
    """u² = 1, written so that single precision knows u² to a hundredth only."""

    name = "cancelling"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"one": (q.u**2 + 1e5) - 100_001}


def test_the_floor_of_single_precision_is_told(
    make_config: MakeConfig, offer: Callable[..., None]
) -> None:
    offer(Cancelling)
    run = measured(
        make_config,
        {"name": "rounding", "every": 10},
        steps=300,
        lr=1e-2,
        problem={"name": "cancelling"},
    )
    records = Records(run.path / "metrics.jsonl")
    (found,) = Rounding().conclusions(records)
    assert found.advice == '[run] precision = "float64"'
    records.rows[:] = [row for row in records.rows if row["step"] <= 40]  # before the floor
    assert list(Rounding().conclusions(records)) == []


def test_relative_differences() -> None:
    exact = [torch.tensor([3.0, 4.0])]
    assert relative_difference([torch.tensor([3.0, 4.5])], exact) == pytest.approx(0.1)
    assert math.isnan(relative_difference(exact, [torch.zeros(2)]))


def test_an_odd_network_for_an_even_solution_is_told(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    tables = {"problem": {"name": "helmholtz", "a1": 1, "a2": 1}, "steps": 4, "lr": 1e-9}
    odd = measured(make_config, {"name": "symmetry"}, network={"bias": "zero"}, **tables)
    (found,) = Symmetry().conclusions(Records(odd.path / "metrics.jsonl"))
    assert "even under the reflection of all coordinates, and the network is odd" in found.finding
    assert 'bias = "uniform"' in found.advice
    elsewhere = {"directory": str(tmp_path / "free")}
    free = measured(
        make_config, {"name": "symmetry"}, network={"bias": "uniform"}, run=elsewhere, **tables
    )
    assert list(Symmetry().conclusions(Records(free.path / "metrics.jsonl"))) == []
