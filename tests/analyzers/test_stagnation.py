"""Large residuals with vanishing gradients: naive versions, chance, ranks, figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from scipy import stats

from pinn.analyzers import spectrum_jacobian
from pinn.analyzers.stagnation import (
    CLASSES,
    Stagnation,
    gradient_norms,
    joint_ranks,
    rank_correlation,
    ranks,
    stagnation,
)
from pinn.core import Drawing
from pinn.core.records import Records
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]

SIZES = st.integers(0, 40).map(lambda n: n / 4)
TABLES = st.integers(1, 20).flatmap(lambda n: arrays(np.float64, (3, n), elements=SIZES))
"""|r|, ‖∇r‖ and λ of some points."""
PAIRS = st.integers(1, 30).flatmap(lambda n: arrays(np.float64, (2, n), elements=SIZES))


@given(TABLES)
def test_against_a_naive_loop(table: Any) -> None:
    points = list(zip(*table.tolist(), strict=True))
    middle_r, middle_g = median(table[0].tolist()), median(table[1].tolist())
    stuck = [p for p in points if p[0] > middle_r and p[1] < middle_g]
    squares, weights = (math.fsum(p[0] ** 2 for p in points), math.fsum(p[2] for p in points))
    found = stagnation(*table)
    assert found["share"] == pytest.approx(len(stuck) / len(points))
    held = math.fsum(p[0] ** 2 for p in stuck) / squares if squares else math.nan
    assert found["residual"] == pytest.approx(held, nan_ok=True)
    known = stuck and weights
    mean = math.fsum(p[2] for p in stuck) / len(stuck) if stuck else math.nan
    expected = mean * len(points) / weights if known else math.nan
    assert found["weight"] == pytest.approx(expected, nan_ok=True)


@given(TABLES, st.sampled_from([1e-9, 0.5, 1e9]), st.randoms())
def test_bounds_and_what_does_not_matter(table: Any, scale: float, dice: Any) -> None:
    found = stagnation(*table)
    assert 0 <= found["share"] <= 0.5
    assert math.isnan(found["residual"]) or 0 <= found["residual"] <= 1
    count = table.shape[1]
    mixed = table[:, dice.sample(range(count), count)]
    for other in (mixed, scale * table, np.tile(table, 3)):
        assert stagnation(*other) == pytest.approx(found, nan_ok=True)


@given(PAIRS)
def test_ranks_and_their_correlation_against_scipy(pair: Any) -> None:
    one, other = pair
    np.testing.assert_array_equal(ranks(one), stats.rankdata(one))
    found = rank_correlation(one, other)
    if np.ptp(one) and np.ptp(other):
        assert found == pytest.approx(stats.spearmanr(one, other).statistic)
        assert rank_correlation(one, np.exp(other / 10)) == pytest.approx(found)  # monotone
        assert rank_correlation(one, -other) == pytest.approx(-found)
    else:
        assert math.isnan(found)


@given(PAIRS, st.integers(1, 9))
def test_every_point_is_in_the_joint_distribution_once(pair: Any, classes: int) -> None:
    found = joint_ranks(*pair, classes)
    assert found.shape == (classes, classes)
    assert found.sum() == pair.shape[1]
    np.testing.assert_array_equal(joint_ranks(*pair[::-1], classes), found.T)


@given(st.integers(1, 6), st.integers(1, 6), st.randoms())
def test_classes_are_of_one_size_where_no_two_are_equal(classes: int, each: int, dice: Any) -> None:
    count = classes * each
    one, other = (np.array(dice.sample(range(count), count), float) for _ in range(2))
    found = joint_ranks(one, other, classes)
    assert (found.sum(0) == each).all()
    assert (found.sum(1) == each).all()
    np.testing.assert_array_equal(joint_ranks(one, one, classes), each * np.eye(classes))


def test_chance_is_a_quarter_and_what_the_weights_do_is_seen() -> None:
    r, g = np.random.default_rng(0).random((2, 40_000))
    found = stagnation(r, g, np.where(g < 0.5, 3.0, 1.0))
    assert found["share"] == pytest.approx(0.25, abs=0.01)
    assert found["rank_correlation"] == pytest.approx(0, abs=0.02)
    assert found["weight"] == pytest.approx(1.5, rel=0.01)
    assert found["residual"] == pytest.approx(7 / 16, abs=0.01)  # ½ ∫ r² over the upper half
    np.testing.assert_allclose(joint_ranks(r, g, 4) / len(r), 1 / 16, atol=0.005)


@given(st.integers(2, 40))
def test_opposed_and_aligned(count: int) -> None:
    r, ones = np.arange(1.0, count + 1), np.ones(count)
    opposed, aligned = stagnation(r, -r + count, ones), stagnation(r, r, ones)
    assert (opposed["share"], aligned["share"]) == (count // 2 / count, 0)
    assert opposed["rank_correlation"] == pytest.approx(-1)
    assert aligned["rank_correlation"] == pytest.approx(1)
    assert opposed["weight"] == 1
    assert opposed["residual"] >= 0.5
    assert math.isnan(aligned["weight"])


def test_zeros_one_point_and_numbers_that_are_not_finite() -> None:
    zero = stagnation(np.zeros(4), np.zeros(4), np.zeros(4))
    one = stagnation(np.ones(1), np.ones(1), np.ones(1))
    assert zero["share"] == one["share"] == 0
    assert math.isnan(zero["residual"])
    assert math.isnan(one["rank_correlation"])
    for row in range(3):
        table = np.ones((3, 5))
        table[row, 2] = math.nan
        assert all(map(math.isnan, stagnation(*table).values()))


# the analyzer


def brute_force(case: Any, points: torch.Tensor) -> np.ndarray:
    """‖∇r_ki‖, (equations, points), by nested autograd."""
    r = case.residuals(points)
    norms = [
        math.hypot(*(float(g.norm()) for g in torch.autograd.grad(
            one, case.parameters, retain_graph=True, materialize_grads=True
        )))
        for one in r.ravel()
    ]  # fmt: skip
    return np.array(norms).reshape(r.shape)


@given(st.integers(0, 30), st.integers(1, 15), st.integers(0, 15))
@settings(max_examples=8)
def test_the_analyzer_against_the_definition(
    make_case: MakeCase, seed: int, count: int, chosen: int
) -> None:
    case = make_case(seed, count)
    weights = torch.rand(2, count, generator=torch.Generator().manual_seed(seed)).double()
    found = Stagnation(points=chosen).measure(case.view(Vanilla(), weights))
    kept = min(chosen or count, count)
    numbers = [i * count // kept for i in range(kept)]
    points = case.points.interior[numbers]
    sizes = case.residuals(points).detach().square().sum(0).sqrt().numpy()
    gradients = np.sqrt((brute_force(case, points) ** 2).sum(0))
    expected = stagnation(sizes, gradients, weights[:, numbers].mean(0).numpy())
    for name, value in expected.items():
        assert found[f"stagnation.{name}"] == pytest.approx(value, nan_ok=True)
    np.testing.assert_array_equal(found["stagnation.map"], joint_ranks(sizes, gradients, CLASSES))


def test_pieces_do_not_matter(make_case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case()
    network = (
        case.objective(Vanilla()).interior_residuals, case.parameters, case.points.interior
    )  # fmt: skip
    whole = gradient_norms(*network)
    monkeypatch.setattr(spectrum_jacobian, "PIECE", 500)
    np.testing.assert_allclose(gradient_norms(*network), whole)
    assert all(p.grad is None for p in case.parameters)


def test_residuals_that_are_not_finite_give_nan() -> None:
    points = torch.rand(6, 1)
    view: Any = SimpleNamespace(
        points=SimpleNamespace(interior=points),
        parameters={"p": torch.ones(())},
        residual_function=lambda p, x: (p[0] / (x[:, 0] - x[:, 0]))[None],
        residuals=torch.full((1, 6), math.inf),
        weights=torch.ones(1, 6),
    )
    found = Stagnation().measure(view)
    numbers = [value for name, value in found.items() if name != "stagnation.map"]
    assert all(map(math.isnan, numbers))
    assert found["stagnation.map"].sum() == 6


@pytest.mark.parametrize("rows", [1, 3])
def test_the_first_and_the_last_map_are_drawn(rows: int) -> None:
    records = Records(Path("never-written"))
    for step in range(rows):
        counts = np.zeros((4, 4))
        counts[step, 0] = 8.0
        records.rows.append(
            {"step": step + 1, "stagnation.share": 0.25, "stagnation.map": counts.tolist()}
        )
    drawing, *curves = Stagnation().figures(records)
    assert isinstance(drawing, Drawing)
    assert drawing.title.startswith("25% of the points")
    figure = Figure(layout="constrained")
    drawing.draw(figure)
    figure.draw_without_rendering()
    maps = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in maps] == ["step 1", "step 3"][: len(maps)]
    assert len(maps) == min(rows, 2)
    shown = np.asarray(maps[-1].collections[0].get_array())
    assert shown[0, rows - 1] == 16  # |r| to the right; all points in one of 16 cells
    assert {name for curve in curves for name in curve.quantities} >= {"stagnation.weight"}
