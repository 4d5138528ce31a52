"""A run of a sweep as work for a process, which is told of it in plain values."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from pinn.engine.configuration.config import Config

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
asked_to_stop: list[int] = []
"""The signals by which this process was asked to; it begins no other run then."""


@frozen
class Job:
    """A run, its configuration as a table."""

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
        complete: all of its steps are done, or it was ended early, where others are better.
        failure: what went wrong, as a person is told; None where nothing did.
    """

    name: str
    complete: bool
    failure: str | None = None


Function = Callable[[Job], Outcome]
"""What is done with a job, found by its name in its module."""


def trained(job: Job) -> Outcome:
    """Train a run to its end, or until this process is asked to stop."""
    if asked_to_stop:
        return Outcome(job.name, False)
    return _outcome_of(job, partial(_train, job=job))


def checked(job: Job) -> Outcome:
    """Whether the run can be trained."""
    return _outcome_of(job, _check)


def use_threads(count: int) -> None:
    """Of this process and those that it begins."""
    os.environ |= dict.fromkeys(THREADS, str(count))
    import torch

    torch.set_num_threads(count)


def on_threads(count: int, function: Function, job: Job) -> Outcome:
    use_threads(count)
    return function(job)


def _train(config: Config, job: Job) -> bool:
    from pinn.engine.sweeping.halving import HalvingOptions, Rungs
    from pinn.engine.training.run import train

    rungs = None
    if job.halving is not None:
        rungs = Rungs(config.directory.parent, job.name, HalvingOptions(**job.halving))
    run = train(
        config,
        rungs,
        job.report,
        lambda: bool(asked_to_stop) or (rungs is not None and rungs.over),
    )
    if rungs is not None and rungs.over:
        return True
    if not run.complete:  # a signal ended it, of which this process is to begin no other either
        asked_to_stop.append(signal.SIGTERM)
    return run.complete


def _check(config: Config) -> bool:
    from pinn.engine.training.checking import check

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
