"""Equilibrium of Adam's learning rates: by hand, its invariants, and what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from pinn.analyzers.adam_snr import adam_scales
from pinn.analyzers.equilibrium import DECILES, Equilibrium, drift, log_deciles, spread
from pinn.core.records import Records
from pinn.engine import Config, train
from pinn.testing import arrays, check_invariant, duplicated, permuted, scaled

Array = NDArray[np.float64]

NINE = st.lists(st.floats(-10, 10), min_size=9, max_size=9).map(lambda found: np.sort(found))


def positive() -> Any:
    return arrays(1, positive=True).map(lambda values: values + 0.5)


def stepped(gradients: Array, lr: float = 0.1, **options: Any) -> torch.optim.Optimizer:
    """Adam behind one step for each row of gradients."""
    parameter = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=lr, **options)
    for row in gradients:
        parameter.grad = torch.as_tensor(row)
        optimizer.step()
    return optimizer


def view_of(optimizer: torch.optim.Optimizer, step: int, *earlier: dict[str, Any]) -> Any:
    records = Records(Path("nowhere"))
    records.rows = earlier
    return SimpleNamespace(optimizer=optimizer, step=step, records=records)


# --- measures


@pytest.mark.parametrize("change", [permuted(0), scaled, duplicated(0)])
def test_the_spread_is_that_of_ratios(change: Any) -> None:
    check_invariant(spread, change, positive())


@given(st.floats(-3, 3), st.floats(0, 3), st.integers(1, 20))
def test_the_spread_of_two_rates(middle: float, apart: float, times: int) -> None:
    pair = np.tile([10 ** (middle - apart), 10 ** (middle + apart)], times)
    assert spread(pair) == pytest.approx(apart, abs=1e-9)


def test_deciles_of_a_uniform_distribution() -> None:
    found = log_deciles(10 ** np.linspace(0, 1, 1001))
    np.testing.assert_allclose(found, np.arange(1, 10) / 10, atol=1e-12)


@given(positive())
def test_what_is_nan_is_left_out(values: Array) -> None:
    more = np.append(values, [math.nan, math.nan])
    assert spread(more) == spread(values)
    np.testing.assert_array_equal(log_deciles(more), log_deciles(values))
    assert math.isnan(spread(np.array([math.nan])))
    assert np.isnan(log_deciles(np.array([math.nan]))).all()


@given(NINE, st.floats(-5, 5), st.floats(0.01, 3))
def test_a_distribution_that_moves_as_a_whole(before: Array, moved: float, decades: float) -> None:
    size, mean = drift(before, before + moved, decades)
    assert mean == pytest.approx(moved / decades, abs=1e-9)
    assert size == pytest.approx(abs(mean), abs=1e-9)


@given(NINE, NINE, st.floats(0.01, 3))
def test_drift_against_a_naive_loop_and_its_bound(
    before: Array, after: Array, decades: float
) -> None:
    size, mean = drift(before, after, decades)
    moved = [(a - b) / decades for b, a in zip(before, after, strict=True)]
    assert size == pytest.approx(math.sqrt(math.fsum(m * m for m in moved) / 9), abs=1e-9)
    assert abs(mean) <= size
    assert drift(after, before, decades) == pytest.approx((size, -mean))
    assert drift(before, before, decades) == (0, 0)


# --- the analyzer


@given(st.integers(0, 50), st.integers(1, 5), st.floats(1e-5, 1))
def test_the_analyzer_against_moments_by_hand(seed: int, steps: int, lr: float) -> None:
    gradients = np.random.default_rng(seed).standard_normal((steps, 7))
    found = Equilibrium().measure(view_of(stepped(gradients, lr=lr, eps=1e-6), steps))
    second = np.zeros(7)
    for gradient in gradients:
        second = 0.999 * second + 0.001 * gradient**2
    scales = 1 / (np.sqrt(second / (1 - 0.999**steps)) + 1e-6)
    assert found["learning_rates.median"] == pytest.approx(np.median(lr * scales), rel=1e-9)
    assert found["learning_rates.spread"] == pytest.approx(np.std(np.log10(scales)), abs=1e-9)
    naive = np.quantile(np.log10(scales), np.linspace(0.1, 0.9, 9))
    np.testing.assert_allclose(found[DECILES], naive, atol=1e-9)
    assert set(found) == {"learning_rates.median", "learning_rates.spread", DECILES}


def test_the_schedule_of_the_learning_rate_is_divided_out() -> None:
    gradients = np.random.default_rng(0).standard_normal((3, 6))
    one, other = (Equilibrium().measure(view_of(stepped(gradients, lr), 3)) for lr in (1.0, 0.25))
    assert other["learning_rates.median"] == pytest.approx(0.25 * one["learning_rates.median"])
    assert other["learning_rates.spread"] == one["learning_rates.spread"]
    np.testing.assert_array_equal(other[DECILES], one[DECILES])


def test_every_group_has_its_own_learning_rate() -> None:
    parameters = [torch.zeros(1, requires_grad=True) for _ in range(3)]
    groups = [{"params": [p], "lr": lr} for p, lr in zip(parameters, (1, 2, 30), strict=True)]
    optimizer = torch.optim.Adam(groups, eps=1e-12)
    for parameter in parameters:
        parameter.grad = torch.ones(1)
    optimizer.step()
    found = Equilibrium().measure(view_of(optimizer, 1))
    assert found["learning_rates.median"] == pytest.approx(2, rel=1e-5)
    assert found["learning_rates.spread"] == pytest.approx(0, abs=1e-6)


def test_gradients_of_one_size_are_in_equilibrium_and_smaller_ones_are_not() -> None:
    def measured(scale: float) -> dict[str, Any]:
        gradients = np.ones((200, 5)) * np.arange(1, 6)
        first = Equilibrium().measure(view_of(stepped(gradients[:100]), 100))
        gradients[100:] *= scale
        row = {"step": 100, **{name: list(np.atleast_1d(v)) for name, v in first.items()}}
        return dict(Equilibrium().measure(view_of(stepped(gradients), 200, row)))

    assert measured(1.0)["learning_rates.drift"] == pytest.approx(0, abs=1e-9)
    shrunk = measured(1e-9)
    decay = 0.5 * math.log10((1 - 0.999**200) / (0.999**100 * (1 - 0.999**100)))
    assert shrunk["learning_rates.shift"] == pytest.approx(decay / math.log10(2), rel=1e-6)
    assert shrunk["learning_rates.drift"] == pytest.approx(shrunk["learning_rates.shift"])
    assert measured(10.0)["learning_rates.shift"] < 0


def test_the_drift_is_taken_from_the_newest_record_that_is_old_enough() -> None:
    optimizer = stepped(np.ones((100, 4)))
    zeros, ones = ({DECILES: [number] * 9} for number in (0.0, 1.0))
    rows = [{"step": 50, **ones}, {"step": 70, **zeros}, {"step": 80, **ones}, {"step": 90, "x": 1}]
    found = Equilibrium().measure(view_of(optimizer, 100, *rows))
    assert found["learning_rates.drift"] == pytest.approx(0, abs=1e-6)
    nearer = Equilibrium(across=0.05).measure(view_of(optimizer, 100, *rows))
    assert nearer["learning_rates.shift"] == pytest.approx(-1 / math.log10(1.25))
    assert "learning_rates.drift" not in Equilibrium(across=0.5).measure(
        view_of(optimizer, 100, *rows)
    )


def test_records_from_before_the_memory_began_do_not_count() -> None:
    """The optimizer of a later stage, or one that was made anew."""
    row = {"step": 500, DECILES: [0.0] * 9}
    found = Equilibrium().measure(view_of(stepped(np.ones((500, 4))), 1000, row))
    assert "learning_rates.drift" not in found
    assert "learning_rates.drift" in Equilibrium().measure(
        view_of(stepped(np.ones((501, 4))), 1000, row)
    )


def test_parameters_that_never_had_a_gradient_are_left_out() -> None:
    gradients = np.array([[1.0, 0.0, 100.0]])
    optimizer = stepped(gradients, eps=0.0)
    (scales,) = adam_scales(optimizer).values()
    np.testing.assert_allclose(scales, [1.0, math.nan, 0.01])
    assert Equilibrium().measure(view_of(optimizer, 1))["learning_rates.spread"] == pytest.approx(1)
    found = Equilibrium().measure(view_of(stepped(np.zeros((2, 3)), eps=0.0), 2))
    assert all(np.isnan(value).all() for value in found.values())


def test_an_optimizer_without_moments_has_no_rates() -> None:
    x = torch.zeros(2, requires_grad=True)
    x.grad = torch.ones(2)
    for optimizer in (torch.optim.SGD([x], lr=0.1), torch.optim.RMSprop([x], lr=0.1)):
        optimizer.step()
        assert Equilibrium().measure(view_of(optimizer, 1)) == {}
    assert Equilibrium().measure(view_of(torch.optim.Adam([x]), 0)) == {}


@pytest.mark.usefixtures("without_results")
def test_a_run_records_it_in_the_stages_that_have_moments(
    make_config: Callable[..., Config],
) -> None:
    config = make_config(
        {"name": "helmholtz", "a1": 1, "a2": 1},
        optimizers=[
            {"name": "adam", "steps": 4},
            {"name": "lbfgs", "steps": 2},
            {"name": "adam", "steps": 3},
        ],
        analyzers=[{"name": "equilibrium", "every": 1}],
    )
    metrics = train(config).metrics()
    assert metrics[DECILES][0].tolist() == [1, 2, 3, 4, 7, 8, 9]
    assert (np.diff(metrics[DECILES][1]) >= 0).all()
    assert metrics["learning_rates.drift"][0].tolist() == [2, 3, 4, 9]


def test_figures(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    records = Records(tmp_path / "metrics.jsonl")
    assert not list(Equilibrium().figures(records))
    optimizer = stepped(np.random.default_rng(0).standard_normal((5, 20)))
    records.append(
        1, Equilibrium().measure(SimpleNamespace(optimizer=optimizer, step=1, records=records))
    )  # type: ignore[arg-type]
    assert [plot.name for plot in Equilibrium().figures(records)] == ["learning-rates"]
    records.append(
        5, Equilibrium().measure(SimpleNamespace(optimizer=optimizer, step=5, records=records))
    )  # type: ignore[arg-type]
    drawing, curves = Equilibrium().figures(records)
    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    drawing.draw(figure)  # type: ignore[union-attr]
    assert len(figure.axes[0].lines) == 9
    assert curves.title == "The learning rates drift by 0 decades per decade at the end"
