"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pinn.core.errors import TrainingError


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
    """What to raise where the operating system refuses."""
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
