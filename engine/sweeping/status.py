"""How far the runs of a sweep are, read from their directories; and what they came to."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from attrs import frozen

from pinn.core.files import write_atomically
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.sweeping.halving import HEADLINES, read_rungs
from pinn.engine.sweeping.kept import read_kept, write_kept
from pinn.engine.sweeping.sweep import Planned, Sweep, read_sweep

FAILURES, RESULTS = "failures.json", "results.csv"
SEED = "run.seed"
TAIL = 1 << 16
"""Bytes at the end of the records among which the last line is looked for."""
DONE, RUNNING, FAILED, STOPPED, WAITING = "done", "running", "failed", "stopped", "waiting"
EARLY = "ended early"
ENDED = (DONE, EARLY)
"""These are not gone on with."""


@frozen
class State:
    """A run of a sweep as it is.

    Attributes:
        final: what was recorded last, numbers by name.
        failure: what went wrong; None where nothing did.
    """

    run: Planned
    what: str
    step: int
    final: Mapping[str, Any]
    seconds: float
    failure: str | None = None

    @property
    def headline(self) -> tuple[str, float] | None:
        """What it is compared by: a name and a finite number."""
        for name in HEADLINES:
            value = self.final.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                return name, float(value)
        return None


def sweep_states(sweep: Sweep | str | Path) -> list[State]:
    """How the runs of a sweep, or of a sweep file, are, in its order.

    Raises:
        PinnError: a file that a run wrote cannot be read.
    """
    if not isinstance(sweep, Sweep):
        sweep = read_sweep(Path(sweep))
    failures, ended = read_failures(sweep.directory), read_rungs(sweep.directory).ended
    return [state_of(run, failures.get(run.name), ended.get(run.name)) for run in sweep.runs]


def state_of(run: Planned, failure: str | None, early: int | None = None) -> State:
    """How a run is.

    Args:
        failure: what ended it last, if anything did.
        early: the step at which it was ended, since others were better.
    """
    directory = RunDirectory(run.config.directory)
    summary = directory.read_summary()
    if summary.get("complete"):
        seconds = sum(summary["seconds"].values())
        return State(run, DONE, summary["steps"], summary["final"], seconds)
    last = _last_record(directory.metrics)
    step, seconds = int(last.get("step", 0)), float(last.get("seconds") or 0.0)
    if directory.in_use:
        return State(run, RUNNING, step, last, seconds)
    if failure is not None:
        return State(run, FAILED, step, last, seconds, failure)
    if early is not None:
        return State(run, EARLY, early, last, seconds)
    return State(run, STOPPED if last else WAITING, step, last, seconds)


def _last_record(metrics: Path) -> dict[str, Any]:
    """The last whole line; nothing where there is none."""
    try:
        with metrics.open("rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(file.tell() - TAIL, 0))
            lines = file.read().splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return {name: v for name, v in found.items() if not isinstance(v, list)}
    return {}


def read_failures(directory: Path) -> dict[str, str]:
    """What failed when it was tried last, by the names of the runs.

    Raises:
        PinnError: the file is damaged.
    """
    return read_kept(
        directory / FAILURES,
        lambda found: {str(name): str(text) for name, text in found.items()},
        {},
        "delete it to forget which runs failed",
    )


def write_failures(directory: Path, failures: Mapping[str, str]) -> None:
    write_kept(directory / FAILURES, dict(failures))


def write_table(sweep: Sweep, found: Iterable[State]) -> Path:
    """A line a run: its values, how it ended, every number that it recorded last; for spreadsheets."""
    found = list(found)
    numbers = dict.fromkeys(
        name
        for state in found
        for name, value in state.final.items()
        if isinstance(value, int | float) and name not in ("step", "seconds")
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *sweep.keys, "state", "step", "seconds", *numbers])
    for state in found:
        own = [state.run.values.get(key, "") for key in sweep.keys]
        measured = [state.final.get(name, "") for name in numbers]
        ended = [state.what, state.step, round(state.seconds, 2)]
        writer.writerow([state.run.name, *own, *ended, *measured])
    path = sweep.directory / RESULTS
    write_atomically(path, text.getvalue().encode())
    return path


def labelled(key: str, value: Any) -> str:
    """A key by its last word, a name by what it is the name of."""
    return f"{key.removesuffix('.name').rpartition('.')[2]} = {value}"


@frozen
class Group:
    """Runs that differ in their seeds alone: median and range of what they are compared by.

    Attributes:
        states: those that are done.
        planned: how many there are, done or not.
    """

    values: Mapping[str, Any]
    states: tuple[State, ...]
    planned: int
    quantity: str
    middle: float
    low: float
    high: float

    @property
    def count(self) -> int:
        return len(self.states)

    @property
    def counted(self) -> str:
        """ "3", or "2 of 3" where one is not done."""
        whole = self.count == self.planned
        return f"{self.count:,}" if whole else f"{self.count:,} of {self.planned:,}"

    @property
    def label(self) -> str:
        """Such as "lr = 0.01, weighting = rba"."""
        named = (labelled(key, value) for key, value in self.values.items())
        return ", ".join(named) or "all"


def sweep_groups(found: Iterable[State]) -> list[Group]:
    """The best first, behind all of them those of which a run is not done; none without a run done."""
    members: dict[str, list[State]] = {}
    for state in found:
        values = {key: v for key, v in state.run.values.items() if key != SEED}
        members.setdefault(json.dumps(values, default=str), []).append(state)
    made = []
    for states_of in members.values():
        done = [state for state in states_of if state.what == DONE and state.headline]
        if not done:
            continue
        quantity, _ = done[0].headline or ("", 0.0)
        measured = [s.headline[1] for s in done if s.headline]
        values = {key: v for key, v in done[0].run.values.items() if key != SEED}
        range_of = median(measured), min(measured), max(measured)
        made.append(Group(values, tuple(done), len(states_of), quantity, *range_of))
    return sorted(made, key=lambda group: (group.count < group.planned, group.middle))
