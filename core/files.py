"""Files that are written whole or not at all, and read only where they are files."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from pinn.core.errors import PinnError, TrainingError

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "files may not become as large",
}
LARGEST = 64 * 2**20
"""Bytes of a file that is read at once, at most."""
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Each on the systems that have it: Windows would translate the ends of lines."""
LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write, fsync, rename: after a crash there is the old file or the new one, never half of one.

    The file is written under a name that nobody can have prepared a link for.

    Raises:
        TrainingError: it cannot be written; the old file, if any, is untouched.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            for part in [content] if isinstance(content, bytes) else content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def free_name(path: Path) -> Path:
    """The path, or with a number behind it where something is there."""
    names = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(each for each in chain([path], names) if not os.path.lexists(each))


def remove_left_over(folder: Path) -> None:
    """Remove what killed processes began to write in the folder."""
    for path in folder.glob(".*.tmp"):
        if LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> TrainingError:
    """What to raise where the operating system refuses."""
    room = NO_ROOM.get(error.errno or 0)
    mend = "make room" if room else "mend that"
    return TrainingError(
        f"{path}: cannot be written: {room or error.strerror or error}; what was saved before is "
        f"intact, so {mend} and run the same command again"
    )


def cannot_read(path: Path, error: Exception) -> PinnError:
    """What to raise where the operating system refuses."""
    return PinnError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}")


def open_file(path: Path, within: Path | None = None) -> BinaryIO | None:
    """A file, to be read; None where there is none.

    Raises:
        PinnError: it is a folder, a device, or a pipe, which may never end; a link leads to nothing or
            out of the folder `within`; or it cannot be read.
    """
    try:
        if within is not None:
            stay_within(path, within)
        descriptor = os.open(path, READING)
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise PinnError(f"{path}: is a link to nothing") from None
        return None
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise PinnError(
        f"{path}: is {'a folder' if stat.S_ISDIR(kind) else 'a device or a pipe'}, no file"
    )


def read_file(path: Path, within: Path | None = None, largest: int = LARGEST) -> bytes | None:
    """What `open_file` opens, whole.

    Raises:
        PinnError: as there, or it is larger than `largest` bytes.
    """
    file = open_file(path, within)
    if file is None:
        return None
    with file:
        if os.fstat(file.fileno()).st_size > largest:
            raise PinnError(f"{path}: is larger than {largest >> 20} MiB, which no such file is")
        try:
            return file.read()
        except OSError as error:
            raise cannot_read(path, error) from None


def stay_within(path: Path, folder: Path) -> None:
    """See that no link leads from `path`, in the folder, out of it.

    Raises:
        PinnError: one does.
    """
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle
        raise cannot_read(path, error) from None
    if not inside:
        raise PinnError(f"{path}: is a link out of {folder}, which is not followed; remove it")


def _sync_directory(directory: Path) -> None:
    """Have the name of a new file survive a loss of power, where the system can be asked to."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # Windows opens no directory
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that syncs files alone
            raise
    finally:
        os.close(descriptor)
