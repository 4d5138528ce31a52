"""Trains what is planned, each run in a process of its own, and goes on where it stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

from benchmarks.reproduction.evidence import keep
from benchmarks.reproduction.plan import ABLATED, Job
from pinn.core.discovery import offered
from pinn.engine import train
from pinn.engine.training.progress import Lines

told_to_end: Callable[[], bool] = bool
"""Of a process that trains, whether the one that began it ends."""


def train_all(jobs: Sequence[Job], runs: Path, at_once: int, minutes: float | None) -> bool:
    """Train the jobs, and keep the evidence of each that is done; returns whether all are.

    Where it is interrupted those that train are saved, and no other begins.

    Args:
        at_once: processes, of one core each.
        minutes: after which everything is saved and stops, to be continued by another call.
    """
    deadline = time.monotonic() + 60 * minutes if minutes else None
    os.environ["OMP_NUM_THREADS"] = "1"
    done = 0
    spawn = get_context("spawn")
    ending = spawn.Event()
    with ProcessPoolExecutor(at_once, spawn, _listen, (ending,)) as pool:
        futures = {pool.submit(_train, job, runs, deadline): job for job in jobs}
        try:
            for future in as_completed(futures):
                done += future.result()
                state = "done" if future.result() else "to be continued"
                print(f"{futures[future].name}: {state} ({done} of {len(jobs)})", flush=True)
        finally:
            ending.set()
    return done == len(jobs)


def _listen(ending: Event) -> None:
    global told_to_end
    told_to_end = ending.is_set


def _train(job: Job, runs: Path, deadline: float | None) -> bool:
    """Whether it is done. Monotonic clocks are those of the machine, so that processes share them."""

    def over() -> bool:
        return told_to_end() or (deadline is not None and time.monotonic() > deadline)

    if over():
        return False
    with offered(*ABLATED):
        config = job.config(runs)
        log = config.directory.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
            run = train(config, Lines(), report=False, stop=over)
        keep(run, job)
        return run.complete
