"""Loops that are trained elsewhere, watched: against runs of the same, and without a trace."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner
from torch import Tensor, nn

from pinn.core import Analyzer, Box, Condition, ConfigError, PinnError, Problem, View, offered
from pinn.engine import Watcher, open_run, parse_config, train, watch, write_report
from pinn.engine.cli import commands
from pinn.engine.reporting.comparison import compare
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state
from pinn.engine.training.undisturbed import global_state
from pinn.engine.watching.losses import by_equation
from tests.told import Told

KAPPA = 0.1
STEPS = 6
ANALYZERS = [
    {"name": "snr", "batches": 5, "every": 2},
    {"name": "error", "every": 3},
    {"name": "adam-snr"},
    {"name": "homogeneity", "cells": 3, "every": 2},
    {"name": "phases", "every": 2},
    {"name": "compression", "every": 3, "at": []},
    {"name": "maps", "at": [2]},
]


@frozen
class Heat(Problem):
    """u_t = κ u_xx on [0, 1] × [0, 1]."""

    name = "heat-test"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"heat": q.u_t - KAPPA * q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.sin(math.pi * q.x))

    def solution(self, q: Any) -> dict[str, Any]:
        return {"u": torch.exp(-KAPPA * math.pi**2 * q.t) * torch.sin(math.pi * q.x)}


def exact(points: Tensor) -> Tensor:
    return torch.exp(-KAPPA * math.pi**2 * points[:, 1]) * torch.sin(math.pi * points[:, 0])


class Loop:
    """A loop as somebody writes it, with nested autograd."""

    def __init__(self, model: nn.Module, points: Tensor, start: Tensor, rba: bool = False) -> None:
        self.model = model
        self.points = points
        self.at_start = start
        self.calls = 0
        self.rba = rba
        self.weights = torch.zeros(len(points)) if rba else torch.ones(len(points))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def residuals(self, points: Tensor) -> Tensor:
        self.calls += 1
        points = points.clone().requires_grad_()
        u = self.model(points)[:, 0]
        u_x, u_t = torch.autograd.grad(u.sum(), points, create_graph=True)[0].T
        u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, 0]
        return u_t - KAPPA * u_xx

    def conditions(self) -> Tensor:
        wanted = torch.sin(math.pi * self.at_start[:, 0])
        return ((self.model(self.at_start)[:, 0] - wanted) ** 2).mean()

    def step(self) -> tuple[Tensor, Tensor]:
        r = self.residuals(self.points)
        if self.rba:
            size = r.detach().abs()
            self.weights = 0.999 * self.weights + 0.001 * size / size.max()
        loss = ((self.weights * r) ** 2).mean() + self.conditions()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss, r

    def watched(self, directory: Path, **options: Any) -> Watcher:
        given: dict[str, Any] = {
            "residuals": self.residuals,
            "points": self.points,
            "conditions": self.conditions,
            "solution": {"u": exact},
            "bounds": {"x": (0, 1), "t": (0, 1)},
            "analyzers": ANALYZERS,
        }
        given |= options
        return watch(directory, self.model, self.optimizer, **given)


def mlp(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))


def loop(seed: int = 0, model: nn.Module | None = None) -> Loop:
    points, start = torch.rand(23, 2), torch.rand(7, 2)
    return Loop(model or mlp(seed), points, start * torch.tensor([1.0, 0.0]))


def lines(directory: Path) -> list[dict[str, Any]]:
    text = (directory / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    return found


# what is measured


@pytest.mark.parametrize("weighting", ["vanilla", "rba"])
def test_a_watched_loop_records_what_a_run_of_the_same_records(
    tmp_path: Path, weighting: str
) -> None:
    table = {
        "run": {
            "directory": str(tmp_path / "run"), "device": "cpu", "compile": "never",
            "precision": "float64", "record": 3,
        },
        "problem": {"name": "heat-test"},
        "network": {"name": "mlp", "width": 6, "depth": 2},
        "points": {"interior": 37, "conditions": 8},
        "weighting": {"name": weighting},
        "optimizers": [{"name": "adam", "steps": STEPS, "lr": 1e-2, "schedule": "constant"}],
        "analyzers": ANALYZERS,
    }  # fmt: skip
    with offered(Heat):
        config = parse_config(table)
        module, objective, _ = prepare(config)
        points = initial_state(config, module, len(objective.equations.names)).points
        run = train(config)
    own = Loop(module, points.interior, points.conditions["initial"], rba=weighting == "rba")
    own.weights = own.weights.double()
    with own.watched(
        tmp_path / "bare", weights=lambda: own.weights, record=3, name="heat-test"
    ) as watcher:
        for _ in range(STEPS):
            watcher.step(*own.step())

    theirs, mine = lines(run.path), lines(tmp_path / "bare")
    assert [row["step"] for row in mine] == [row["step"] for row in theirs]
    compared = 0
    for row, other in zip(mine, theirs, strict=True):
        for name in row.keys() & other.keys() - {"seconds", "loss.unweighted"}:
            if isinstance(row[name], str) or row[name] is None:
                assert row[name] == other[name], name
            else:
                np.testing.assert_allclose(
                    row[name], other[name], rtol=1e-6, atol=1e-9, err_msg=name
                )
            compared += 1
        assert {n for n in other if not n.startswith(("loss.", "misfit."))} <= row.keys()
    assert compared > 100
    assert mine[-1]["snr"] > 0
    assert mine[-1]["residual_order.rba.3cells"] < 1
    with (
        np.load(run.path / "predictions.npz") as a,
        np.load(tmp_path / "bare" / "predictions.npz") as b,
    ):
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_allclose(a[name], b[name], atol=1e-9)


def test_losses_of_points_measure_like_their_residuals(tmp_path: Path) -> None:
    own = loop()
    asked = {"analyzers": ["snr", {"name": "homogeneity", "cells": 3}, "maps"]}
    with (
        own.watched(tmp_path / "r", **asked) as first,
        own.watched(
            tmp_path / "l", residuals=None, losses=lambda p: own.residuals(p) ** 2, **asked
        ) as second,
    ):
        loss, _ = own.step()
        first.step(loss)
        second.step(loss)
    (row,), (other,) = lines(tmp_path / "r"), lines(tmp_path / "l")
    assert row.keys() == other.keys()
    for name in row.keys() - {"seconds"}:
        np.testing.assert_allclose(row[name], other[name], rtol=1e-4, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    "shape",
    [
        lambda r: r[:, None],
        lambda r: r[None],
        lambda r: [r[:, None]],
        lambda r: {"heat": r},
    ],
)
def test_residuals_come_in_several_shapes(tmp_path: Path, shape: Callable[[Tensor], Any]) -> None:
    own = loop()
    with own.watched(tmp_path, residuals=lambda p: shape(own.residuals(p))) as watcher:
        assert torch.allclose(watcher.view().residuals, own.residuals(own.points).detach()[None])


def test_several_equations_are_terms_of_the_loss(tmp_path: Path) -> None:
    own = loop()

    def two(points: Tensor) -> dict[str, Tensor]:
        r = own.residuals(points)
        return {"first": r, "second": 2 * r}

    with own.watched(tmp_path, residuals=two, weights=torch.full((23,), 3.0), record=1) as watcher:
        own.step()
        watcher.step()
    (row,) = lines(tmp_path)
    assert row["loss.second"] == pytest.approx(4 * row["loss.first"])
    square = float((own.residuals(own.points).detach() ** 2).mean())
    rest = float(own.conditions().detach())
    assert row["loss.first"] == pytest.approx(9 * square)
    assert row["loss.conditions"] == pytest.approx(rest)
    assert row["loss.unweighted"] == pytest.approx(5 * square + rest)
    assert row["loss"] == pytest.approx(45 * square + rest)  # none was given: after the step


def test_a_solution_may_be_known_at_the_points_only(tmp_path: Path) -> None:
    own = loop()
    values = exact(own.points).numpy()
    with own.watched(
        tmp_path, solution={"u": values}, analyzers=["error", "compression"]
    ) as watcher:
        watcher.step(*own.step())
    found = own.model(own.points).detach()[:, 0].numpy()
    expected = np.linalg.norm(found - values) / np.linalg.norm(values)
    assert lines(tmp_path)[-1]["rel_l2.u"] == pytest.approx(expected, rel=1e-5)
    assert lines(tmp_path)[-1]["information_y"] > 0


def test_many_coordinates_are_compared_at_the_points(tmp_path: Path) -> None:
    model = nn.Linear(9, 1)
    points = torch.rand(30, 9)

    def residuals(points: Tensor) -> Tensor:
        return model(points)[:, 0] - points.sum(1)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(
        tmp_path, model, optimizer,
        residuals=residuals, points=points, solution={"u": lambda p: p.sum(1)},
    ) as watcher:  # fmt: skip
        watcher.step(1.0)
    found = model(points).detach()[:, 0]
    expected = float((found - points.sum(1)).norm() / points.sum(1).norm())
    assert lines(tmp_path)[-1]["rel_l2"] == pytest.approx(expected, rel=1e-5)
    assert not (tmp_path / "predictions.npz").exists()


def test_a_model_of_another_signature_takes_a_forward(tmp_path: Path) -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return self.inner(torch.stack([x, t], 1))

    model = Split()

    def call(points: Tensor) -> Tensor:
        return model(points[:, 0], points[:, 1])

    own = loop()
    own.model = call  # type: ignore[assignment]
    options: dict[str, Any] = {
        "residuals": own.residuals, "points": own.points, "analyzers": ["compression"],
    }  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(PinnError, match=r"cannot be called with points \(23, 2\).*pass forward="):
        watch(tmp_path, model, optimizer, **options)
    with watch(tmp_path, model, optimizer, forward=call, **options) as watcher:
        watcher.step(1.0)
    assert "saturation.layer2" in lines(tmp_path)[-1]


def test_all_that_can_measure_does_unless_said_otherwise(tmp_path: Path) -> None:
    own, notes = loop(), Told()
    with own.watched(tmp_path, analyzers=None, reporter=notes, solution=None) as watcher:
        watcher.step(*own.step())
    names = [o.analyzer.name for o in open_run(tmp_path).config.observers]
    assert {"snr", "homogeneity", "compression", "maps"} <= set(names)
    assert names.index("snr") < names.index("phases")
    assert {"spectrum", "error"}.isdisjoint(names)
    assert any("not measured: error needs a solution" in note for note in notes.notes)
    assert any("not measured: spectrum needs the residuals" in note for note in notes.notes)


def test_what_follows_every_step_is_left_out_where_no_step_is_told(tmp_path: Path) -> None:
    own = loop()
    with own.watched(tmp_path) as watcher:
        watcher.step(own.step()[0])
    row = lines(tmp_path)[-1]
    assert "residual_order.residuals.3cells" in row
    assert "residual_order.rba.3cells" not in row


def test_memories_start_again_where_points_move(tmp_path: Path) -> None:
    own = loop()
    with own.watched(tmp_path, points=lambda: own.points) as watcher:
        for _ in range(3):
            watcher.step(*own.step())
        before = watcher.view().memories["homogeneity"].clone()
        own.points = torch.rand(31, 2)
        own.weights = torch.ones(31)
        watcher.step(*own.step())
        after = watcher.view().memories["homogeneity"]
    assert before.max() > 0.0015
    assert after.shape == (31,)
    assert after.max() == pytest.approx(0.001)  # one step: η


# without a trace


class Restless(nn.Module):
    """Draws random numbers, counts its evaluations, and behaves otherwise when it is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()
        self.noise = nn.Dropout(0.2)
        self.normal = nn.BatchNorm1d(1)
        self.frozen = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, points: Tensor) -> Tensor:
        return self.normal(self.noise(self.inner(points))) * self.frozen


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_watching_changes_no_bit_of_the_training(tmp_path: Path, kind: str) -> None:
    def trained(watched: bool) -> tuple[list[Any], list[Any]]:
        torch.manual_seed(1)
        own = loop(model=Restless())
        with ExitStack() as stack:
            watcher = None
            if watched:

                def residuals(points: Tensor) -> Tensor:
                    own.model.eval()
                    own.model.frozen.requires_grad_()
                    return own.residuals(points)

                asked = [*ANALYZERS, {"name": "snr", "batches": 3, "partition": "random"}]
                asked = [{**a, "every": 1} for a in asked[1:]]
                watcher = stack.enter_context(
                    own.watched(tmp_path, residuals=residuals, analyzers=asked, record=1)
                )
            if kind == "lbfgs":
                own.optimizer = torch.optim.LBFGS(  # type: ignore[assignment]
                    [p for p in own.model.parameters() if p.requires_grad], max_iter=3
                )
            for _ in range(4):
                if kind == "adam":
                    loss, r = own.step()
                else:

                    def closure() -> Tensor:
                        own.optimizer.zero_grad()
                        loss = (own.residuals(own.points) ** 2).mean() + own.conditions()
                        loss.backward()
                        return loss

                    loss, r = own.optimizer.step(closure), None  # type: ignore[arg-type]
                if watcher is not None:
                    watcher.optimizer = own.optimizer
                    watcher.step(loss, residuals=r)
        state = [*own.model.state_dict().values(), *own.optimizer.state_dict()["state"].values()]
        grads = [p.grad for p in own.model.parameters()]
        flags = [p.requires_grad for p in own.model.parameters()]
        modes = [m.training for m in own.model.modules()]
        return [state, grads], [flags, modes, global_state()]

    def flat(tree: Any) -> list[Any]:
        return torch.utils._pytree.tree_leaves(tree)

    for mine, theirs in zip(trained(True), trained(False), strict=True):
        for a, b in zip(flat(mine), flat(theirs), strict=True):
            assert torch.equal(a, b) if isinstance(a, Tensor) else a == b
    assert len(lines(tmp_path)) == 4


def test_a_step_at_which_nothing_is_due_looks_at_nothing(tmp_path: Path) -> None:
    own = loop()
    asked = [{"name": "snr", "every": 1000, "early_every": 0}]
    watcher = own.watched(tmp_path, analyzers=asked, record=1000)
    before = own.calls
    for _ in range(999):
        watcher.step(torch.ones((), device="meta"))  # a number that nobody can read
    assert own.calls == before
    assert not (tmp_path / "metrics.jsonl").exists()
    watcher.close(complete=False)


# what is refused


class Odd(nn.Module):
    def forward(self, points: Tensor) -> Tensor:
        return points


def nan(own: Loop, points: Tensor) -> Tensor:
    r = own.residuals(points)
    return torch.where(points[:, 0] > 0.5, r, math.nan)


REFUSED: list[tuple[Callable[[Loop], dict[str, Any]], str]] = [
    (lambda own: {"residuals": lambda p: own.residuals(p)[:-1]}, r"shape \(22,\) for 23 points"),
    (lambda own: {"residuals": lambda p: own.residuals(p).mean()}, r"shape \(\) for 23 points"),
    (lambda own: {"residuals": lambda p: None}, r"returned None for 23 points"),
    (lambda own: {"residuals": lambda p: own.residuals(p).detach()}, "does not depend on the param"),
    (lambda own: {"residuals": lambda p: mlp()(p)[:, 0]}, "does not depend on the param"),
    (lambda own: {"residuals": lambda p: nan(own, p)}, "not finite at .* of 23 points"),
    (lambda own: {"residuals": lambda p: own.residuals(own.points)}, r"\(23,\) for 2 points"),
    (lambda own: {"residuals": lambda p: own.residuals(p) * torch.ones(23)}, "fails on 2 points"),
    (lambda own: {"residuals": None}, "either residuals= or losses="),
    (lambda own: {"losses": own.residuals}, "either residuals= or losses="),
    (
        lambda own: {"residuals": None, "losses": lambda p: own.residuals(p) - 9},
        "losses= gives negative numbers",
    ),
    (lambda own: {"record": 0}, "record= is 0"),
    (lambda own: {"start": -1}, "start= is -1"),
    (
        lambda own: {"residuals": None, "losses": own.residuals, "weights": torch.ones(23)},
        "weights= belongs to residuals=",
    ),
    (lambda own: {"conditions": lambda: torch.ones(2)}, r"conditions= returned \(2,\)"),
    (lambda own: {"conditions": lambda: torch.ones(())}, "conditions= does not depend on"),
    (lambda own: {"points": torch.rand(5)}, r"points= has shape \(5,\)"),
    (lambda own: {"points": torch.rand(0, 2)}, r"points= has shape \(0, 2\)"),
    (lambda own: {"points": own.points * 0, "bounds": None}, "all points have the same x1"),
    (lambda own: {"bounds": {"x": (0, 1)}}, "bounds= names 1 coordinates .*; points have 2"),
    (lambda own: {"weights": torch.ones(5)}, r"weights= has shape \(5,\)"),
    (lambda own: {"fields": ("u", "v")}, "has 1 output, but u, v name 2"),
    (lambda own: {"solution": {"u": exact, "v": exact}}, "has 1 output, but u, v name 2"),
    (lambda own: {"fields": "p"}, "solution= has 'u'; the fields are p"),
    (lambda own: {"solution": {"u": torch.ones(4)}}, r"solution= has shape \(4,\) of 'u'"),
    (
        lambda own: {"points": lambda: own.points, "solution": {"u": torch.ones(23)}},
        "as an array belongs to fixed points",
    ),
    (lambda own: {"analyzers": ["snrr"]}, "'snrr' .did you mean 'snr'"),
    (lambda own: {"analyzers": [{"name": "snr", "batchs": 2}]}, "did you mean 'batches'"),
    (lambda own: {"analyzers": ["phases"]}, "reads what 'snr' records"),
    (lambda own: {"analyzers": ["snr", "snr"]}, "stands there twice"),
    (lambda own: {"analyzers": ["error"], "solution": None}, "error needs a solution: pass solution="),
    (lambda own: {"analyzers": ["spectrum"]}, "spectrum needs the residuals as a function"),
    (lambda own: {"progress": True}, "progress=True needs steps="),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_watched_is_said_at_the_start(
    tmp_path: Path, change: Callable[[Loop], dict[str, Any]], message: str
) -> None:
    own = loop()
    with pytest.raises(PinnError, match=message):
        own.watched(tmp_path / "new", **change(own))
    assert not (tmp_path / "new").exists()


def test_a_model_that_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    own = loop()
    optimizer = own.optimizer
    for model in (Odd(), mlp().requires_grad_(False)):
        with pytest.raises(PinnError, match="no parameters that require gradients"):
            watch(tmp_path, model, optimizer, residuals=own.residuals, points=own.points)


def test_all_that_analyzers_lack_is_said_at_once(tmp_path: Path) -> None:
    own = loop()
    with pytest.raises(ConfigError) as error:
        own.watched(tmp_path, analyzers=["spectrum", "error"], solution=None)
    assert len(error.value.faults) == 2


def test_analyzers_may_come_in_any_order(tmp_path: Path) -> None:
    own = loop()
    with own.watched(tmp_path, analyzers=["phases", "snr"]) as watcher:
        watcher.step(*own.step())
    assert lines(tmp_path)[-1]["phase"] == "fitting"


@frozen
class Stumbling(Analyzer):
    """Fails at every second step."""

    name = "stumbling"

    def measure(self, view: View) -> Mapping[str, Any]:
        if view.step % 2:
            raise ValueError("an odd step")
        return {"stumble": view.step}


def test_an_analyzer_that_fails_is_recorded_and_the_loop_goes_on(tmp_path: Path) -> None:
    own, notes = loop(), Told()
    with offered(Stumbling):
        asked = [{"name": "stumbling", "every": 1}, {"name": "error", "every": 1}]
        with own.watched(tmp_path, analyzers=asked, reporter=notes) as watcher:
            for _ in range(4):
                watcher.step(*own.step())
        found = lines(tmp_path)
    assert [row.get("stumble") for row in found] == [None, 2, None, 4]
    assert all("rel_l2" in row for row in found)
    assert sum("an odd step" in note for note in notes.notes) == 1
    assert list(summary(tmp_path)["failures"]) == ["stumbling"]


# the directory


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()], ids=repr)
def test_a_crash_leaves_what_was_measured(tmp_path: Path, error: BaseException) -> None:
    own = loop()

    def crash() -> None:
        with own.watched(tmp_path, steps=9) as watcher:
            for _ in range(3):
                watcher.step(*own.step())
            raise error

    with pytest.raises(type(error)):
        crash()
    assert [row["step"] for row in lines(tmp_path)] == [2, 3]
    assert "snr" not in lines(tmp_path)[-1]  # after a crash nothing is measured that was not due
    assert summary(tmp_path)["complete"] is False
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not complete: step 3 of 9" in text


def test_a_killed_loop_can_still_be_reported(tmp_path: Path) -> None:
    own = loop()
    watcher = own.watched(tmp_path)
    for _ in range(4):
        watcher.step(*own.step())
    assert write_report(tmp_path).read_text(encoding="utf-8").count("trained elsewhere") == 1
    with pytest.raises(PinnError, match="another run is training in this directory"):
        own.watched(tmp_path, start=4)
    watcher.close()
    assert open_run(tmp_path).complete


def test_what_was_watched_before_is_not_lost_silently(tmp_path: Path) -> None:
    own, notes = loop(), Told()

    def go(steps: int, **options: Any) -> None:
        with own.watched(tmp_path, **options) as watcher:
            for _ in range(steps):
                watcher.step(*own.step())

    go(6)
    before = lines(tmp_path)
    with pytest.raises(PinnError, match=r"start=.*overwrite=True"):
        own.watched(tmp_path)
    with pytest.raises(PinnError, match="something else was watched there:\n  analyzers"):
        own.watched(tmp_path, start=4, analyzers=["snr"])
    assert lines(tmp_path) == before
    go(4, start=4, reporter=notes)
    assert "1 measurements after step 4 are forgotten" in notes.notes
    steps = [row["step"] for row in lines(tmp_path)]
    assert steps == [2, 3, 4, 6, 8]
    assert lines(tmp_path)[:3] == before[:3]
    assert summary(tmp_path)["steps"] == 8
    go(2, overwrite=True, analyzers=["snr"])
    assert [row["step"] for row in lines(tmp_path)] == [2]


def test_a_directory_without_measurements_holds_nothing_to_lose(tmp_path: Path) -> None:
    own = loop()
    own.watched(tmp_path).close(complete=False)
    with own.watched(tmp_path, analyzers=["snr"]) as watcher:
        watcher.step(*own.step())
    assert len(lines(tmp_path)) == 1


def test_a_run_of_this_program_is_left_alone(tmp_path: Path, make_config: Any) -> None:
    run = train(make_config({"name": "helmholtz"}))
    own = loop()
    for options in ({}, {"start": 3}, {"overwrite": True}):
        with pytest.raises(PinnError, match="holds a run that `pinn run` trained"):
            own.watched(run.path, **options)
    with own.watched(tmp_path / "bare") as watcher:
        watcher.step(*own.step())
    config = make_config({"name": "helmholtz"}, run={"directory": str(tmp_path / "bare")})
    with pytest.raises(PinnError, match="trained elsewhere and watched"):
        train(config)


def test_closing_again_does_nothing_and_stepping_on_is_an_error(tmp_path: Path) -> None:
    own = loop()
    watcher = own.watched(tmp_path)
    watcher.step(*own.step())
    watcher.close()
    written = (tmp_path / "summary.json").stat().st_mtime_ns
    watcher.close(complete=False)
    assert (tmp_path / "summary.json").stat().st_mtime_ns == written
    with pytest.raises(PinnError, match="closed already"):
        watcher.step(1.0)


def test_the_last_step_is_measured_whatever_the_schedule_says(tmp_path: Path) -> None:
    own = loop()
    asked = [
        {"name": "snr", "every": 2, "early_every": 0},
        {"name": "error", "every": 100, "early_every": 0},
    ]
    for steps in (2, 3):
        with own.watched(tmp_path / str(steps), analyzers=asked) as watcher:
            for _ in range(steps):
                watcher.step(*own.step())
        found = lines(tmp_path / str(steps))
        assert [row["step"] for row in found] == [2, 3][: steps - 1]
        assert {"snr", "rel_l2", "loss", "learning_rate"} <= found[-1].keys()


# beside ordinary runs


@pytest.mark.draws
def test_commands_take_a_watched_loop_like_a_run(tmp_path: Path, make_config: Any) -> None:
    asked = [{"name": "snr", "batches": 4, "every": 1}, {"name": "phases", "every": 1}]
    run = train(make_config({"name": "helmholtz"}, analyzers=asked))
    own = loop()
    bare = tmp_path / "bare"
    with own.watched(bare, analyzers=asked, framework="torch", name="my heat") as watcher:
        for _ in range(3):
            watcher.step(*own.step())
    found = compare([run.path, bare], tmp_path / "both.html")
    table = {row.name: row.cells for row in found.rows}
    assert table["steps"] == ["5", "3"]
    assert all(
        "–" not in cells
        for name, cells in table.items()
        if name in {"snr", "phase", "loss.unweighted"}
    )
    assert "my heat; trained by torch; Adam" in (tmp_path / "both.html").read_text(encoding="utf-8")

    def pinn(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(commands, list(words))
        return result.exit_code, result.output

    assert pinn("report", str(bare))[0] == 0
    assert json.loads(pinn("phases", str(bare))[1])["phase"] == "fitting"
    for command in ("run", "check"):
        status, said = pinn(command, str(bare / "pinn.toml"))
        assert status == 2
        assert "trained elsewhere and watched" in said
        assert len(said.splitlines()) == 1
    environment = json.loads((bare / "environment.json").read_text(encoding="utf-8"))
    assert environment["versions"]["torch"] == torch.__version__


def test_an_opened_loop_has_measurements_but_no_network(tmp_path: Path) -> None:
    own = loop()
    with own.watched(tmp_path) as watcher:
        for _ in range(4):
            watcher.step(*own.step())
    run = open_run(tmp_path)
    steps, values = run.metrics()["snr"]
    assert steps.tolist() == [2, 4]
    assert np.isfinite(values).all()
    asked: list[Callable[[], Any]] = [
        run.network,
        lambda: run.predict(x=[0], t=[0]),
        lambda: run.train(more_steps=3),
    ]
    for ask in asked:
        with pytest.raises(
            PinnError, match="trained elsewhere and watched: its network is not kept"
        ):
            ask()


def test_a_description_that_was_changed_by_hand_is_read_strictly(tmp_path: Path) -> None:
    own = loop()
    with own.watched(tmp_path) as watcher:
        watcher.step(*own.step())
    file = tmp_path / "pinn.toml"
    file.write_text(file.read_text().replace("points = 23", 'points = "many"'))
    with pytest.raises(ConfigError, match=r"\[watched\] points: expected a whole number"):
        _ = open_run(tmp_path).config


def test_rows_of_one_point_are_its_equations() -> None:
    assert list(by_equation(torch.ones(3, 1), 1, "residuals")) == [
        "equation1",
        "equation2",
        "equation3",
    ]
    assert list(by_equation(torch.ones(3, 1), 3, "residuals")) == ["equation"]
    assert by_equation(torch.ones(2, 3), 3, "residuals")["equation2"].shape == (3,)
