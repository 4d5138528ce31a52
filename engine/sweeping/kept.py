"""What a sweep keeps of itself beside its runs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pinn.core.errors import PinnError
from pinn.core.files import read_file, write_atomically

T = TypeVar("T")


def read_kept(path: Path, shaped: Callable[[Any], T], empty: Any, way_out: str) -> T:
    """What the file holds, as `shaped` reads it; without a file, as it reads `empty`.

    Raises:
        PinnError: the file is damaged.
    """
    content = read_file(path)
    try:
        return shaped(json.loads(content) if content else empty)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise PinnError(f"{path}: is damaged; {way_out}") from None


def write_kept(path: Path, value: Any) -> None:
    write_atomically(path, json.dumps(value, indent=1).encode())
