"""What a step changes of each sample: naive versions, invariants, the first order, watched loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from pinn.analyzers.sensitivity import Sensitivity, sensitivity
from pinn.core.records import Records
from pinn.engine import Config, train, watch
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.ready import prepare
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]
MakeConfig = Callable[..., Config]

NUMBERS = st.integers(-1000, 1000).map(lambda n: n / 8)  # exact: differences do not round
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.float64, (2, *shape), elements=NUMBERS)
)
"""Residuals (equations, points) before and after a step."""


def naive(before: Any, after: Any) -> dict[str, float]:
    columns = list(zip(before.T.tolist(), after.T.tolist(), strict=True))
    count = len(columns)
    change = [math.fsum(abs(b - a) for a, b in zip(*both, strict=True)) for both in columns]
    growth = [math.fsum(map(abs, b)) - math.fsum(map(abs, a)) for a, b in columns]
    mean, square = math.fsum(change) / count, math.fsum(c * c for c in change) / count
    root = math.sqrt(math.fsum(g * g for g in growth) / count)
    return {
        "order": mean / math.sqrt(square) if square else 1.0,
        "variation": math.sqrt(max(square - mean**2, 0)) / mean if mean else 0.0,
        "drift": math.fsum(growth) / count / root if root else math.nan,
        "descent": sum(g < 0 for g in growth) / count,
    }


@given(STEPS)
def test_against_naive_sums(step: Any) -> None:
    assert sensitivity(*step) == pytest.approx(naive(*step), rel=1e-9, abs=1e-6, nan_ok=True)


@given(STEPS)
def test_bounds_and_identities(step: Any) -> None:
    found, (before, after) = sensitivity(*step), step
    count = before.shape[1]
    assert 1 / math.sqrt(count) - 1e-12 <= found["order"] <= 1
    assert found["order"] == pytest.approx(1 / math.hypot(1, found["variation"]), abs=1e-12)
    assert 0 <= found["descent"] <= 1
    assert math.isnan(found["drift"]) or abs(found["drift"]) <= 1 + 1e-12
    back = sensitivity(after, before)
    for name, sign in (("order", 1), ("variation", 1), ("drift", -1)):
        assert back[name] == pytest.approx(sign * found[name], nan_ok=True)
    unchanged = float((np.abs(before).sum(0) == np.abs(after).sum(0)).mean())
    assert back["descent"] + found["descent"] + unchanged == pytest.approx(1)


@given(STEPS, st.sampled_from([2.0**-40, 0.5, 2.0**40]), st.integers(1, 3), st.randoms())
def test_unit_order_repetition_and_the_signs_of_equations_do_not_matter(
    step: Any, scale: float, times: int, dice: Any
) -> None:
    equations, count = step.shape[1:]
    signs = np.array([dice.choice([-1.0, 1.0]) for _ in range(equations)])[:, None]
    rows, columns = dice.sample(range(equations), equations), dice.sample(range(count), count)
    other = np.tile((scale * signs * step)[:, rows][:, :, columns], times)
    expected = pytest.approx(sensitivity(*step), rel=1e-9, abs=1e-9, nan_ok=True)
    assert sensitivity(*other) == expected


@given(st.integers(1, 30), NUMBERS)
def test_a_step_that_changes_all_alike(count: int, by: float) -> None:
    assume(by)
    found = sensitivity(np.full((1, count), 200.0), np.full((1, count), 200.0 + by))
    assert found == pytest.approx(
        {"order": 1, "variation": 0, "drift": np.sign(by), "descent": float(by < 0)}
    )


@pytest.mark.parametrize("count", [1, 4, 100])
def test_a_step_that_changes_one_point_only(count: int) -> None:
    after = np.ones((2, count))
    after[1, count // 2] = 0.5
    found = sensitivity(np.ones((2, count)), after)
    assert found["order"] == pytest.approx(1 / math.sqrt(count))
    assert found["descent"] == 1 / count
    assert found["drift"] == pytest.approx(-1 / math.sqrt(count))


def test_noise_has_the_order_of_the_half_normal_distribution() -> None:
    change = np.random.default_rng(0).normal(size=(1, 100_000))
    found = sensitivity(np.full_like(change, 10.0), 10.0 + change)
    assert found["order"] == pytest.approx(math.sqrt(2 / math.pi), abs=5e-3)
    assert found["variation"] == pytest.approx(math.sqrt(math.pi / 2 - 1), abs=1e-2)
    assert found["descent"] == pytest.approx(0.5, abs=1e-2)
    assert found["drift"] == pytest.approx(0, abs=2e-2)


def test_a_change_of_sign_counts_in_full() -> None:
    """r = 1 → −1 is a change of 2, though |r| stays."""
    found = sensitivity(np.array([[1.0, 1.0]]), np.array([[-1.0, 3.0]]))
    assert found == pytest.approx(
        {"order": 1, "variation": 0, "drift": math.sqrt(0.5), "descent": 0}
    )


def test_no_change_and_numbers_that_are_not_finite() -> None:
    same = sensitivity(np.zeros((2, 3)), np.zeros((2, 3)))
    assert (same["order"], same["variation"], same["descent"]) == (1, 0, 0)
    assert math.isnan(same["drift"])
    for bad in (math.nan, math.inf):
        for pair in ([[1.0, bad]], [[1.0, 2.0]]), ([[1.0, 2.0]], [[1.0, bad]]):
            found = sensitivity(*map(np.array, pair))
            assert all(map(math.isnan, found.values()))


# the analyzer


@given(st.integers(0, 30), st.integers(1, 12))
@settings(max_examples=8)
def test_to_first_order_it_is_the_gradient_along_the_step(
    make_case: MakeCase, seed: int, count: int
) -> None:
    case = make_case(seed, count)
    before = case.residuals(case.points.interior)
    generator = torch.Generator().manual_seed(seed)
    step = [1e-6 * torch.randn(p.shape, generator=generator).double() for p in case.parameters]
    slopes = []
    for r in before.ravel():
        g = torch.autograd.grad(r, case.parameters, retain_graph=True, materialize_grads=True)
        slopes.append(sum(float((a * d).sum()) for a, d in zip(g, step, strict=True)))
    along = np.array(slopes).reshape(before.shape)
    r = before.detach().numpy()
    with torch.no_grad():
        for parameter, change in zip(case.parameters, step, strict=True):
            parameter += change
    view = case.view(
        Vanilla(), torch.ones(2, count), memories={"sensitivity": before.detach().clone()}
    )
    found = Sensitivity().measure(view)
    expected = sensitivity(r, r + along)
    assert found["sensitivity.order"] == pytest.approx(expected["order"], rel=1e-3)
    assert found["sensitivity.variation"] == pytest.approx(expected["variation"], abs=1e-3)


def test_the_memory_is_the_residuals_where_the_step_began() -> None:
    analyzer, points = Sensitivity(), torch.rand(5, 2)
    memory = analyzer.start(points)
    assert (memory.shape, memory.dtype) == ((0, 5), points.dtype)
    for _ in range(3):
        residuals = torch.randn(2, 5)
        memory = analyzer.follow(memory, residuals)
        assert torch.equal(memory, residuals)
    residuals += 1  # training may write over what it handed out
    assert not torch.equal(memory, residuals)


@pytest.mark.parametrize("memory", [None, (0, 13), (2, 12)])
def test_where_no_step_was_told_nothing_is_measured(make_case: MakeCase, memory: Any) -> None:
    memories = {} if memory is None else {"sensitivity": torch.zeros(memory)}
    view = make_case().view(Vanilla(), torch.ones(2, 13), memories=memories)
    assert Sensitivity().measure(view) == {}


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_in_a_run_it_is_the_difference_between_two_steps(
    make_config: MakeConfig, tmp_path: Path, optimizer: str
) -> None:
    config = make_config(
        {"name": "cavity"},
        run={"checkpoint": 1, "precision": "float64"},
        optimizers=[{"name": optimizer, "steps": 4}],
        analyzers=[{"name": "sensitivity", "every": 1}],
    )
    run = train(config)
    module, objective, _ = prepare(config)
    ends = []
    for file in newest_first(run.path / "checkpoints")[:2]:
        saved = read(file)
        module.load_state_dict(saved["module"])
        r = objective.interior_residuals(objective.parameters, saved["interior"])
        ends.append(r.detach().numpy())
    after, before = ends
    metrics = run.metrics()
    for name, value in sensitivity(before, after).items():
        steps, values = metrics[f"sensitivity.{name}"]
        assert steps.tolist() == [1, 2, 3, 4]
        assert values[-1] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("told", [True, False])
def test_a_watched_loop_has_it_where_it_tells_the_residuals(tmp_path: Path, told: bool) -> None:
    torch.manual_seed(0)
    model, points = nn.Linear(2, 1).double(), torch.rand(9, 2, dtype=torch.float64)

    def residuals(x: Tensor) -> Tensor:
        return model(x)[:, 0] - x.prod(1)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(
        tmp_path, model, optimizer, residuals=residuals, points=points, analyzers=["sensitivity"]
    ) as watcher:
        optimizer.zero_grad()
        before = residuals(points)
        loss = before.square().mean()
        loss.backward()
        optimizer.step()
        watcher.step(loss, residuals=before if told else None)
    row = Records(tmp_path / "metrics.jsonl").rows[-1]
    assert ("sensitivity.order" in row) == told
    if told:
        r, after = (v.detach().numpy()[None] for v in (before, residuals(points)))
        assert row["sensitivity.order"] == pytest.approx(sensitivity(r, after)["order"])


def test_the_figures_say_what_was_found() -> None:
    records = Records(Path("never-written"))
    assert len(list(Sensitivity().figures(records))) == 2
    records.rows = [{"step": 9, "sensitivity.order": 0.5, "sensitivity.descent": 0.25}]
    order, descent = Sensitivity().figures(records)
    assert order.title.endswith("order 0.50 at the end")
    assert descent.title == "The last step lowers |r| at 25% of the points"
