"""What a run is made with: versions, plugins and checksums of their modules, the git commit."""

from __future__ import annotations

import hashlib
import inspect
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinn.core.discovery import installed_version, registry
from pinn.core.errors import PinnError
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training.checkpoint import newest_first


def environment(device: str, parts: Iterable[Any], *frameworks: str) -> dict[str, Any]:
    """Versions, plugins, device and the git commit, for `environment.json`.

    Args:
        parts: that are used.
        frameworks: distributions whose versions matter besides.
    """
    libraries = (
        "pinn-dynamics", "torch", "numpy", "scipy", "pluggy", "attrs", "cattrs", "matplotlib", "jinja2",
        *frameworks,
    )  # fmt: skip
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device,
        "versions": {name: installed_version(name) for name in libraries},
        "plugins": plugins(parts),
        "git_commit": _git_commit(),
    }


def plugins(parts: Iterable[Any]) -> dict[str, str]:
    """{kind and name of each part: the distribution that it is of, and its version}."""
    names = {part.name for part in parts}
    return {
        f"{part.kind} {part.name}": str(part.origin)
        for part in registry().parts()
        if part.name in names
    }


def _git_commit() -> str | None:
    """The commit of the working directory, where it is a git checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def sources(parts: Iterable[Any]) -> dict[str, str]:
    """{module: checksum of its file}, of the third parties' among these parts."""
    found = {}
    for part in parts:
        origin = registry().origin_of(part)
        if origin is None or not origin.built_in:
            file = _file(type(part))
            if file is not None:
                found[type(part).__module__] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def first_sources(directory: RunDirectory, parts: Iterable[Any]) -> dict[str, str]:
    """`sources` of when the run in the directory began; of now where none has."""
    now = sources(parts)
    if not newest_first(directory.checkpoints):
        return now
    try:
        found: dict[str, str] = directory.read_environment()["sources"]
    except (PinnError, KeyError):  # damaged by hand, or of an earlier version
        return now
    return found


def edited(before: Mapping[str, str], parts: Iterable[Any]) -> list[str]:
    """Modules of plugins that are written otherwise than `before`, when the run began."""
    now = sources(parts)
    return sorted(name for name in before.keys() & now.keys() if before[name] != now[name])


def _file(cls: type[Any]) -> Path | None:
    """The file that a class is written in; None for one of a notebook or of a test."""
    try:
        file = inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None
    return Path(file) if file and Path(file).is_file() else None
