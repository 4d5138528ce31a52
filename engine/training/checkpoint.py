"""States on disk: atomic, checksummed, opened without running anybody's code, and each of its run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pinn.core.errors import PinnError, TrainingError
from pinn.core.files import cannot_read, read_file, write_atomically
from pinn.engine.configuration.config import differences
from pinn.engine.configuration.directory import of_run_as_of_now

FORMAT = b"pinn checkpoint "
VERSION = b"3"
SEAL = re.compile(FORMAT + rb"(\d{1,9}) sha256 ([0-9a-f]{64})\Z")
"""The comment at the end of the archive, whose length the two bytes before it say."""
SEAL_BYTES = len(FORMAT + VERSION) + len(" sha256 ") + 64
KEPT = 2
BEST = "best.pt"
NAME = re.compile(r"step-(\d{9,})\.pt")
LARGEST = 2**40
OF_RUN = "run"
"""Under which a state holds what configuration it belongs to, as JSON."""


class CorruptCheckpoint(Exception):
    """The file is not what was written."""


def save(
    directory: Path, step: int, state: dict[str, Any], of_run: Mapping[str, Any], best: bool
) -> None:
    """Write the checkpoint of `step`, also as the best if it is, and drop all but the newest two.

    The best is written first: where a process dies between the two, the run goes on from the checkpoint
    before, finds the best again and writes it again.

    Args:
        of_run: the configuration that a run must have to go on from here.
    """
    buffer = io.BytesIO()
    torch.save({**state, OF_RUN: json.dumps(of_run, sort_keys=True)}, buffer)
    content = sealed(buffer.getvalue())
    if best:
        write_atomically(directory / BEST, content)
    write_atomically(directory / f"step-{step:09d}.pt", content)
    for old in newest_first(directory)[KEPT:]:
        old.unlink(missing_ok=True)


def sealed(archive: bytes) -> bytes:
    """An archive of `torch.save` with the checksum of its bytes as its comment, which readers skip."""
    body = archive[:-2] + SEAL_BYTES.to_bytes(2, "little")
    return body + seal(body)


def seal(body: bytes) -> bytes:
    """What stands behind these bytes in a checkpoint."""
    return FORMAT + VERSION + b" sha256 " + hashlib.sha256(body).hexdigest().encode()


def newest_first(directory: Path) -> list[Path]:
    """The checkpoints that a run wrote by step; files of other names are somebody else's.

    Raises:
        PinnError: the directory cannot be read.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(directory, error) from None
    steps = {int(found[1]): name for name in names if (found := NAME.fullmatch(name))}
    return [directory / steps[step] for step in sorted(steps, reverse=True)]


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        CorruptCheckpoint: the checksum does not fit, or it is no checkpoint.
        PinnError: it cannot be read, or an earlier version wrote it.
    """
    content = read_file(path, path.parent, LARGEST) or b""
    found = SEAL.search(content, max(0, len(content) - 2 * SEAL_BYTES))
    if content.startswith(FORMAT) or (found and found[1] != VERSION):
        raise PinnError(
            f"{path}: was written by another version of pinn, which alone can go on from it"
        )
    if not found:
        raise CorruptCheckpoint("not a checkpoint of this program")
    body = memoryview(content)[: found.start()]
    if hashlib.sha256(body).hexdigest().encode() != found[2]:
        raise CorruptCheckpoint("the checksum does not fit")
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), weights_only=True, map_location="cpu"
        )
        if not isinstance(json.loads(state[OF_RUN]), dict) or type(state["step"]) is not int:
            raise TypeError
    except Exception as error:  # it holds more than tensors and plain values, or is no such file
        raise CorruptCheckpoint("it does not hold what a checkpoint holds") from error
    return state


def best_of(directory: Path) -> Path:
    """The checkpoint whose loss was the smallest of all that were saved on time.

    Raises:
        PinnError: there is none yet.
    """
    path = directory / BEST
    if not os.path.lexists(path):
        raise PinnError(
            f"{directory.parent}: has no {BEST} yet, which comes with the first regular checkpoint"
        )
    return path


def read_best(directory: Path) -> dict[str, Any]:
    """The state in `best_of` the directory.

    Raises:
        PinnError: there is none, it cannot be read, or it is damaged.
    """
    path = best_of(directory)
    try:
        return read(path)
    except CorruptCheckpoint as error:
        raise PinnError(f"{path}: is damaged: {error}") from None


def newest_whole(
    directory: Path, of_run: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, Sequence[Path]]:
    """The newest checkpoint that is whole, if there is one, and the newer ones, which are not.

    Args:
        of_run: the configuration that they must belong to.

    Raises:
        PinnError: it is of another run, or of another step than its name says.
        TrainingError: there are checkpoints, and none is whole.
    """
    corrupt: list[Path] = []
    for path in newest_first(directory):
        try:
            state = read(path)
        except CorruptCheckpoint:
            corrupt.append(path)
            continue
        check_belongs(path, state, of_run)
        return state, corrupt
    if corrupt:
        raise TrainingError(
            f"{directory}: no checkpoint is whole; delete {directory.parent} to start again"
        )
    return None, []


def check_belongs(path: Path, state: Mapping[str, Any], of_run: Mapping[str, Any]) -> None:
    """See that the checkpoint is of this run and of the step in its name.

    Raises:
        PinnError: it is not; says of what it is.
    """
    mend = "put back the file that was there, or remove this one"
    if path.name not in (BEST, f"step-{state['step']:09d}.pt"):
        raise PinnError(f"{path}: holds step {state['step']:,}, so that it was renamed: {mend}")
    there = of_run_as_of_now(json.loads(state[OF_RUN]), path.parent.parent)
    if differing := differences(*(json.loads(json.dumps(table)) for table in (there, of_run))):
        lines = "\n".join(f"  {difference}" for difference in differing)
        raise PinnError(f"{path}: belongs to another run:\n{lines}\n{mend}")


def set_aside(corrupt: Sequence[Path]) -> None:
    """Rename checkpoints that are not whole, so that they are neither read nor removed."""
    for path in corrupt:
        path.replace(path.with_suffix(".corrupt"))
