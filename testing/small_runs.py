"""Runs of a few steps with the part under test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from attrs import frozen

from pinn.core.domain import Box
from pinn.core.errors import PinnError
from pinn.core.options import unstructure
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.reader import parse_config
from pinn.engine.training.progress import Reporter
from pinn.engine.training.run import trained
from pinn.testing import companions
from pinn.testing.probes.differences import first_difference
from pinn.testing.trial import Trial

KEPT_ELSEWHERE = {
    "problem": "the problem keeps something that changes, in itself or in its module, or draws random "
    "numbers; make every method depend on the options and q alone",
    "network": "the module keeps something that is neither parameter nor buffer, or the network "
    "something in itself; what changes must be in the state_dict",
    "sampler": "the sampler keeps something from draw to draw; all that it may depend on is handed in",
    "weighting": "the weighting keeps something from step to step; all that it may remember is in the "
    "weights",
    "optimizer": "the optimizer remembers something that is not in its state_dict; keep what changes in "
    "self.state[parameter] or in param_groups",
}
"""Why a run that was killed and continued differs from one in one go, by the kind of the part."""

STEPS = 6
TIMED = "seconds"
"""The only thing that may differ from one run to the same again."""


def accepted_count(sampler: Any, box: Box, count: int) -> int:
    """`count`, or where the sampler refuses it, the number that its message offers instead."""
    try:
        sampler.draw(box, count, np.random.default_rng(0))
        return count
    except PinnError as error:
        refusal = str(error)
    for offered in map(int, re.findall(r"\d+", refusal)):
        try:
            if offered != count and len(sampler.draw(box, offered, np.random.default_rng(0))):
                return offered
        except PinnError:
            continue
    raise AssertionError(
        f"draw refuses {count} points in {box.dimension} dimensions and names no number that it "
        f'accepts ({refusal!r}): say one, as in "…, such as 64"'
    )


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
        "problem": {"name": companions.SmallProblem.name},
        "network": {"name": companions.SmallNetwork.name},
        "points": {"sampler": companions.SmallSampler.name, "interior": 49, "conditions": 9},
        "weighting": {"name": companions.SmallWeighting.name},
        "optimizers": [{"name": companions.SmallAdam.name, "steps": steps}],
    }  # fmt: skip
    own = {"name": trial.part.name, **unstructure(trial.part)}
    if trial.kind == "sampler":
        on_a_face = accepted_count(trial.part, Box(x=(0, 1)), 5)
        table["points"] = {
            "sampler": own.pop("name"), **own,
            "interior": accepted_count(trial.part, companions.SmallProblem.domain, 49),
            "conditions": {"initial": on_a_face, "walls": 2 * on_a_face},  # on two faces
        }  # fmt: skip
    elif trial.kind == "optimizer":
        table["optimizers"] = [{**own, "steps": steps}]
    elif trial.kind != "analyzer":
        table[trial.kind] = own
    return parse_config(extended(table, sections))


def extended(table: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """The table with these sections; one that is a table itself extends what is there."""
    found = dict(table)
    for key, section in sections.items():
        extends = isinstance(section, dict) and isinstance(table.get(key), dict)
        found[key] = {**table[key], **section} if extends else section
    return found


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


def it_trains_and_continues_exactly(trial: Trial) -> None:
    """With new points on the way, optimizers in both precisions; all in double and on a GPU if there."""
    for precision in ("float32", "float64") if trial.kind == "optimizer" else ("float32",):
        sections: dict[str, Any] = {"run": {"precision": precision}, "points": {"redraw": 2}}
        straight, continued = small_run(trial, **sections), small_run(trial, (1, 3), **sections)
        for named, one, other in (
            ("the checkpoint", straight.state, continued.state),
            ("the records", straight.rows, continued.rows),
        ):
            place = first_difference(one, other)
            assert place is None, (
                "a run that is killed behind steps 1 and 3 and continued differs from the same run in "
                f"one go, first at {place} of {named}: {KEPT_ELSEWHERE[trial.kind]}"
            )
    trains_everywhere(trial)
    if trial.kind == "weighting":
        trains_everywhere(trial, points={"chunk": 16})


def trains_everywhere(trial: Trial, **sections: Any) -> None:
    """In double precision, and on a GPU where there is one."""
    small_run(trial, run={"precision": "float64"}, **sections)
    if torch.cuda.is_available():
        small_run(trial, run={"device": "cuda"}, **sections)
