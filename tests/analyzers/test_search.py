"""What steps note of themselves: read from optimizers by hand and in runs, and silent for others."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.analyzers.recent import average, rate
from pinn.analyzers.search import KEPT, Search, noted, rises
from pinn.core import Box, Curves, Problem, Records
from pinn.engine import Config, train, watch

MakeConfig = Callable[..., Config]
NOWHERE = Path("never-written")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def sgd(**kept: Any) -> torch.optim.Optimizer:
    """An optimizer that notes these beside its options."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    optimizer.param_groups[0] |= kept
    return optimizer


def counted(counts: list[float], apart: int = 1, name: str = "n") -> Records:
    """Records of these values, `apart` steps apart, so late that all of them are of the end."""
    records = Records(NOWHERE)
    begin = 10 * apart * len(counts)
    records.rows = [{"step": begin + apart * i, name: n} for i, n in enumerate(counts)]
    return records


# --- measures


@given(st.dictionaries(st.sampled_from(KEPT), NUMBERS), st.booleans())
def test_all_that_is_noted_is_read_and_nothing_else(kept: dict[str, float], tensors: bool) -> None:
    given = {name: torch.tensor(value) if tensors else value for name, value in kept.items()}
    assert noted(sgd(**given, other=3.0)) == kept


@given(st.sampled_from(KEPT))
def test_options_words_and_arrays_are_not_noted(name: str) -> None:
    for value in (None, "none", torch.ones(3)):
        assert noted(sgd(**{name: value})) == {}
    optimizer = torch.optim.Optimizer([torch.zeros(1)], {name: 1e-3})
    assert noted(optimizer) == {}


@given(st.lists(st.floats(1e-6, 1e6)))
def test_rises_against_a_naive_loop_and_its_bounds(values: list[float]) -> None:
    losses = np.array(values)
    pairs = list(pairwise(values))
    sure = [b for a, b in pairs if b > 1.011 * a]
    unsure = [b for a, b in pairs if b > 1.009 * a]
    found = rises(losses) * max(len(pairs), 1)
    assert len(sure) - 1e-9 <= found <= len(unsure) + 1e-9
    assert rises(losses) + rises(losses[::-1]) <= 1 + 1e-12
    assert rises(1 + 1e-7 * losses / (1 + losses)) == 0


@given(st.lists(st.integers(0, 5), min_size=3, max_size=40), st.integers(1, 50))
def test_the_rate_of_a_counter_is_what_it_counted_a_step(rose: list[int], apart: int) -> None:
    counts = np.cumsum(rose)
    expected = sum(rose[1:]) / (apart * (len(rose) - 1))
    assert rate(counted(counts.tolist(), apart), "n") == pytest.approx(expected)
    later = (counts + 7).tolist()
    assert rate(counted(later, apart), "n") == pytest.approx(expected)


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=20),
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
)
def test_a_counter_that_begins_anew_loses_nothing(one: list[int], other: list[int]) -> None:
    before, after = np.cumsum(one), np.cumsum(other)
    found = rate(counted([*(before + after[0] + 1), *after]), "n")
    assert found == pytest.approx((sum(one[1:]) + sum(other)) / (len(one) + len(other) - 1))


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_the_average_is_the_mean_of_three_or_more(values: list[float]) -> None:
    found = average(counted(values), "n")
    assert found == (pytest.approx(np.mean(values)) if len(values) > 2 else None)
    assert rate(counted(values[:2]), "n") is None


# --- the analyzer


def test_an_optimizer_that_notes_nothing_is_not_measured() -> None:
    x = torch.ones(2, requires_grad=True)
    x.grad = torch.ones(2)
    for optimizer in (torch.optim.Adam([x]), torch.optim.SGD([x]), torch.optim.LBFGS([x])):
        assert Search().measure(SimpleNamespace(optimizer=optimizer)) == {}  # type: ignore[arg-type]


SECOND_ORDER = {
    "gauss-newton": {"damping", "gain_ratio", "step_length", "evaluations", "refused"},
    "ss-broyden": {"step_length", "evaluations", "made", "resets"},
    "ss-bfgs": {"step_length", "evaluations", "made", "resets"},
    "lbfgs": {"step_length", "evaluations"},
}


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_a_run_records_what_its_steps_did(name: str, make_config: MakeConfig) -> None:
    """Behind a stage of Adam, of which there is nothing to record."""
    config = make_config(
        {"name": "burgers"},
        run={"precision": "float64", "record": 1},
        optimizers=[{"name": "adam", "steps": 5}, {"name": name, "steps": 25}],
        analyzers=[{"name": "search", "every": 1}],
    )
    found = {n: series for n, series in train(config).metrics().items() if n.startswith("search.")}
    assert set(found) == {f"search.{quantity}" for quantity in SECOND_ORDER[name]}
    for steps, values in found.values():
        assert steps.tolist() == list(range(6, 31))
        assert np.isfinite(values).all()
    assert (found["search.evaluations"][1] >= 1).all()
    assert (found["search.step_length"][1] > 0).all()
    if name == "gauss-newton":
        damping, ratio = (found[f"search.{n}"][1] for n in ("damping", "gain_ratio"))
        shrunk = damping[1:] < damping[:-1]
        assert (ratio[1:][shrunk & (found["search.evaluations"][1][1:] == 1)] > 0.75).all()
        assert (ratio > 0).all()
        assert found["search.refused"][1][-1] == 0
    elif "made" in SECOND_ORDER[name]:
        assert found["search.made"][1].tolist() == list(range(1, 26))
        assert (found["search.resets"][1] == 0).all()


@pytest.mark.usefixtures("without_results")
def test_a_run_of_adam_records_and_concludes_nothing(make_config: MakeConfig) -> None:
    analyzers = [{"name": "search", "every": 1}]
    run = train(make_config({"name": "burgers"}, analyzers=analyzers))
    assert not any(name.startswith("search") for name in run.metrics())
    records = Records(run.path / "metrics.jsonl")
    assert not list(Search().figures(records))
    assert not list(Search().conclusions(records))


def test_a_watched_loop_is_measured_where_its_optimizer_notes_something(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    points = torch.rand(9, 2)

    def residuals(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(model(x)[:, 0]) - x[:, 0]

    def watched(optimizer: torch.optim.Optimizer, name: str) -> set[str]:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (residuals(points) ** 2).mean()
            loss.backward()
            return loss

        with watch(
            tmp_path / name, model, optimizer,
            residuals=residuals, points=points, analyzers=["search"],
        ) as watcher:  # fmt: skip
            for _ in range(3):
                watcher.step(optimizer.step(closure))  # type: ignore[arg-type]
        return {name for name in watcher.records.names if name.startswith("search")}

    assert watched(torch.optim.LBFGS(model.parameters(), max_iter=2), "lbfgs") == {
        "search.step_length"
    }
    assert watched(torch.optim.Adam(model.parameters()), "adam") == set()


def test_figures_show_what_was_recorded() -> None:
    records = Records(NOWHERE)
    assert not list(Search().figures(records))
    records.rows = [{"step": 1, "search.step_length": 0.5}]
    assert [plot.name for plot in Search().figures(records)] == ["search-step"]
    records.rows = [{"step": 1, **{f"search.{name}": 1.0 for name in KEPT}}]
    plots = [plot for plot in Search().figures(records) if isinstance(plot, Curves)]
    assert [plot.log for plot in plots] == [True, False, False, False]
    drawn = {name for plot in plots for name in plot.quantities}
    assert drawn == {f"search.{name}" for name in KEPT if name != "made"}


# --- conclusions


def concluded(records: Records) -> list[str]:
    return [found.finding for found in Search().conclusions(records)]


def measured(**quantities: Callable[[int], float]) -> Records:
    """Of every tenth step up to 1,000; `loss` is the unweighted one."""
    records = Records(NOWHERE)
    for step in range(10, 1001, 10):
        row = {f"search.{name}": value(step) for name, value in quantities.items()}
        loss = row.pop("search.loss", 1 / step)
        records.rows.append({"step": step, "loss.unweighted": loss, **row})
    return records


def of_run(
    make_config: MakeConfig, optimizer: dict[str, Any], **tables: Any
) -> tuple[list[str], Records]:
    config = make_config(
        tables.pop("problem", {"name": "burgers"}),
        run={"record": 1, "precision": tables.pop("precision", "float64")},
        optimizers=[optimizer],
        analyzers=[{"name": "search", "every": 1}],
        **tables,
    )
    records = Records(train(config).path / "metrics.jsonl")
    return [f"{found.finding} {found.advice}" for found in Search().conclusions(records)], records


def test_nothing_is_concluded_from_nothing_or_from_steps_that_work() -> None:
    assert concluded(Records(NOWHERE)) == []
    fine = {"damping": lambda s: 1e-5, "gain_ratio": lambda s: 0.8, "step_length": lambda s: 0.1}
    counters = {
        "refused": lambda s: 1.0,
        "resets": lambda s: s // 500,
        "made": lambda s: s % 500 + 1,
    }
    assert concluded(measured(evaluations=lambda s: 3.0, **fine, **counters)) == []


@given(st.integers(2, 9))
def test_each_rule_speaks_beyond_its_bound(share: int) -> None:
    (refused,) = concluded(measured(refused=lambda s: s * share / 10, damping=lambda s: 1e8))
    assert f"{share}0% of the steps were refused" in refused
    assert "half the time at a damping of 1e+08 or more" in refused
    (anew,) = concluded(measured(resets=lambda s: s * share / 100, made=lambda s: 7))
    assert f"began anew {share} times in 100 steps" in anew
    (vain,) = concluded(measured(resets=lambda s: 3, made=lambda s: s % share // (share - 1)))
    assert "had made none behind" in vain
    (costly,) = concluded(measured(evaluations=lambda s: 4.0 + share))
    assert f"evaluates the loss {4 + share:.2g} times" in costly


def test_a_loss_that_rises_and_stands_still_is_noise() -> None:
    wobble = {"loss": lambda s: 1 + 0.1 * math.sin(s), "step_length": lambda s: 0.5}
    (noise,) = concluded(measured(**wobble))
    assert "the loss rose in" in noise
    falling = wobble | {"loss": lambda s: (1 + 0.1 * math.sin(s)) / s**3}
    assert concluded(measured(**falling)) == []
    assert concluded(measured(loss=wobble["loss"])) == []  # Adam's
    later = measured(**wobble)
    later.rows.append({"step": 1010, "loss.unweighted": 1.0})
    assert concluded(later) == []  # another optimizer goes on


@frozen
class Fit(Problem):
    """u = sin 3x: nothing but rounding is left after a few steps."""

    name = "fit"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"fit": q.u - torch.sin(3 * q.x)}


@pytest.mark.usefixtures("without_results")
def test_systems_that_are_singular_are_told(
    make_config: MakeConfig, offer: Callable[..., None], constant: type[Problem]
) -> None:
    offer(constant)
    found, records = of_run(
        make_config, {"name": "gauss-newton", "steps": 12}, problem={"name": "constant"}
    )
    assert records.last("search.refused") == 12
    assert records.last("search.step_length") == 0
    (refused,) = [text for text in found if "refused" in text]
    assert "100% of the steps were refused" in refused


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("name", ["gauss-newton", "ss-broyden"])
def test_the_floor_of_single_precision_is_told(
    make_config: MakeConfig, offer: Callable[..., None], name: str
) -> None:
    offer(Fit)
    tables = {"problem": {"name": "fit"}, "points": {"interior": 8}}
    found, _ = of_run(make_config, {"name": name, "steps": 150}, precision="float32", **tables)
    assert found
    assert all('precision = "float64"' in text for text in found)


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize(("redraw", "told"), [(1, True), (0, False)])
def test_points_that_are_new_in_every_step_are_told(
    make_config: MakeConfig, redraw: int, told: bool
) -> None:
    points = {"interior": 32, "conditions": 12, "redraw": redraw}
    found, _ = of_run(make_config, {"name": "gauss-newton", "steps": 60}, points=points)
    assert any("noise to the steps" in text for text in found) == told
