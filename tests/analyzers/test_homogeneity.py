"""Residual order, variation and peak: invariants, naive versions, and the weights that are followed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, strategies as st
from matplotlib.figure import Figure

from pinn.analyzers.grid_cells import cell_numbers
from pinn.analyzers.homogeneity import Homogeneity, order, peak, variation
from pinn.analyzers.homogeneity_neighbours import nearest, neighbour_order
from pinn.core import Curves, Drawing
from pinn.core.records import Records
from pinn.engine import Config, train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]
MakeConfig = Callable[..., Config]

sizes = st.just(0.0) | st.floats(1e-6, 1e6)
values = st.lists(sizes, min_size=1, max_size=30).map(np.array)
some = values.filter(lambda v: v.any())


@given(some)
def test_order_against_its_definition(v: np.ndarray) -> None:
    mean = math.fsum(v) / len(v)
    rms = math.sqrt(math.fsum(x * x for x in v) / len(v))
    assert order(v) == pytest.approx(mean / rms, rel=1e-12)


@given(values)
def test_bounds(v: np.ndarray) -> None:
    """Cauchy-Schwarz; the order is least, 1/√n, where one value has everything."""
    assert 1 / math.sqrt(len(v)) - 1e-12 <= order(v) <= 1
    assert peak(v) * (1 + 1e-12) >= 1
    assert peak(v) <= len(v) * (1 + 1e-12)
    assert 0 <= variation(v) <= math.sqrt(len(v) - 1) + 1e-9


@given(some)
def test_order_and_variation_say_the_same(v: np.ndarray) -> None:
    """φ = 1 / √(1 + cv²)"""
    assert order(v) == pytest.approx(1 / math.sqrt(1 + variation(v) ** 2), rel=1e-9)


@given(some, st.floats(1e-12, 1e12), st.randoms(), st.integers(1, 4))
def test_scale_order_and_repetition_of_the_points_do_not_matter(
    v: np.ndarray, scale: float, dice: Any, times: int
) -> None:
    mixed = list(v) * times
    dice.shuffle(mixed)
    for measure in (order, variation, peak):
        expected = pytest.approx(measure(v), rel=1e-9, abs=1e-9)
        assert measure(scale * v) == expected
        assert measure(np.array(mixed)) == expected


@given(st.integers(1, 30), sizes)
def test_values_that_are_all_the_same_are_in_order(count: int, value: float) -> None:
    same = np.full(count, value)
    assert order(same) == pytest.approx(1, abs=1e-15)
    assert variation(same) == pytest.approx(0, abs=1e-12)
    assert peak(same) == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_one_point_that_has_everything(size: int) -> None:
    one = np.zeros(size)
    one[size // 2] = 3.0
    assert order(one) == pytest.approx(1 / math.sqrt(size))
    assert peak(one) == size
    assert variation(one) == pytest.approx(math.sqrt(size - 1))


@pytest.mark.parametrize("tiny", [1e-300, 5e-324])
def test_squares_that_would_underflow(tiny: float) -> None:
    assert order(np.array([tiny, tiny])) == 1
    assert order(np.array([tiny, 0.0])) == pytest.approx(1 / math.sqrt(2))


@given(some, st.integers(1, 5))
def test_empty_cells_are_left_out(v: np.ndarray, empty: int) -> None:
    assert order(np.concatenate([v, np.full(empty, math.nan)])) == order(v)


def test_nothing_and_nan() -> None:
    for measure in (order, variation, peak):
        assert math.isnan(measure(np.array([])))
    assert math.isnan(order(np.array([math.nan])))
    for measure in (variation, peak):
        assert math.isnan(measure(np.array([1.0, math.nan])))


# what neighbours have in common

DRAWN = np.random.default_rng(0).random((3000, 2))
NEAR = nearest(DRAWN, (0, 0), (1, 1), 4)
periods = st.integers(1, 6)  # half of one is ten times as long as points are apart


@given(periods, periods, st.floats(0, math.pi))
def test_no_period_hides_from_neighbours(a: int, b: int, shift: float) -> None:
    """|sin| with whole periods in each cell: the cells are all alike, the field is not."""
    field = np.abs(np.sin(2 * math.pi * a * DRAWN[:, 0] + shift))
    field = field * np.abs(np.sin(2 * math.pi * b * DRAWN[:, 1]))
    dense = np.linspace(0, 1, 20 * a * b + 1)[:-1]
    cells = np.abs(np.sin(2 * math.pi * a * dense + shift)).reshape(a, -1).mean(1)
    assert order(cells) == pytest.approx(1, abs=1e-12)
    assert order(field) - 0.02 < neighbour_order(field, NEAR) < 0.93


@given(periods, st.integers(0, 1000))
def test_the_same_values_at_other_points_at_random_are_homogeneous(a: int, seed: int) -> None:
    field = np.abs(np.sin(2 * math.pi * a * DRAWN[:, 0]))
    mixed = np.random.default_rng(seed).permutation(field)
    assert neighbour_order(mixed, NEAR) > 0.985
    assert neighbour_order(field, NEAR) < 0.95


@given(st.floats(1e-12, 1e12), st.integers(0, 1000))
def test_neither_the_scale_nor_the_numbering_of_the_points_matters(scale: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    points, field = generator.random((60, 2)), generator.exponential(size=60)
    mixed = generator.permutation(60)
    expected = pytest.approx(neighbour_order(field, nearest(points, (0, 0), (1, 1), 4)), rel=1e-9)
    assert 0 < expected.expected <= 1
    again = nearest(3 * points[mixed], (0, 0), (3, 3), 4)
    assert neighbour_order(scale * field[mixed], again) == expected


def test_what_is_alike_or_alone_is_homogeneous() -> None:
    assert neighbour_order(np.full(3000, 2.0), NEAR) == 1
    assert neighbour_order(np.zeros(3000), NEAR) == 1
    assert neighbour_order(np.ones(1), nearest(np.zeros((1, 2)), (0, 0), (1, 1), 4)) == 1
    assert math.isnan(neighbour_order(np.array([]), nearest(np.zeros((0, 2)), (0, 0), (1, 1), 4)))
    row = np.array([[0.1, 0], [0.2, 0], [0.4, 0]])
    assert nearest(row, (0, 0), (1, 1), 4).tolist() == [[1, 2], [0, 2], [1, 0]]


# the analyzer


def seen(case: Any, weights: torch.Tensor, memory: torch.Tensor) -> Any:
    return case.view(Vanilla(), weights, memories={"homogeneity": memory})


def naive_cells(case: Any, v: Any, cells: int) -> list[float]:
    """Means over the cells that have a point."""
    domain = case.problem.domain
    numbers = cell_numbers(case.points.interior.numpy(), domain.lower, domain.upper, cells)
    return means_of_groups(numbers, v)


def naive_strips(case: Any, v: Any, strips: int) -> list[float]:
    domain = case.problem.domain
    last = case.points.interior.numpy()[:, -1]
    shares = (last - domain.lower[-1]) / (domain.upper[-1] - domain.lower[-1])
    return means_of_groups(np.minimum(shares * strips, strips - 1).astype(int), v)


def means_of_groups(numbers: Any, v: Any) -> list[float]:
    groups: dict[int, list[float]] = {}
    for number, value in zip(numbers, v, strict=True):
        groups.setdefault(int(number), []).append(float(value))
    return [math.fsum(group) / len(group) for group in groups.values()]


def naive_neighbours(case: Any, v: Any) -> float:
    """Each point with the four that are nearest to it, by all distances."""
    domain = case.problem.domain
    points = (case.points.interior.numpy() - domain.lower) / np.subtract(domain.upper, domain.lower)
    mean, shared = float(np.mean(v)), []
    for i, point in enumerate(points):
        near = np.argsort(np.linalg.norm(points - point, axis=1))[1:5]
        shared += [float((v[i] - mean) * (v[j] - mean)) for j in near]
    covariance = max(math.fsum(shared) / len(shared), 0) if shared else 0
    return mean / math.sqrt(mean**2 + covariance)


def phi(v: list[float]) -> float:
    return math.fsum(v) / len(v) / math.sqrt(math.fsum(x * x for x in v) / len(v))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 50))
def test_the_analyzer_against_the_definition(
    make_case: MakeCase, count: int, cells: int, strips: int, seed: int
) -> None:
    case = make_case(seed, count)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(2, count, dtype=torch.float64, generator=generator)
    memory = torch.rand(count, dtype=torch.float64, generator=generator)
    found = Homogeneity(cells=cells, strips=strips).measure(seen(case, weights, memory))
    r = case.residuals(case.points.interior).detach().abs().sum(0).numpy()
    both = [*naive_cells(case, weights[0], cells), *naive_cells(case, weights[1], cells)]
    followed = naive_cells(case, memory, cells)
    assert found == pytest.approx(
        {
            f"residual_order.rba.{cells}cells": phi(followed),
            f"residual_order.weights.{cells}cells": phi(both),
            f"residual_order.residuals.{cells}cells": phi(naive_cells(case, r, cells)),
            f"residual_order.rba.{strips}strips": phi(naive_strips(case, memory, strips)),
            f"residual_order.residuals.{strips}strips": phi(naive_strips(case, r, strips)),
            "residual_order.rba.neighbours": naive_neighbours(case, memory.numpy()),
            "residual_order.residuals.neighbours": naive_neighbours(case, r),
            "residual_order.points": phi(list(r)),
            "residual_variation": r.std() / r.mean(),
            "residual_peak": r.max() / r.mean(),
            "weight_cell_mean": np.mean(followed),
            "weight_cell_rms": np.sqrt(np.mean(np.square(followed))),
        },
        rel=1e-9,
        abs=1e-12,
    )


@given(st.integers(2, 30), st.integers(0, 50))
def test_cells_of_one_point_each_are_the_points(make_case: MakeCase, count: int, seed: int) -> None:
    case = make_case(seed, count)
    domain = case.problem.domain
    numbers = cell_numbers(case.points.interior.numpy(), domain.lower, domain.upper, 1000)
    assume(len(set(numbers.tolist())) == count)
    one = torch.ones(count, dtype=torch.float64)
    found = Homogeneity(cells=1000).measure(seen(case, torch.stack([one, one]), one))
    fine = found["residual_order.residuals.1000cells"]
    assert fine == pytest.approx(found["residual_order.points"], rel=1e-12)
    assert fine == pytest.approx(1 / math.sqrt(1 + found["residual_variation"] ** 2), rel=1e-9)


@given(st.integers(1, 6), st.integers(0, 50), st.integers(2, 3))
def test_averages_are_in_better_order_than_what_is_averaged(
    cells: int, seed: int, times: int
) -> None:
    """Where all fine cells count the same: with as many points in each."""
    fine = np.random.default_rng(seed).exponential(size=(cells, times))
    assert order(fine.mean(1)) >= order(fine.ravel()) - 1e-12


def test_one_cell_is_in_order(make_case: MakeCase) -> None:
    case = make_case()
    found = Homogeneity(cells=1).measure(seen(case, torch.rand(2, 13), torch.rand(13)))
    assert found["residual_order.rba.1cells"] == 1
    assert found["residual_order.residuals.1cells"] == 1


def test_weights_of_several_equations_are_compared_with_each_other(make_case: MakeCase) -> None:
    weights = torch.ones(2, 13, dtype=torch.float64) * torch.tensor([[1.0], [3.0]])
    found = Homogeneity().measure(seen(make_case(), weights, weights[0]))
    assert found["residual_order.weights.10cells"] == pytest.approx(2 / math.sqrt(5))
    assert found["residual_order.rba.10cells"] == pytest.approx(1)


# the weights that are followed


@given(
    st.integers(1, 9), st.integers(1, 3), st.floats(0, 1), st.floats(1e-3, 1), st.integers(0, 50)
)
def test_what_is_followed_is_residual_based_attention(
    count: int, equations: int, gamma: float, eta: float, seed: int
) -> None:
    analyzer = Homogeneity(gamma=gamma, eta=eta)
    weighting = ResidualBasedAttention(gamma=gamma, eta=eta)
    generator = torch.Generator().manual_seed(seed)
    memory = analyzer.start(torch.zeros(count, 2))
    weights = memory.expand(equations, -1)
    for step in range(5):
        residuals = torch.randn(equations, count, generator=generator) * (step != 3)
        memory = analyzer.follow(memory, residuals)
        weights = weighting.update(weights, residuals)
        assert torch.equal(memory.expand(weights.shape), weights)
        assert (memory >= 0).all()
        assert (memory <= eta * 5 + 1e-6).all()


@pytest.fixture
def final_state(make_config: MakeConfig) -> Callable[..., dict[str, Any]]:
    def train_(weighting: dict[str, Any], problem: str = "helmholtz") -> dict[str, Any]:
        stages = [{"name": "adam", "steps": 6, "lr": 1e-2}, {"name": "lbfgs", "steps": 3}]
        options = {"gamma": 0.9, "eta": 0.05}
        analyzers = [{"name": "homogeneity", **options}]
        if weighting["name"] == "rba":
            weighting = weighting | options
        config = make_config(
            {"name": problem}, weighting=weighting, optimizers=stages, analyzers=analyzers
        )
        run = train(config)
        return read(newest_first(run.path / "checkpoints")[0]) | {"metrics": run.metrics()}

    return train_


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("problem", ["helmholtz", "cavity"])
def test_in_a_run_of_rba_they_are_the_runs_own(
    final_state: Callable[..., dict[str, Any]], problem: str
) -> None:
    state = final_state({"name": "rba"}, problem)
    followed = state["memories"]["homogeneity"]
    assert len(followed.unique()) > 40
    assert torch.equal(followed.expand(state["weights"].shape), state["weights"])
    rba, own = (
        state["metrics"][f"residual_order.{kind}.10cells"][1] for kind in ("rba", "weights")
    )
    np.testing.assert_allclose(rba, own, rtol=1e-12)


@pytest.mark.usefixtures("without_results")
def test_in_a_vanilla_run_they_are_followed_but_do_not_count(
    final_state: Callable[..., dict[str, Any]],
) -> None:
    state = final_state({"name": "vanilla"})
    assert torch.equal(state["weights"], torch.ones_like(state["weights"]))
    followed = state["memories"]["homogeneity"]
    assert len(followed.unique()) > 40
    assert 0 < followed.max() <= 0.05 / (1 - 0.9)
    metrics = state["metrics"]
    assert metrics["residual_order.weights.10cells"][1] == pytest.approx(1)
    assert metrics["residual_order.rba.10cells"][1] < 1


# figures


@pytest.mark.parametrize("rows", [1, 5])
def test_the_figure_of_both_orders_is_drawn(rows: int, tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    for step in range(1, rows + 1):
        order_ = {"residual_order.rba.neighbours": 1 / step, "gradient_order": None}
        records.rows.append({"step": 10 * step, "loss.unweighted": 1.0 / step, **order_})
    drawing, *curves = Homogeneity(cells=4).figures(records)
    assert isinstance(drawing, Drawing)
    figure = Figure()
    drawing.draw(figure)
    figure.draw_without_rendering()
    upper, lower = figure.axes
    assert len(upper.lines) == 2
    assert lower.get_ylabel() == "unweighted loss"
    for curve in curves:
        assert isinstance(curve, Curves)
    names = {name for curve in curves for name in curve.quantities}
    assert {"residual_order.rba.4cells", "residual_order.rba.100strips"} < names


@pytest.mark.parametrize("rows", [[], [{"step": 1, "residual_order.rba.neighbours": None}]])
def test_where_no_order_was_measured_there_is_no_figure_of_orders(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    records.rows = rows
    assert all(isinstance(plot, Curves) for plot in Homogeneity().figures(records))


def test_the_error_is_drawn_where_it_was_measured(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    order_ = {"residual_order.rba.neighbours": 0.5}
    records.rows = [{"step": 1, "rel_l2": 0.5, "loss.unweighted": 2.0, **order_}]
    drawing, *_ = Homogeneity().figures(records)
    figure = Figure()
    drawing.draw(figure)
    lower = figure.axes[1]
    assert lower.get_ylabel() == "relative L2 error"
    assert lower.lines[0].get_ydata().tolist() == [0.5]
