"""Paths as a person at a terminal knows them."""

from __future__ import annotations

from pathlib import Path


def shown(path: Path) -> Path:
    """The path as seen from the working directory, where it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
