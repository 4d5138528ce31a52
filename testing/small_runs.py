"""Runs of a few steps with the part under test."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import mkdtemp
from typing import Any

import torch
from attrs import frozen

from pinn.core.errors import PinnError
from pinn.core.options import unstructure
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.reader import parse_config
from pinn.engine.training.progress import Reporter
from pinn.engine.training.run import trained
from pinn.testing.companions import (
    SmallAdam,
    SmallNetwork,
    SmallProblem,
    SmallSampler,
    SmallWeighting,
)
from pinn.testing.probes.differences import first_difference
from pinn.testing.trial import Trial

STEPS = 6
TIMED = "seconds"
"""The only thing that may differ from one run to the same again."""


@frozen
class Outcome:
    """What a run comes to: all that a checkpoint of its end holds, and its records."""

    state: Mapping[str, Any]
    rows: list[dict[str, Any]]


class Killed(Exception):
    """Stands in for a kill: nothing more is saved."""


class Killing(Reporter):
    """A reporter that ends the training behind a step."""

    def __init__(self, behind: int | None) -> None:
        self.behind = behind

    def step(self, step: int, loss: float, shown: Mapping[str, Any]) -> None:
        if step == self.behind:
            raise Killed


def small_config(trial: Trial, steps: int = STEPS, **sections: Any) -> Config:
    """A run of the part beside companions; keyword arguments replace or extend its sections."""
    table: dict[str, Any] = {
        "run": {
            "directory": mkdtemp(dir=trial.folder), "device": "cpu", "compile": "never",
            "seed": 3, "record": 1, "checkpoint": 1,
        },
        "problem": {"name": SmallProblem.name},
        "network": {"name": SmallNetwork.name},
        "points": {"sampler": SmallSampler.name, "interior": 49, "conditions": 9},
        "weighting": {"name": SmallWeighting.name},
        "optimizers": [{"name": SmallAdam.name, "steps": steps}],
    }  # fmt: skip
    own = {"name": trial.part.name, **unstructure(trial.part)}
    if trial.kind == "sampler":
        table["points"] |= {"sampler": own.pop("name"), **own}
    elif trial.kind == "optimizer":
        table["optimizers"] = [{**own, "steps": steps}]
    elif trial.kind != "analyzer":
        table[trial.kind] = own
    for key, section in sections.items():
        extends = isinstance(section, dict) and isinstance(table.get(key), dict)
        table[key] = {**table[key], **section} if extends else section
    return parse_config(table)


def small_run(
    trial: Trial, killed: tuple[int, ...] = (), steps: int = STEPS, **sections: Any
) -> Outcome:
    """Train, killed behind each of these steps, with parts made anew every time, as by a new process.

    Raises:
        AssertionError: the run fails.
    """
    directory = mkdtemp(dir=trial.folder)
    run = {**sections.pop("run", {}), "directory": directory}
    for behind in (*killed, None):
        config = small_config(trial, steps, run=run, **sections)
        try:
            with trained(config, Killing(behind)) as trainer:
                state = trainer.state.to_checkpoint()
                return Outcome(
                    {key: value for key, value in state.items() if key != TIMED},
                    [{k: v for k, v in row.items() if k != TIMED} for row in trainer.records.rows],
                )
        except Killed:
            continue
        except PinnError as error:
            raise AssertionError(f"a run of {config.steps} steps fails: {error}") from error
    raise AssertionError(f"the run ended before step {max(killed)}")


def trains_and_continues_exactly(trial: Trial, why: str, **sections: Any) -> Outcome:
    """Train twice, once killed on the way; the same numbers must come out.

    Args:
        why: what to do where they do not.
    """
    straight = small_run(trial, **sections)
    continued = small_run(trial, (1, 3), **sections)
    for what in ("state", "rows"):
        place = first_difference(getattr(straight, what), getattr(continued, what))
        named = "the records" if what == "rows" else "the checkpoint"
        assert place is None, (
            "a run that is killed behind steps 1 and 3 and continued differs from the same run in "
            f"one go, first at {place} of {named}: {why}"
        )
    return straight


def trains_everywhere(trial: Trial, **sections: Any) -> None:
    """In double precision, and on a GPU where there is one."""
    small_run(trial, run={"precision": "float64"}, **sections)
    if torch.cuda.is_available():
        small_run(trial, run={"device": "cuda"}, **sections)
