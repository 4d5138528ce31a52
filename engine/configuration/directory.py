"""The directory of a run: its files, and who may write to it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tomli
from filelock import FileLock, Timeout

from pinn.core.errors import PinnError, TrainingError
from pinn.core.registry import registry
from pinn.engine.configuration.config import WATCHED, Config, parse_config
from pinn.engine.configuration.differences import differences
from pinn.engine.configuration.watched import Watched, parse_watched
from pinn.engine.training import checkpoint
from pinn.engine.training.checkpoint import CorruptCheckpoint, cannot_write, write_atomically
from pinn.engine.training.environment import changed, sources

MAY_GROW = "steps"


class RunDirectory:
    """Paths and files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "pinn.toml"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.predictions = path / "predictions.npz"
        self.summary = path / "summary.json"
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.tensorboard = path / "tensorboard"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process alone.

        Raises:
            PinnError: another run holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise PinnError(
                f"{self.path}: another run is training in this directory; wait for it, or set "
                "another one with --set run.directory=…"
            ) from None
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def claim(self, config: Config, device: str) -> None:
        """Write the configuration, or see that the one that is there is the same.

        A longer last stage is not a difference: it continues the run.

        Raises:
            PinnError: the directory belongs to another configuration; names the keys that differ.
        """
        if self.config.exists():
            there = self._table()
            if self.watched:
                raise PinnError(
                    f"{self.path}: holds a loop that was trained elsewhere and watched; set another "
                    "directory with --set run.directory=…, or delete this one"
                )
            differing = differences(_comparable(there), _comparable(config.table()))
            if not _only_longer(there, config):
                lines = "\n".join(f"  {difference}" for difference in differing)
                raise PinnError(
                    f"{self.path}: holds a run with another configuration:\n{lines}\n"
                    "set another directory with --set run.directory=…, or delete this one"
                )
        self.checkpoints.mkdir(exist_ok=True)
        made_with = environment(device, {part.name for part in config.parts})
        self.describe(config, made_with | {"sources": self._sources(config)})

    def changed_sources(self, config: Config) -> list[str]:
        """Modules of plugins that are written otherwise than when the run began."""
        return changed(self._sources(config), sources(config.parts))

    def _sources(self, config: Config) -> dict[str, str]:
        """Checksums of the plugins' modules, of when the run began."""
        now = sources(config.parts)
        if not checkpoint.newest_first(self.checkpoints) or not self.environment.exists():
            return now
        try:
            found: dict[str, str] = json.loads(self.environment.read_bytes())["sources"]
        except (ValueError, KeyError):  # damaged by hand, or of an earlier version
            return now
        return found

    def describe(self, config: Config | Watched, made_with: Mapping[str, Any]) -> None:
        """Write `pinn.toml` and `environment.json`."""
        write_atomically(self.config, config.toml().encode())
        write_atomically(self.environment, json.dumps(made_with, indent=2).encode())

    def newest_state(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest checkpoint that is whole, and a note on each newer one, which is set aside.

        Raises:
            TrainingError: there are checkpoints, and none is whole.
        """
        corrupt: list[Path] = []
        for path, state in checkpoint.latest(self.checkpoints):
            if isinstance(state, CorruptCheckpoint):
                corrupt.append(path)
                continue
            for bad in corrupt:
                bad.rename(bad.with_suffix(".corrupt"))
            return state, [f"{bad.name} is corrupt: continuing from {path.name}" for bad in corrupt]
        if corrupt:
            raise TrainingError(
                f"{self.checkpoints}: no checkpoint is whole; delete {self.path} to start again"
            )
        return None, []

    @property
    def watched(self) -> bool:
        """Whether it is of a loop that was trained elsewhere."""
        return self.config.exists() and WATCHED in self._table()

    def read_config(self) -> Config | Watched:
        if not self.config.exists():
            raise PinnError(f"{self.path}: is not a run directory: it has no pinn.toml")
        if self.watched:
            return parse_watched(self._table(), str(self.config))
        return parse_config(self._table(), str(self.config)).in_directory(self.path)

    def _table(self) -> dict[str, Any]:
        try:
            return tomli.loads(self.config.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomli.TOMLDecodeError) as error:
            raise PinnError(
                f"{self.config}: is not valid TOML: {error}; the run had written it, so mend it, or "
                f"delete {self.path} to start again"
            ) from None


def _comparable(table: dict[str, Any]) -> dict[str, Any]:
    """Without what does not change the numbers."""
    free = ("directory", "checkpoint", "tensorboard")
    run = {key: value for key, value in table.get("run", {}).items() if key not in free}
    return {**table, "run": run}


def _only_longer(there: dict[str, Any], config: Config) -> bool:
    """Whether the configurations are the same, but for more steps in the last stage."""
    old, new = _comparable(there), _comparable(config.table())
    if len(old.get("optimizers", ())) != len(new["optimizers"]):
        return False
    before, after = old["optimizers"][-1], new["optimizers"][-1]
    if after[MAY_GROW] < before.get(MAY_GROW, 0):
        return False
    longer = [*old["optimizers"][:-1], {**before, MAY_GROW: after[MAY_GROW]}]
    return not differences({**old, "optimizers": longer}, new)


def environment(device: str, parts: Collection[str], *frameworks: str) -> dict[str, Any]:
    """Versions, plugins, device and the git commit, for `environment.json`.

    Args:
        parts: names of the parts that are used.
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
        "versions": {name: _version(name) for name in libraries},
        "plugins": {
            f"{part.kind} {part.name}": str(part.origin)
            for part in registry().parts()
            if part.name in parts
        },
        "git_commit": _git_commit(),
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the working directory, where it is a git checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
