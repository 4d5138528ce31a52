"""A sweep trained: every run checked first, then all that are not done, some at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median

from attrs import asdict, evolve
from filelock import FileLock, Timeout

from pinn.core.errors import ConfigError, PinnError
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.directory import A_LOOK, RunDirectory
from pinn.engine.configuration.reader import SWEEP
from pinn.engine.sweeping.clusters import cluster_of
from pinn.engine.sweeping.halving import read_rungs
from pinn.engine.sweeping.jobs import Function, Job, Outcome, checked, trained
from pinn.engine.sweeping.places import each
from pinn.engine.sweeping.search import Proposal, read_proposals, write_proposals
from pinn.engine.sweeping.status import (
    DONE,
    ENDED,
    FAILED,
    State,
    read_failures,
    state_of,
    sweep_states,
    write_failures,
    write_table,
)
from pinn.engine.sweeping.sweep import Planned, Sweep, read_sweep
from pinn.engine.sweeping.watching import Watching
from pinn.engine.sweeping.workers import Workers
from pinn.engine.training.signals import stop_signals

Each = Callable[[Function, list[Job]], Generator[Outcome | None, None, None]]
"""`places.each` at a place, which knows when to stop."""


def sweep(path: str | Path, watching: Watching | None = None) -> list[State]:
    """Train every run of a sweep file that is not done yet; write `results.csv` and `sweep.html`.

    A run that fails stops no other; it is tried again by the next call. On SIGINT or SIGTERM all finish
    their step and are saved, and the same call goes on later.

    Returns:
        How each run is, in the order of the file.

    Raises:
        ConfigError: what is wrong with the file, or with any of its runs, before one is trained.
        PinnError: a directory cannot be used.
    """
    path, watching = Path(path), watching or Watching()
    planned = _with_proposals(path, read_sweep(path))
    cluster = cluster_of(planned.ray, planned.slurm, planned.threads, planned.directory)
    with (
        cluster or nullcontext(),  # first: Ray, too, listens to signals
        stop_signals() as stop,
        Workers(planned.processes, planned.threads) as pool,
    ):
        here: Each = partial(each, pool, stop=stop)
        there: Each = partial(each, cluster or pool, stop=stop)
        _train_all(planned, watching, here, there, stop)
        while not stop() and (more := _with_proposals(path, planned)) is not planned:
            planned = more
            _train_all(planned, watching, here, there, stop)
    found = sweep_states(planned)
    if any(state.what == DONE for state in found):
        from pinn.engine.sweeping.page import draw_sweep  # now: matplotlib is slow to load

        draw_sweep(planned)
    else:
        write_table(planned, found)
    return found


def _with_proposals(path: Path, planned: Sweep) -> Sweep:
    """The sweep with values that a search proposes next; as it is, where none are to come."""
    search = planned.search
    if search is None:
        return planned
    proposals = read_proposals(planned.directory)
    left = search.trials - len(proposals)
    if left <= 0:
        return planned
    states = sweep_states(planned)
    rows = max(len(planned.runs) // max(len(proposals), 1), 1)
    count = min(left, max(planned.processes // rows, 1))
    new = search.propose([(p, _came_to(p, states)) for p in proposals], count)
    _make(planned.directory)
    write_proposals(planned.directory, [*proposals, *new])
    try:
        return read_sweep(path)
    except PinnError:
        write_proposals(planned.directory, proposals)  # what cannot be trained was not proposed
        raise


def _came_to(proposal: Proposal, states: list[State]) -> float | None:
    """The median of its runs, one that failed above all others; None: there is none to count."""
    own = [s for s in states if proposal.items() <= s.run.values.items()]
    values = [s.headline[1] for s in own if s.what == DONE and s.headline]
    values += [math.inf for s in own if s.what == FAILED]
    found = median(values) if values else math.inf
    return found if math.isfinite(found) else None


def _train_all(
    planned: Sweep, watching: Watching, here: Each, there: Each, stop: Callable[[], bool]
) -> None:
    """Those that are not done: all checked first, here, then trained there."""
    _check_what_is_there(planned)
    states = sweep_states(planned)
    todo = [s.run for s in states if s.what not in ENDED or (s.what == DONE and _longer(s))]
    _check(planned, todo, watching, here)
    if not stop():
        with _alone(planned.directory):
            _train(planned, todo, watching, there)


def _check_what_is_there(planned: Sweep) -> None:
    """What was trained before the file was changed is no result of the file as it is.

    Raises:
        ConfigError: there is such a directory.
    """
    faults = []
    for run in planned.runs:
        try:
            RunDirectory(run.config.directory).check_same(run.config)
        except PinnError as error:
            faults.append(str(error).replace("--set run.directory=…", f"directory in [{SWEEP}]"))
    if faults:
        raise ConfigError(str(planned.directory), faults)


def _longer(state: State) -> bool:
    """Whether the last stage is longer now than it was when the run was done."""
    there = RunDirectory(state.run.config.directory).read_table()
    return state.run.config.steps > sum(stage["steps"] for stage in there["optimizers"])


def _job(planned: Sweep, run: Planned) -> Job:
    halving = None if planned.halving is None else asdict(planned.halving)
    return Job(run.name, run.table, str(run.folder), planned.reports, halving)


def _check(planned: Sweep, todo: list[Planned], watching: Watching, outcomes_of: Each) -> None:
    """Try one of the runs that differ in their seed alone: the others are no different."""
    unlike = {str(_without_seed(run.config)): run for run in todo}
    jobs = [_job(planned, run) for run in unlike.values()]
    faults, count = [], 0
    with closing(outcomes_of(checked, jobs)) as outcomes:
        for outcome in (outcome for outcome in outcomes if outcome is not None):
            count += 1
            watching.checked(count, len(jobs))
            if outcome.failure is not None:
                faults.append(f"{outcome.name}: {outcome.failure}")
    if faults:
        raise ConfigError(str(planned.directory), sorted(faults))


def _without_seed(config: Config) -> Config:
    return evolve(config, run=evolve(config.run, seed=0, directory=None))


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PinnError(f"{directory}: cannot be made: {error.strerror}") from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory for this sweep.

    Raises:
        PinnError: it cannot be made, or another one holds it.
    """
    _make(directory)
    try:
        with FileLock(directory / ".lock", timeout=A_LOOK):
            yield
    except Timeout:
        raise PinnError(
            f"{directory}: another sweep trains its runs here; wait for it, or stop it"
        ) from None


def _train(planned: Sweep, todo: list[Planned], watching: Watching, outcomes_of: Each) -> None:
    by_name = {run.name: run for run in todo}
    failures = {n: t for n, t in read_failures(planned.directory).items() if n not in by_name}
    write_failures(planned.directory, failures)
    jobs = [_job(planned, run) for run in todo]
    count = len(planned.runs) - len(todo)
    with closing(outcomes_of(trained, jobs)) as outcomes:
        for outcome in outcomes:
            if outcome is None:
                watching.look(planned)
                continue
            if outcome.failure is not None:
                failures[outcome.name] = outcome.failure
                write_failures(planned.directory, failures)
            if outcome.complete or outcome.failure is not None:
                count += 1
                early = read_rungs(planned.directory).ended.get(outcome.name)
                state = state_of(by_name[outcome.name], outcome.failure, early)
                watching.ended(state, count, len(planned.runs))
