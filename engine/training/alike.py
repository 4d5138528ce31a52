"""What the processes of one run must have in common, and what each of them has for itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from pinn.core.errors import PinnError
from pinn.engine.configuration.config import Config, differences
from pinn.engine.configuration.directory import RunDirectory, of_run
from pinn.engine.training.environment import plugins, sources
from pinn.engine.training.processes import Processes


def check_alike(processes: Processes, config: Config) -> None:
    """See that all processes train the same with the same versions of everything, plugins too.

    Raises:
        PinnError: one does not: which, and in what.
    """
    if processes.count == 1:
        return
    own = {
        "configuration": of_run(config),
        "versions": {name: version(name) for name in ("pinn-dynamics", "torch", "numpy")},
        "plugins": plugins(config.parts),
        "sources": sources(config.parts),
    }
    first, *others = processes.told_by_all(own)
    for rank, other in enumerate(others, 1):
        if found := differences(other, first):
            raise PinnError(
                f"processes 0 and {rank} of {processes.count} are not alike: {'; '.join(found)} "
                f"(there: process {rank}, here: process 0)"
            )


def check_shares(count: int, config: Config) -> None:
    """See that every one of so many processes has points.

    Raises:
        PinnError: one has none.
    """
    points = min(stage.points.interior for stage in config.stages)
    if count > points:
        raise PinnError(
            f"[run] processes: {count} processes for {points} interior points; expected at most one a "
            "point"
        )


def check_devices(processes: Processes, device: torch.device) -> None:
    """See that every process that computes on a GPU has one of its own.

    Raises:
        PinnError: one has not.
    """
    if device.type == "cuda" and processes.count > 1:
        devices = processes.told_by_all(str(torch.cuda.get_device_properties(device).uuid))
        if len({*devices}) < processes.count:
            raise PinnError(
                f"[run] processes: {processes.count} processes for {len({*devices})} CUDA devices; "
                "expected a device for each"
            )


@contextmanager
def held(processes: Processes, config: Config) -> Iterator[RunDirectory]:
    """The directory of the run, for the first process; for each other a copy, which is not kept.

    Raises:
        PinnError: it cannot be used.
    """
    if processes.first:
        directory = RunDirectory(config.directory)
        with ExitStack() as stack:
            try:
                stack.enter_context(directory.locked())
            except PinnError as error:
                processes.told(str(error))
                raise
            processes.told(_files(directory) if processes.count > 1 else {})
            yield directory
        return
    found: dict[str, bytes] | str = processes.told("")
    if isinstance(found, str):
        raise PinnError(found)
    with TemporaryDirectory(prefix="pinn-", ignore_cleanup_errors=True) as folder:
        directory = RunDirectory(Path(folder))
        for name, content in found.items():
            path = directory.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with directory.locked():
            yield directory


def _files(directory: RunDirectory) -> dict[str, bytes]:
    """What a run goes on from."""
    kept = [directory.config, directory.environment, directory.metrics]
    kept += sorted(directory.checkpoints.glob("*"))
    return {
        str(path.relative_to(directory.path)): path.read_bytes() for path in kept if path.is_file()
    }
