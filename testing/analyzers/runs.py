"""Runs with and without the analyzer under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pinn.core.discovery import registry
from pinn.core.options import unstructure
from pinn.engine.training.progress import Reporter
from pinn.engine.training.run import trained
from pinn.engine.training.trainer import Trainer
from pinn.testing.companions import SmallAdam, SmallLBFGS
from pinn.testing.small_runs import Outcome, small_config, small_run
from pinn.testing.trial import Trial

EVERY = 2
SCHEDULE = {"every": EVERY, "early_every": 0, "at": []}
STAGES = [{"name": SmallAdam.name, "steps": 4}, {"name": SmallLBFGS.name, "steps": 2}]
"""Of different optimizers, with new points between: what an analyzer may meet."""


def with_needs(name: str) -> list[str]:
    """The analyzer behind all that it needs."""
    cls = registry().find("analyzer", name).cls
    return list(dict.fromkeys([*(n for need in cls.needs for n in with_needs(need)), name]))


def run_sections(trial: Trial, itself: bool = True) -> dict[str, Any]:
    """Of a run that is observed by the analyzer and all that it needs, or by these alone."""
    *needed, name = with_needs(trial.part.name)
    tables = [{"name": need} for need in needed]
    if itself:
        tables.append({"name": name, **unstructure(trial.part)})
    return {
        "analyzers": [{**table, **SCHEDULE} for table in tables],
        "optimizers": STAGES,
        "points": {"redraw": 4},
    }


def observed(trial: Trial) -> Outcome:
    return trial.once("observed", lambda: small_run(trial, **run_sections(trial)))


def unobserved(trial: Trial) -> Outcome:
    return trial.once("without", lambda: small_run(trial, **run_sections(trial, itself=False)))


@contextmanager
def trained_run(trial: Trial) -> Iterator[Trainer]:
    """A trainer behind its last step, at which everything was measured."""
    with trained(small_config(trial, **run_sections(trial)), Reporter()) as trainer:
        yield trainer
