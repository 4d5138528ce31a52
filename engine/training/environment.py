"""Whether plugins are still written as they were when a run began."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinn.core.blame import origin_of


def sources(parts: Iterable[Any]) -> dict[str, str]:
    """{module: checksum of its file}, of the third parties' among these parts."""
    found = {}
    for part in parts:
        origin = origin_of(part)
        if origin is None or not origin.built_in:
            file = _file(type(part))
            if file is not None:
                found[type(part).__module__] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Modules that are written otherwise than before."""
    return sorted(name for name in before.keys() & now.keys() if before[name] != now[name])


def _file(cls: type[Any]) -> Path | None:
    """None for a class of a notebook or of a test."""
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None
    return Path(file) if file and Path(file).is_file() else None
