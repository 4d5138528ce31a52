"""Checkpoints: atomic, checksummed, and opened without running anybody's code."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pinn.core.errors import TrainingError

MAGIC = b"pinn checkpoint 1 sha256 "
KEPT = 2


class CorruptCheckpoint(Exception):
    """The file is not what was written."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write, fsync, rename: after a crash there is the old file or the new one, never half of one.

    Raises:
        TrainingError: it cannot be written; the old file, if any, is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> TrainingError:
    cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return TrainingError(
        f"{path}: cannot be written: {cause}; what was saved before is intact, so make room and run "
        "the same command again"
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def latest(directory: Path) -> Iterator[tuple[Path, dict[str, Any] | CorruptCheckpoint]]:
    """Newest first: each checkpoint's state, or what is wrong with it."""
    for path in newest_first(directory):
        try:
            yield path, read(path)
        except CorruptCheckpoint as error:
            yield path, error
