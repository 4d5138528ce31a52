"""Processes that train runs beside each other; one that dies costs nobody else anything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

if TYPE_CHECKING:
    from pinn.engine.configuration.config import Config

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TRIES = 2
"""Deaths of processes during which a run was at work, after which it is not tried again."""
_asked: list[int] = []
"""The signals that this process was asked to stop by."""
_at_work: list[str] = []
"""The run that this process trains, if any."""
POLL = 0.2
"""Seconds between two looks at what is wanted and what is done."""


@frozen
class Job:
    """A run as a process is told of it, in plain values."""

    name: str
    table: Mapping[str, Any]
    folder: str
    report: bool
    halving: Mapping[str, int] | None = None
    """How runs are ended early; None: they are not."""


@frozen
class Outcome:
    """How a run ended.

    Attributes:
        complete: all of its steps are done.
        failure: what went wrong, as a person is told; None where nothing did.
    """

    name: str
    complete: bool
    failure: str | None = None


def trained(job: Job) -> Outcome:
    """Train a run to its end, or until this process gets SIGTERM. Called in a process of its own."""
    if _asked:
        return Outcome(job.name, False)
    _at_work.append(job.name)
    try:
        return _outcome_of(job, partial(_train, job=job))
    finally:
        _at_work.clear()


def checked(job: Job) -> Outcome:
    """Whether the run can be trained."""
    return _outcome_of(job, _check)


def _train(config: Config, job: Job) -> bool:
    from pinn.engine.sweeping.halving import HalvingOptions, Rungs
    from pinn.engine.training.run import train

    rungs = None
    if job.halving is not None:
        rungs = Rungs(config.directory.parent, job.name, HalvingOptions(**job.halving))
    run = train(
        config, rungs, job.report, lambda: bool(_asked) or (rungs is not None and rungs.over)
    )
    if rungs is not None and rungs.over:
        return True
    if not run.complete:  # a signal ended it, of which this process is to begin no other either
        _asked.append(signal.SIGTERM)
    return run.complete


def _check(config: Config) -> bool:
    from pinn.engine.training.run import check

    check(config)
    return True


def _outcome_of(job: Job, work: Callable[[Config], bool]) -> Outcome:
    """What came of work on the job's configuration; whatever goes wrong in it, the others go on."""
    from pinn.core.blame import as_message
    from pinn.engine.configuration.reader import parse_config

    try:
        return Outcome(job.name, work(parse_config(job.table, job.name, job.folder)))
    except Exception as error:  # of a plugin, of torch, of this program
        message = as_message(error) or f"{type(error).__name__}: {error}"
        return Outcome(job.name, False, str(message))


@define(eq=False)
class Workers:
    """Processes for the time of a `with` block, of so many threads each; Ctrl-C is left to this one."""

    processes: int
    threads: int
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def each(
        self, function: Callable[[Job], Outcome], jobs: list[Job], stop: Callable[[], bool]
    ) -> Iterator[Outcome | None]:
        """The outcome of every job, as they come; None at every look at the clock between.

        A process that dies takes no other run with it: what was at work in the others begins again at
        its last checkpoint. Once `stop` says so, all are asked to stop, and their outcomes still come.
        """
        deaths: dict[str, int] = {}
        waiting, asked = list(jobs), False
        while waiting:
            pool = self._open()
            futures = {pool.submit(function, job): job for job in waiting}
            waiting, at_work = [], set(futures)
            while at_work:
                done, at_work = wait(at_work, POLL, FIRST_COMPLETED)
                if stop() and not asked:
                    asked = True
                    _ask_to_stop(pool, at_work)
                broken = []
                for future in done:
                    outcome = _outcome(future, futures[future])
                    if outcome is None:
                        broken.append(futures[future])
                    else:
                        yield outcome
                if broken:
                    self._close()
                if broken and not asked:
                    waiting += yield from _again(broken, deaths, self.processes)
                yield None

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.processes, spawn, _begin, (self.threads,))
        return self._pool

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _outcome(future: Future[Outcome], job: Job) -> Outcome | None:
    """None where its process, or one beside it, died."""
    if future.cancelled():
        return Outcome(job.name, False)
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _again(
    broken: list[Job], deaths: dict[str, int], processes: int
) -> Generator[Outcome, None, list[Job]]:
    """Those of the broken jobs that are to be tried again; the outcomes of the others are yielded.

    Only the first of them were at work, the rest waited.
    """
    left = []
    for place, job in enumerate(broken):
        deaths[job.name] = deaths.get(job.name, 0) + (place < processes)
        if deaths[job.name] < TRIES:
            left.append(job)
        else:
            told = f"its process died {TRIES} times: killed, or out of memory"
            yield Outcome(job.name, False, told)
    return left


def _begin(threads: int) -> None:
    """SIGTERM, which the pool sends, too, where another process died, ends no run before it is saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: _asked.append(number))
    Thread(target=_end_with_parent, daemon=True).start()
    os.environ |= dict.fromkeys(THREADS, str(threads))
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """Where the process that began this one is killed, the run is saved, and nothing is left over."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    _asked.append(signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    while _at_work:
        time.sleep(POLL)
    os._exit(1)


def _ask_to_stop(pool: ProcessPoolExecutor, at_work: set[Future[Outcome]]) -> None:
    for future in at_work:
        future.cancel()
    for pid in list(pool._processes):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
