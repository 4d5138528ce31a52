"""The directory of a run: its files, its lock, and whether it is of the same configuration."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pinn.core.errors import ConfigError, PinnError, one_of
from pinn.core.files import (
    cannot_write,
    free_name,
    read_file,
    remove_left_over,
    stay_within,
    write_atomically,
)
from pinn.core.records import Records
from pinn.engine.configuration.config import WATCHED, Config, differences
from pinn.engine.configuration.reader import parse_config, parse_toml
from pinn.engine.configuration.stored import Environment, Summary, read_arrays, read_json
from pinn.engine.configuration.unbuilt import Described, unbuilt
from pinn.engine.configuration.watched import Watched, parse_watched

MAY_GROW = "steps"
FIRST = "step-000000000.pt"
"""The checkpoint of a run that has not made a step."""
A_LOOK = 0.5
"""Seconds to wait for the lock: somebody may only look whether it is held, which takes far less."""


class RunDirectory:
    """Paths and files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path = path.absolute()  # the working directory may change while a run trains
        self.config = path / "pinn.toml"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.predictions = path / "predictions.npz"
        self.summary = path / "summary.json"
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.tensorboard = path / "tensorboard"
        self.lock = path / ".lock"

    def check_links(self) -> None:
        """See that nothing in the directory, which anybody may have made, leads out of it.

        Raises:
            PinnError: a link does; none is followed, neither to read nor to write.
        """
        for path in vars(self).values():
            if path != self.path:
                stay_within(path, self.path)

    def read_summary(self) -> dict[str, Any]:
        """What `summary.json` says; nothing while the run trains for the first time."""
        return read_json(self.summary, self.path, Summary)

    def read_environment(self) -> dict[str, Any]:
        """What `environment.json` says; nothing where there is none."""
        return read_json(self.environment, self.path, Environment)

    def read_predictions(self) -> Mapping[str, NDArray[Any]] | None:
        """The arrays of `predictions.npz`; None where there is none yet."""
        return read_arrays(self.predictions, self.path)

    def check_usable(self) -> None:
        """See that the directory can be made and written in, without making it.

        Raises:
            PinnError: it cannot; what is in its way.
        """
        try:
            there = next(
                path for path in (self.path, *self.path.absolute().parents) if path.exists()
            )
        except OSError as error:
            raise PinnError(f"{self.path}: cannot be used: {error.strerror}") from None
        if not there.is_dir():
            raise PinnError(f"{self.path}: cannot be made: {there} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PinnError(f"{self.path}: cannot be written: no permission in {there}")
        self.check_links()

    @property
    def in_use(self) -> bool:
        """Whether a process trains here."""
        if not self.lock.exists():
            return False
        try:
            with FileLock(self.lock, timeout=0):
                return False
        except Timeout:
            return True

    def records(self) -> Records:
        """What was measured so far."""
        return Records(self.metrics, self.path)

    def set_damage_aside(self, records: Records) -> str:
        """Keep the records as they are beside those that take their place; what to say of it."""
        kept = free_name(self.metrics.with_suffix(".jsonl.corrupt"))
        shutil.copyfile(self.metrics, kept)
        told = "; ".join(records.damage[:3]) + ("; …" if len(records.damage) > 3 else "")
        return (
            f"{self.metrics.name}: {told}; left out, and the file as it was is kept as {kept.name}"
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process alone.

        Raises:
            PinnError: another run holds it, it cannot be made, or something in it leads elsewhere.
        """
        self.check_usable()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        lock = FileLock(self.lock, timeout=A_LOOK)
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
            for folder in (self.path, self.checkpoints, self.figures):
                remove_left_over(folder)
            yield
        finally:
            lock.release()

    def check_same(self, config: Config) -> None:
        """See that the configuration that is there, if any, is this one.

        A longer last stage is not a difference: it continues the run. Nor does a run count of which no
        step was saved: it would begin anew, too.

        Raises:
            PinnError: the directory belongs to another configuration; names the keys that differ.
        """
        self._is_of_another(config)

    def make_way(self, config: Config) -> None:
        """Delete what is there of another run, which has saved no step.

        Raises:
            PinnError: as of `check_same`.
        """
        if self._is_of_another(config):
            for path in (self.metrics, *self.checkpoints.glob("*.pt")):
                path.unlink(missing_ok=True)

    def _is_of_another(self, config: Config) -> bool:
        """Whether what is there is of another run, of which no step was saved."""
        there = self._table()
        if there is None:
            return False
        if WATCHED in there:
            raise PinnError(
                f"{self.path}: holds a loop that was trained elsewhere and watched; set another "
                "directory with --set run.directory=…, or delete this one"
            )
        there = _as_of_now(there, self.path) or there
        if _only_longer(there, config):
            return False
        if self._begun:
            differing = differences(_comparable(there), _comparable(config.table()))
            lines = "\n".join(f"  {difference}" for difference in differing)
            raise PinnError(
                f"{self.path}: holds a run with another configuration:\n{lines}\n"
                "set another directory with --set run.directory=…, or delete this one"
            )
        return True

    @property
    def _begun(self) -> bool:
        """Whether a step was saved, or might have been."""
        saved = [path.name for path in self.checkpoints.glob("*")]
        return saved != [FIRST]

    def describe(self, config: Config | Watched, made_with: Mapping[str, Any]) -> None:
        """Write `pinn.toml` and `environment.json`."""
        write_atomically(self.config, config.toml().encode())
        write_atomically(self.environment, json.dumps(made_with, indent=2).encode())

    @property
    def watched(self) -> bool:
        """Whether it is of a loop that was trained elsewhere."""
        return WATCHED in (self._table() or {})

    def read_table(self) -> dict[str, Any]:
        """What `pinn.toml` says, whether or not its parts are installed.

        Raises:
            PinnError: there is no run, its file is no TOML, or a link leads out of the directory.
        """
        self.check_links()
        there = self._table()
        if there is None:
            inner = sorted(path.parent.name for path in self.path.glob("*/pinn.toml"))
            hint = f"; it holds the runs {one_of(inner)}" if inner else ""
            raise PinnError(f"{self.path}: is not a run directory: it has no pinn.toml{hint}")
        return there

    def read_config(self) -> Config | Watched:
        there = self.read_table()
        if WATCHED in there:
            return parse_watched(there, str(self.config))
        return parse_config(there, str(self.config), self.path).in_directory(self.path)

    def read_described(self) -> Described:
        """The configuration, or what can be told without the parts that are not installed.

        Raises:
            PinnError: there is no run, or something else is wrong with its configuration.
        """
        try:
            return self.read_config()
        except ConfigError as error:
            return unbuilt(self.read_table(), str(self.config), error)

    def _table(self) -> dict[str, Any] | None:
        """What stands in `pinn.toml`; None where there is none."""
        content = read_file(self.config, self.path)
        try:
            return None if content is None else parse_toml(content, self.config)
        except PinnError as error:
            raise PinnError(
                f"{error}; the run had written it, so mend it, or delete {self.path} to start again"
            ) from None


def of_run(config: Config) -> dict[str, Any]:
    """The configuration without what may change while the same run goes on."""
    return _of_run(config.table())


def of_run_as_of_now(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """What `of_run` said before of the run in `path`, with options that have come since at their
    defaults."""
    *stages, last = table.get("optimizers") or [{}]
    now = _as_of_now({**table, "optimizers": [*stages, {MAY_GROW: 1, **last}]}, path)
    return _of_run(now) if now else table


def _of_run(table: dict[str, Any]) -> dict[str, Any]:
    table = _comparable(table)
    *stages, last = table["optimizers"]
    last = {key: value for key, value in last.items() if key != MAY_GROW}
    return {**table, "optimizers": [*stages, last]}


def _as_of_now(table: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """What was written before in `path`, with options that have come since at their defaults; None where
    it is no configuration any more."""
    try:
        return parse_config(table, folder=path).in_directory(path).table()
    except PinnError:
        return None


def _comparable(table: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what does not change the numbers."""
    free = ("directory", "checkpoint", "processes", "seeds", "tensorboard")
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
