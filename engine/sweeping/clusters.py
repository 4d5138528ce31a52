"""Runs of a sweep trained on other machines: by Ray, or as jobs of Slurm through submitit."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from attrs import frozen

from pinn.core.errors import PinnError
from pinn.core.options import at_least, option
from pinn.core.tracebacks import first_line
from pinn.engine.sweeping.workers import POLL, THREADS, TRIES, Job, Outcome

REACHED = 10.0
"""Seconds within which the node of a cluster answers."""


class Submitted(Protocol):
    """A job that is to be done elsewhere."""

    def done(self) -> bool:
        """Whether it ended, however."""

    def result(self) -> Outcome:
        """What came of it; raises where its process or its machine died."""

    def cancel(self) -> None:
        """Ask it to end: what trains finishes its step, and is saved."""


class Cluster(Protocol):
    """Where jobs are submitted to, for the time of a `with` block."""

    def submit(self, work: Callable[[], Outcome]) -> Submitted:
        """Have it done; called often before the first is done."""

    def __enter__(self) -> Cluster: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None: ...


@frozen
class RayOptions:
    """The section [sweep.ray]: on the nodes of a Ray cluster, which see the same files."""

    address: str | None = option(None, "of the cluster, or auto; default: one that is begun here")
    gpus: float = option(0.0, "of each run, a share of one counts", at_least(0))


@frozen
class SlurmOptions:
    """The section [sweep.slurm]: a job of Slurm for each run, on nodes that see the same files."""

    minutes: int = option(
        60, "that a run may take; one that takes longer goes on next time", at_least(1)
    )
    partition: str | None = option(None, "of the cluster")
    gpus: int = option(0, "of each run", at_least(0))
    cluster: str | None = option(
        None, "slurm, or local to try it; default: slurm where it is there"
    )
    more: dict[str, Any] = option({}, "further parameters of submitit, such as slurm_account")


def each(
    cluster: Cluster,
    threads: int,
    function: Callable[[Job], Outcome],
    jobs: list[Job],
    stop: Callable[[], bool],
) -> Iterator[Outcome | None]:
    """The outcome of every job, as they come; None at every look at the clock between.

    A job whose machine dies is submitted again, and goes on at its last checkpoint.
    """
    deaths: dict[str, int] = {}

    def submitted(job: Job) -> Submitted:
        return cluster.submit(partial(_elsewhere, function, job, threads))

    waiting = {job.name: (job, submitted(job)) for job in jobs}
    asked = False
    while waiting:
        if stop() and not asked:
            asked = True
            for _, one in waiting.values():
                one.cancel()
        for name, (job, one) in list(waiting.items()):
            if not one.done():
                continue
            del waiting[name]
            try:
                yield one.result()
            except Exception as error:
                deaths[name] = deaths.get(name, 0) + 1
                if asked:
                    yield Outcome(name, False)
                elif deaths[name] < TRIES:
                    waiting[name] = job, submitted(job)
                else:
                    told = f"its process died {TRIES} times: {first_line(error)}"
                    yield Outcome(name, False, told)
        yield None
        time.sleep(POLL)


def _elsewhere(function: Callable[[Job], Outcome], job: Job, threads: int) -> Outcome:
    os.environ |= dict.fromkeys(THREADS, str(threads))
    import torch

    torch.set_num_threads(threads)
    return function(job)


class RayCluster:
    """Tasks of Ray, one a run."""

    def __init__(self, options: RayOptions, threads: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise PinnError(
                "[sweep.ray] needs the package ray: pip install 'pinn-dynamics[ray]'"
            ) from error
        self.ray, self.options, self.threads = ray, options, threads
        self._begun = False

    def __enter__(self) -> RayCluster:
        if not self.ray.is_initialized():
            address = self.options.address
            try:
                _try_to_reach(address)
                self.ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, ValueError) as error:
                raise PinnError(
                    f"[sweep.ray] address: no cluster at {address}: {first_line(error)}"
                ) from None
            self._begun = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun:
            self.ray.shutdown()

    def submit(self, work: Callable[[], Outcome]) -> Submitted:
        remote = self.ray.remote(num_cpus=self.threads, num_gpus=self.options.gpus, max_retries=0)
        return _RayTask(self.ray, remote(work.func).remote(*work.args))  # type: ignore[attr-defined]


def _try_to_reach(address: str | None) -> None:
    """Ray itself would try for minutes.

    Raises:
        OSError, ValueError: nobody answers, or it is no address.
    """
    if address is not None and address not in ("auto", "local") and "://" not in address:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=REACHED).close()


@frozen
class _RayTask:
    ray: Any
    reference: Any

    def done(self) -> bool:
        ready, _ = self.ray.wait([self.reference], timeout=0)
        return bool(ready)

    def result(self) -> Outcome:
        return self.ray.get(self.reference)

    def cancel(self) -> None:
        self.ray.cancel(self.reference)


class SlurmCluster:
    """Jobs of Slurm, through submitit; what they print is kept in `directory`."""

    def __init__(self, options: SlurmOptions, threads: int, directory: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise PinnError(
                "[sweep.slurm] needs the package submitit: pip install 'pinn-dynamics[slurm]'"
            ) from error
        try:
            self.executor = submitit.AutoExecutor(folder=directory, cluster=options.cluster)
        except RuntimeError as error:
            raise PinnError(f"[sweep.slurm] cluster: {first_line(error)}") from None
        given: dict[str, Any] = {
            "timeout_min": options.minutes,
            "cpus_per_task": threads,
            "gpus_per_node": options.gpus,
            **({"slurm_partition": options.partition} if options.partition else {}),
            **options.more,
        }
        try:
            self.executor.update_parameters(**given)
        except (NameError, ValueError, TypeError) as error:
            raise PinnError(f"[sweep.slurm] more: {first_line(error)}") from None

    def __enter__(self) -> SlurmCluster:
        return self

    def __exit__(self, *_: object) -> None:
        """Jobs are of the cluster, and stay."""

    def submit(self, work: Callable[[], Outcome]) -> Submitted:
        return self.executor.submit(work)


def cluster_of(
    ray: RayOptions | None, slurm: SlurmOptions | None, threads: int, directory: Path
) -> Cluster | None:
    """Where runs are to be trained; None: on this machine."""
    if ray is not None:
        return RayCluster(ray, threads)
    if slurm is not None:
        return SlurmCluster(slurm, threads, directory / "slurm")
    return None
