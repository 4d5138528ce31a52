"""Fresh points against trained ones, tails: naive versions, closed forms, where the points are."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import Tensor, nn

from pinn.analyzers.fresh import Fresh, gap, kurtosis, rms, tail
from pinn.core import Box
from pinn.core.domain import PointSet
from pinn.core.records import Records
from pinn.engine import Config, train, watch
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]
MakeConfig = Callable[..., Config]

SIZES = arrays(np.float64, st.integers(1, 250), elements=st.floats(0, 1e3, width=16))
VALUES = arrays(np.float64, st.integers(2, 60), elements=st.integers(-99, 99).map(float))


@given(SIZES)
def test_the_tail_against_a_naive_sum(sizes: Any) -> None:
    count = max(round(len(sizes) / 100), 1)
    largest = sorted(sizes.tolist())[-count:]
    total = math.fsum(r * r for r in sizes)
    if not total:
        assert math.isnan(tail(sizes))
        return
    assert tail(sizes) == pytest.approx(math.fsum(r * r for r in largest) / total)
    assert count / len(sizes) - 1e-12 <= tail(sizes) <= 1 + 1e-12


@given(SIZES, st.sampled_from([2.0**-600, 1.0, 2.0**40]), st.randoms())
def test_unit_and_order_do_not_matter(sizes: Any, scale: float, dice: Any) -> None:
    mixed = sizes.tolist()
    dice.shuffle(mixed)
    other = scale * np.array(mixed)
    assert tail(other) == pytest.approx(tail(sizes), nan_ok=True)
    assert rms(other) == pytest.approx(scale * rms(sizes))
    assert kurtosis(other) == pytest.approx(kurtosis(sizes), rel=1e-6, nan_ok=True)
    expected = (1, 1) if sizes.any() else (math.nan, math.nan)
    assert gap(other, scale * sizes) == pytest.approx(expected, nan_ok=True)


@given(VALUES)
def test_kurtosis_against_scipy(values: Any) -> None:
    found = kurtosis(values)
    if np.ptp(values):
        assert found == pytest.approx(stats.kurtosis(values, fisher=False), rel=1e-6)
        assert found >= 1 - 1e-9
    else:
        assert math.isnan(found)


def test_closed_forms() -> None:
    assert tail(np.ones(1000)) == pytest.approx(0.01)
    assert tail(np.r_[np.zeros(999), 5.0]) == 1
    assert kurtosis(np.array([-1.0, 1.0])) == 1
    assert math.isnan(kurtosis(np.full(7, 0.1)))
    normal = np.random.default_rng(0).normal(size=200_000)
    assert kurtosis(normal) == pytest.approx(3, abs=0.1)
    assert tail(np.abs(normal)) == pytest.approx(0.0845, abs=0.002)
    assert gap(np.array([3.0, 4.0]), np.array([1.0, 0.0])) == pytest.approx((5, 4))
    assert gap(np.array([3.0, 4.0]), np.array([1.0])) == pytest.approx((math.sqrt(12.5), 3))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_gives_nan(bad: float) -> None:
    one, good = np.array([1.0, bad]), np.ones(2)
    assert math.isnan(tail(one))
    assert math.isnan(kurtosis(one))
    for pair in ((one, good), (good, one), (good, 0 * good)):
        assert all(map(math.isnan, gap(*pair)))


# the analyzer


class Seen:
    """What the analyzer looks at: residuals that are a function of the points."""

    def __init__(self, domain: Box, trained: Tensor, function: Callable[[Tensor], Tensor]) -> None:
        self.problem = type("Named", (), {"domain": domain})
        self.points = PointSet(trained, {})
        self.module = nn.Linear(1, 1)
        self.parameters = dict(self.module.named_parameters())
        self.residuals = function(trained)
        self.asked: list[Tensor] = []
        self.step = 0

        def residual_function(parameters: Any, points: Tensor) -> Tensor:
            assert all(p is self.parameters[n] for n, p in zip(self.parameters, parameters))  # noqa: B905
            self.asked.append(points)
            return function(points)

        self.residual_function = residual_function

    def generator(self, name: str) -> torch.Generator:
        assert name == "fresh"
        return torch.Generator().manual_seed(self.step)


def test_points_that_were_learnt_by_heart() -> None:
    """r = x on [0, 1], trained where x = 0.01: rms 1/√3, largest 1."""
    seen: Any = Seen(Box(x=(0, 1)), torch.full((1500, 1), 0.01), lambda x: x.T)
    found = Fresh().measure(seen)
    assert found["residual_gap"] == pytest.approx(100 / math.sqrt(3), rel=0.05)
    assert found["residual_gap.max"] == pytest.approx(100, rel=0.01)
    assert found["residual_tail"] == pytest.approx(0.01)
    (points,) = seen.asked
    assert points.shape == (2048, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fresh_points_fill_the_box_and_are_others_at_every_step(dtype: torch.dtype) -> None:
    domain = Box(x=(-1, 1), t=(2, 5))
    seen: Any = Seen(domain, torch.rand(3000, 2, dtype=dtype), lambda x: x.T)
    for step in (0, 1, 1):
        seen.step = step
        Fresh(points=2000).measure(seen)
    first, second, again = seen.asked
    assert first.dtype == dtype
    assert torch.equal(second, again)
    assert not torch.isin(first, second).all(1).any()
    for column, (low, high) in zip(first.T, domain.intervals.values(), strict=True):
        assert low <= column.min()
        assert column.max() <= high
        assert stats.kstest(column.numpy(), "uniform", (low, high - low)).pvalue > 1e-3


@given(st.integers(0, 30), st.integers(1, 20), st.integers(1, 30))
@settings(max_examples=10)
def test_the_analyzer_against_the_definition(
    make_case: MakeCase, seed: int, count: int, wanted: int
) -> None:
    case = make_case(seed, count)
    view = case.view(Vanilla(), torch.ones(2, count))
    found = Fresh(points=wanted).measure(view)
    r = case.residuals(case.points.interior).detach().numpy()
    sizes, kept = np.sqrt((r**2).sum(0)), min(wanted, count)
    chosen = sizes[[i * count // kept for i in range(kept)]]
    seed = int(torch.randint(2**62, (), generator=view.generator("fresh")))
    places = torch.from_numpy(case.problem.domain.uniform(wanted, np.random.default_rng(seed)))
    new = np.sqrt((case.residuals(places).detach().numpy() ** 2).sum(0))
    assert found["residual_gap"] == pytest.approx(math.sqrt((new**2).mean() / (chosen**2).mean()))
    assert found["residual_gap.max"] == pytest.approx(new[:kept].max() / chosen.max())
    assert found["residual_tail"] == pytest.approx((sizes**2).max() / (sizes**2).sum())
    each = np.mean([kurtosis(row) for row in r])
    assert found["residual_kurtosis"] == pytest.approx(each, nan_ok=True)


def test_residuals_that_are_not_finite_or_zero() -> None:
    for value in (math.nan, 0.0):
        seen: Any = Seen(Box(x=(0, 1)), torch.rand(9, 1), lambda x, v=value: v * x.T)
        assert all(map(math.isnan, Fresh().measure(seen).values()))


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize(
    ("interior", "steps", "least", "most"), [(4, 300, 5, 1e9), (400, 20, 0.5, 2)]
)
def test_few_points_are_told_from_enough(
    make_config: MakeConfig, interior: int, steps: int, least: float, most: float
) -> None:
    run = train(
        make_config(
            {"name": "helmholtz", "a1": 3, "a2": 3, "hard": True},
            network={"width": 16},
            points={"interior": interior},
            optimizers=[{"name": "adam", "steps": steps, "lr": 2e-2}],
            analyzers=[{"name": "fresh", "every": steps, "early_every": 0}],
        )
    )
    assert least < run.metrics()["residual_gap"][1][-1] < most


def test_a_watched_loop_has_fresh_points_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, points = nn.Linear(2, 1), torch.rand(40, 2)

    def residuals(x: Tensor) -> Tensor:
        return model(x)[:, 0] - x.prod(1)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(
        tmp_path, model, optimizer, residuals=residuals, points=points, analyzers=["fresh"]
    ) as watcher:
        watcher.step(1.0)
    assert 0.5 < Records(tmp_path / "metrics.jsonl").rows[-1]["residual_gap"] < 2


def test_the_figures_say_what_was_found() -> None:
    records = Records(Path("never-written"))
    assert len(list(Fresh().figures(records))) == 2
    records.rows = [{"step": 9, "residual_gap": 12.3, "residual_tail": 0.4}]
    titles = [plot.title for plot in Fresh().figures(records)]
    assert titles == [
        "At fresh points the residual is 12 times that at trained ones",
        "1 % of the points hold 40% of Σ r²",
    ]
