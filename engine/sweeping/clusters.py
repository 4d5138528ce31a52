"""Runs of a sweep trained on other machines: by Ray, or as jobs of Slurm through submitit."""

from __future__ import annotations

import logging
import math
import socket
import time
from pathlib import Path
from typing import Any

from attrs import frozen

from pinn.core.errors import PinnError
from pinn.core.options import at_least, option
from pinn.core.tracebacks import first_line
from pinn.engine.sweeping.jobs import Function, Job, Outcome, on_threads
from pinn.engine.sweeping.places import Place, Submitted

REACHED = 10.0
"""Seconds within which the node of a cluster answers."""


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


class _Cluster:
    """It has a queue of its own, and is given all jobs at once."""

    at_once = math.inf

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class RayCluster(_Cluster):
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

    def submit(self, function: Function, job: Job) -> Submitted:
        remote = self.ray.remote(num_cpus=self.threads, num_gpus=self.options.gpus, max_retries=0)
        return _RayTask(self.ray, remote(on_threads).remote(self.threads, function, job))


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


class SlurmCluster(_Cluster):
    """Jobs of Slurm, through submitit; what they print is kept in `directory`."""

    def __init__(self, options: SlurmOptions, threads: int, directory: Path) -> None:
        self.threads = threads
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

    def submit(self, function: Function, job: Job) -> Submitted:
        return self.executor.submit(on_threads, self.threads, function, job)


def cluster_of(
    ray: RayOptions | None, slurm: SlurmOptions | None, threads: int, directory: Path
) -> Place | None:
    """Where runs are to be trained; None: on this machine."""
    if ray is not None:
        return RayCluster(ray, threads)
    if slurm is not None:
        return SlurmCluster(slurm, threads, directory / "slurm")
    return None
