"""Many steps in one launch: the same numbers, the same events, the same errors as one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinn.core.errors import PinnError
from pinn.core.records import Records
from pinn.engine import Run, parse_config, train
from pinn.engine.training import launch, trainer
from pinn.engine.training.launch import Launch
from tests.told import Told

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
TABLE: Mapping[str, Any] = {
    "problem": {"name": "helmholtz", "a1": 1, "a2": 1},
    "network": {"name": "mlp", "width": 8, "depth": 2},
    "points": {"interior": 64, "conditions": 16},
    "optimizers": [{"name": "adam", "steps": 90, "decay_steps": 40}],
    "analyzers": [
        {"name": "error", "every": 30, "early_every": 0},
        {"name": "homogeneity", "every": 45, "early_every": 0},
    ],
    "run": {"record": 45, "checkpoint": 50},
}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "vanilla": {},
    "rba": {"weighting": {"name": "rba"}},
    "vrba": {"weighting": {"name": "vrba"}},
    "self-adaptive": {"weighting": {"name": "self-adaptive"}},
    "balanced": {"weighting": {"name": "rba", "balance": {"name": "relobralo", "every": 30}}},
    "redrawn": {"points": {"interior": 64, "conditions": 16, "redraw": 35}},
    "in chunks": {"points": {"interior": 64, "conditions": 16, "chunk": 48}},
    "another stage": {
        "optimizers": [{"name": "adam", "steps": 45}, {"name": "adam", "steps": 45, "lr": 1e-4}]
    },
}


@pytest.fixture
def launching(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many steps a launch may make, wherever it runs."""

    def set_at_once(steps: int) -> None:
        monkeypatch.setattr(trainer, "at_once", lambda _: steps)

    return set_at_once


def table(folder: Path, device: str, **changes: Any) -> dict[str, Any]:
    run = {**TABLE["run"], "directory": str(folder), "device": device, "precision": "float64"}
    return {**TABLE, **changes, "run": run}


def recorded(run: Run) -> dict[str, Any]:
    return {n: v for n, (_, v) in run.metrics().items() if n != "seconds"}


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("change", CHANGES)
def test_a_launch_makes_the_steps_that_would_be_made_one_by_one(
    change: str, device: str, tmp_path: Path, launching: Callable[[int], None]
) -> None:
    found = []
    told = {1: Told(), 100: Told()}
    for steps, reporter in told.items():
        launching(steps)
        config = parse_config(table(tmp_path / str(steps), device, **CHANGES[change]))
        found.append(recorded(train(config, reporter)))
    one_by_one, launched = found
    assert one_by_one.keys() == launched.keys()
    for name, values in one_by_one.items():
        np.testing.assert_array_equal(launched[name], values, err_msg=name)
    assert len(told[100].steps) < len(told[1].steps) / 2
    assert not [note for note in told[100].notes if "one by one" in note]


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_launch_whose_loss_is_not_finite_ends_at_the_step_that_it_belongs_to(
    device: str, tmp_path: Path, launching: Callable[[int], None]
) -> None:
    growing = {"weighting": {"name": "self-adaptive", "rate": 1e9, "most": 1e300}}
    said = []
    for steps in (1, 100):
        launching(steps)
        config = parse_config(table(tmp_path / str(steps), device, **growing))
        with pytest.raises(PinnError) as caught:
            train(config)
        said.append(str(caught.value).replace(str(tmp_path / str(steps)), ""))
    assert said[0] == said[1]
    step = int(said[0].split("step ")[1].split(":")[0].replace(",", ""))
    assert 2 < step < 90


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(
    device: str, tmp_path: Path, launching: Callable[[int], None]
) -> None:
    launching(100)
    whole = train(parse_config(table(tmp_path / "whole", device)))
    asked: list[int] = []
    config = parse_config(table(tmp_path / "stopped", device))
    train(config, stop=lambda: len(asked) > 3 or asked.append(1) is not None)
    again = train(config)
    for name, values in recorded(whole).items():
        np.testing.assert_array_equal(recorded(again)[name], values, err_msg=name)


def test_where_a_step_cannot_be_captured_they_are_launched_one_by_one(
    tmp_path: Path, launching: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from where they were, whatever the attempt has moved."""

    def refuse(self: Launch, *_: object) -> bool:
        self._once()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    alone = train(parse_config(table(tmp_path / "alone", "cpu")))
    launching(100)
    monkeypatch.setattr(Launch, "repeat", refuse)
    told = Told()
    run = train(parse_config(table(tmp_path / "refused", "cpu")), told)
    assert run.complete
    for name, values in recorded(alone).items():
        np.testing.assert_array_equal(recorded(run)[name], values, err_msg=name)
    notes = [note for note in told.notes if note.startswith("steps are launched one by one")]
    assert len(notes) == 1
    assert notes[0].endswith("operation not permitted when stream is capturing")


def test_an_optimizer_that_needs_the_loss_is_not_launched(
    tmp_path: Path, launching: Callable[[int], None]
) -> None:
    launching(100)
    told = Told()
    second = {"optimizers": [{"name": "lbfgs", "steps": 30}]}
    train(parse_config(table(tmp_path, "cpu", **second)), told)
    assert told.steps == [*range(1, 31)]


@pytest.mark.gpu
def test_a_captured_step_reads_nothing_back(tmp_path: Path) -> None:
    told = Told()
    config = table(tmp_path, "cuda", optimizers=[{"name": "adam", "steps": 1200}])
    train(parse_config(config), told)
    assert len(told.steps) < 120
    assert not [note for note in told.notes if "one by one" in note]
    assert Records(tmp_path / "metrics.jsonl").rows


def test_on_a_cpu_a_step_is_a_step() -> None:
    assert launch.at_once(torch.device("cpu")) == 1
    assert launch.at_once(torch.device("cuda", 0)) == launch.AT_MOST
