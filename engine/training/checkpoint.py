"""States on disk: atomic, checksummed, opened without running anybody's code."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from pinn.core.errors import TrainingError
from pinn.core.files import write_atomically

MAGIC = b"pinn checkpoint 1 sha256 "
KEPT = 2


class CorruptCheckpoint(Exception):
    """The file is not what was written."""


def save(directory: Path, step: int, state: dict[str, Any], best: bool) -> None:
    """Write the checkpoint of `step`, also as the best if it is, and drop all but the newest two."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).hexdigest().encode()
    content = MAGIC + digest + b"\n" + payload
    write_atomically(directory / f"step-{step:09d}.pt", content)
    if best:
        write_atomically(directory / "best.pt", content)
    for old in newest_first(directory)[KEPT:]:
        old.unlink(missing_ok=True)


def newest_first(directory: Path) -> list[Path]:
    return sorted(directory.glob("step-*.pt"), reverse=True)


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        CorruptCheckpoint: the checksum does not fit, or it is no checkpoint.
    """
    header, _, payload = path.read_bytes().partition(b"\n")
    if not header.startswith(MAGIC):
        raise CorruptCheckpoint("not a checkpoint of this program")
    if hashlib.sha256(payload).hexdigest().encode() != header.removeprefix(MAGIC):
        raise CorruptCheckpoint("the checksum does not fit")
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(payload), weights_only=True, map_location="cpu"
        )
    except Exception as error:  # it holds more than tensors and plain values, or is no such file
        raise CorruptCheckpoint("it does not hold what a checkpoint holds") from error
    return state


def newest_whole(directory: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, and a note on each newer one, which is set aside.

    Raises:
        TrainingError: there are checkpoints, and none is whole.
    """
    corrupt: list[Path] = []
    for path in newest_first(directory):
        try:
            state = read(path)
        except CorruptCheckpoint:
            corrupt.append(path)
            continue
        for bad in corrupt:
            bad.rename(bad.with_suffix(".corrupt"))
        return state, [f"{bad.name} is corrupt: continuing from {path.name}" for bad in corrupt]
    if corrupt:
        raise TrainingError(
            f"{directory}: no checkpoint is whole; delete {directory.parent} to start again"
        )
    return None, []
