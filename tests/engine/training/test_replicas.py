"""Seeds in one batch: the numbers that each has alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinn.core.errors import PinnError, TrainingError
from pinn.engine import parse_config, train, train_seeds
from pinn.engine.training.replicas import Stack
from tests.told import Told

SMALL: Mapping[str, Any] = {
    "problem": {"name": "burgers", "viscosity": 0.05},
    "network": {"name": "mlp", "width": 6, "depth": 2},
    "points": {"interior": 40, "conditions": 10},
    "optimizers": [{"name": "adam", "steps": 24, "decay_steps": 10}],
    "analyzers": [
        {"name": "error", "every": 8, "early_every": 0},
        {"name": "homogeneity", "every": 8, "early_every": 0},
    ],
}
TORCH = {"name": "torch", "steps": 12, "lr": 1e-3}
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "vanilla": {},
    "rba": {"weighting": {"name": "rba"}},
    "self-adaptive": {"weighting": {"name": "self-adaptive"}},
    "causal": {"weighting": {"name": "causal"}},
    "balanced": {"weighting": {"name": "rba", "balance": {"name": "ntk", "every": 8}}},
    "redrawn": {"points": {"interior": 40, "conditions": 10, "redraw": 9, "sampler": "rad"}},
    "compiled": {"run": {"compile": "always"}, "weighting": {"name": "rba"}},
    "unlike stages": {
        "optimizers": [
            {"name": "adam", "steps": 12, "until": "rel_l2 < 0.72"},
            {"name": "adam", "steps": 12, "lr": 1e-4},
        ]
    },
    "then lbfgs": {"optimizers": [{"name": "adam", "steps": 12}, {"name": "lbfgs", "steps": 3}]},
    **{
        name: {"optimizers": [{**TORCH, "class": f"torch.optim.{name}"}]}
        for name in ("NAdam", "AdamW", "RMSprop")
    },
}

SECOND_ORDER = {"name": "gauss-newton", "steps": 1}


def table(folder: Path, **changes: Any) -> dict[str, Any]:
    run = {"directory": str(folder), "device": "cpu", "precision": "float64", "record": 8}
    return {**SMALL, **changes, "run": run | changes.get("run", {})}


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were made together, each time."""
    made: list[int] = []
    make = Stack.make

    def counted(self: Stack, steps: int) -> bool:
        made.append(steps)
        return make(self, steps)

    monkeypatch.setattr(Stack, "make", counted)
    return made


@pytest.mark.parametrize("change", CHANGES)
def test_each_seed_has_the_numbers_that_it_has_alone(
    change: str, tmp_path: Path, stacked: list[int]
) -> None:
    several = table(tmp_path / "all", **CHANGES[change])
    several["run"]["seeds"] = 3
    told = Told()
    runs = train_seeds(parse_config(several), told, report=False)
    assert not [note for note in told.notes if "apart" in note]
    assert sum(stacked) > 5
    for seed, run in enumerate(runs):
        own = table(tmp_path / f"alone{seed}", **CHANGES[change])
        own["run"]["seed"] = seed
        alone = train(parse_config(own), report=False).metrics()
        assert run.path.name == f"seed={seed}"
        assert run.metrics().keys() == alone.keys()
        for name, (steps, values) in run.metrics().items():
            np.testing.assert_array_equal(steps, alone[name][0], err_msg=name)
            if values.dtype.kind == "f" and name != "seconds":
                np.testing.assert_allclose(
                    values, alone[name][1], rtol=1e-8, atol=1e-10, err_msg=name
                )


@pytest.mark.gpu
@pytest.mark.parametrize("change", ["rba", "compiled"])
def test_replicas_on_a_gpu_have_their_numbers(change: str, tmp_path: Path) -> None:
    changes = CHANGES[change]
    run = {**changes.get("run", {}), "device": "cuda"}
    told = Told()
    several = table(tmp_path / "all", **{**changes, "run": {**run, "seeds": 2}})
    runs = train_seeds(parse_config(several), told, report=False)
    assert not [note for note in told.notes if "apart" in note]
    alone = table(tmp_path / "alone", **{**changes, "run": {**run, "seed": 1}})
    one = train(parse_config(alone), report=False).metrics()["rel_l2"][1]
    np.testing.assert_allclose(runs[1].metrics()["rel_l2"][1], one, rtol=1e-8)


def test_what_was_stopped_goes_on_together_or_alone(tmp_path: Path, stacked: list[int]) -> None:
    whole = table(tmp_path / "whole", run={"seeds": 2})
    ended = train_seeds(parse_config(whole), report=False)
    asked: list[int] = []
    parts = parse_config(table(tmp_path / "parts", run={"seeds": 2}))
    stopped = train_seeds(
        parts, report=False, stop=lambda: len(asked) > 1 or asked.append(1) is not None
    )
    assert not any(run.complete for run in stopped)
    alone = train(stopped[1].config, report=False)  # type: ignore[arg-type]
    assert alone.complete
    again = train_seeds(parts, report=False)
    for one, other in zip(ended, again, strict=True):
        for name, (_, values) in one.metrics().items():
            if values.dtype.kind == "f" and name != "seconds":
                np.testing.assert_allclose(
                    other.metrics()[name][1], values, rtol=1e-8, atol=1e-10, err_msg=name
                )


def test_one_that_fails_ends_no_other(tmp_path: Path) -> None:
    growing = table(
        tmp_path,
        weighting={"name": "self-adaptive", "rate": 1e9, "most": 1e300},
        run={"seeds": 2},
    )
    told = Told()
    with pytest.raises(TrainingError, match="seed=0: step "):
        train_seeds(parse_config(growing), told, report=False)
    assert [note for note in told.notes if note.startswith("seed=1 failed: step ")]


def test_what_a_seed_warns_of_is_told(tmp_path: Path) -> None:
    told = Told()
    single = table(tmp_path, run={"seeds": 2, "precision": "float32"}, optimizers=[SECOND_ORDER])
    train_seeds(parse_config(single), told, report=False)
    assert len([note for note in told.notes if "meant for double precision" in note]) == 1


def test_a_step_that_cannot_be_made_together_is_made_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("vmap: this is not possible\nin any way")

    monkeypatch.setattr(Stack, "make", refuse)
    told = Told()
    runs = train_seeds(parse_config(table(tmp_path, run={"seeds": 2})), told, report=False)
    assert all(run.complete for run in runs)
    assert len([note for note in told.notes if "replicas make their steps apart" in note]) == 1


def test_train_is_of_one_seed(tmp_path: Path) -> None:
    with pytest.raises(PinnError, match="2 runs, which `pinn run` and train_seeds train together"):
        train(parse_config(table(tmp_path, run={"seeds": 2})))
    with pytest.raises(PinnError, match="one of the two"):
        train_seeds(parse_config(table(tmp_path, run={"seeds": 2, "processes": 2})))


def test_unknowns_of_replicas_stay_apart(tmp_path: Path) -> None:
    """A parameter of no dimension, as a number that training finds is, is a number of each."""
    from pinn.engine.training.replicas import _of_each

    number = torch.zeros(())
    assert _of_each("exp_avg", torch.zeros(()), number)
    assert not _of_each("step", torch.zeros(()), number)
    assert not _of_each("step", torch.zeros(()), torch.zeros(3))
