"""A sweep file read: which runs there are, in what they differ, and that each of them can be trained."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli_w
from attrs import frozen

from pinn.core.errors import ConfigError, PinnError
from pinn.core.files import read_file
from pinn.core.options import Faults, at_least, option, structure
from pinn.core.randomness import numpy_generator
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.cores import cores
from pinn.engine.configuration.overrides import override
from pinn.engine.configuration.reader import SWEEP, fault_lines, parse_config, parse_toml
from pinn.engine.sweeping.clusters import RayOptions, SlurmOptions
from pinn.engine.sweeping.halving import HalvingOptions
from pinn.engine.sweeping.ranges import flat, read_ranges
from pinn.engine.sweeping.search import Search, read_proposals, read_search

LONGEST = 120
"""Characters of a run's name; a longer one ends in a number made of the rest."""

Part = TypeVar("Part")
Values = Mapping[str, Any]
"""What a run has of its own: value by key, such as "problem.viscosity"."""


@frozen
class SweepOptions:
    """The section [sweep]."""

    config: str | None = option(
        None, "the configuration of every run, seen from this file; default: the rest of this file"
    )
    directory: str | None = option(None, "where the runs are kept; default runs/<file name>")
    processes: int = option(0, "runs at once; 0: as many as the cores hold", at_least(0))
    threads: int = option(1, "of each run", at_least(1))
    reports: bool = option(False, "draw the report of every run; `pinn report RUN` draws one later")
    grid: dict[str, Any] = option({}, "lists of values by key: every combination is a run")
    runs: list[dict[str, Any]] = option([], "tables of values that belong together")
    random: dict[str, Any] = option(
        {}, "count, seed, and by key {low, high, log} or a list to choose from"
    )
    search: dict[str, Any] = option(
        {}, "trials, seed, and ranges as in random, of which Optuna chooses the values"
    )
    halving: dict[str, Any] | None = option(
        None, "first and factor: of the runs that come to a step the best go on"
    )
    ray: dict[str, Any] | None = option(None, "address and gpus: train on a Ray cluster")
    slurm: dict[str, Any] | None = option(
        None, "minutes, partition, gpus, cluster, more: train as jobs of Slurm"
    )


@frozen
class Planned:
    """A run of a sweep.

    Attributes:
        name: of its directory, made of its values.
        table: its configuration as it stands in TOML.
        folder: where paths in it begin.
    """

    name: str
    values: Values
    config: Config
    table: Mapping[str, Any]
    folder: Path


@frozen
class Sweep:
    """Runs that differ in chosen keys.

    Attributes:
        directory: of all; each run has one of its own in it.
        keys: in which they differ.
    """

    directory: Path
    keys: tuple[str, ...]
    runs: tuple[Planned, ...]
    processes: int
    threads: int
    reports: bool
    halving: HalvingOptions | None = None
    search: Search | None = None
    ray: RayOptions | None = None
    slurm: SlurmOptions | None = None


def read_sweep(path: Path) -> Sweep:
    """
    Raises:
        PinnError: there is no such file, or it is no TOML.
        ConfigError: everything that is wrong in it; no run can be trained then.
    """
    table = _tables(path)
    section = table.pop(SWEEP, None)
    if not isinstance(section, dict):
        raise PinnError(
            f"{path}: has no section [{SWEEP}], which says in what runs differ, as in "
            '[sweep.grid] "run.seed" = [0, 1, 2]'
        )
    options = _options(path, section)
    base, folder = table, path.parent
    if options.config is not None:
        if table:
            raise PinnError(
                f"{path}: [sweep] config names another file, and {_listed(table)} stand here as well: "
                "leave out one of the two"
            )
        other = path.parent / Path(options.config).expanduser()
        base, folder = _tables(other), other.parent
    directory = Path(options.directory or f"runs/{path.stem}").expanduser()
    search = read_search(path, options.search)
    halving = _part(path, "halving", options.halving, HalvingOptions)
    ray = _part(path, "ray", options.ray, RayOptions)
    slurm = _part(path, "slurm", options.slurm, SlurmOptions)
    if ray and slurm:
        raise ConfigError(str(path), ["[sweep]: ray and slurm: expected one of the two"])
    proposed = read_proposals(directory) if search else [dict[str, Any]()]
    chosen = [{**row, **proposal} for proposal in proposed for row in _combinations(path, options)]
    runs = _planned(path, base, folder.absolute(), directory, chosen)
    keys = tuple(dict.fromkeys(key for values in chosen for key in values))
    return Sweep(
        directory,
        keys,
        runs,
        _processes(options),
        options.threads,
        options.reports,
        halving,
        search,
        ray,
        slurm,
    )


def _part(
    path: Path, name: str, section: Mapping[str, Any] | None, kind: type[Part]
) -> Part | None:
    """The options of a section in [sweep]; None where there is none."""
    if section is None:
        return None
    try:
        return structure(section, kind)
    except Faults as error:
        raise ConfigError(str(path), fault_lines(f"[{SWEEP}.{name}]", error)) from None


def _tables(path: Path) -> dict[str, Any]:
    content = read_file(path)
    if content is None:
        raise PinnError(f"{path}: there is no such file")
    return parse_toml(content, path)


def _listed(table: Mapping[str, Any]) -> str:
    return ", ".join(f"[{key}]" for key in table)


def _options(path: Path, section: Mapping[str, Any]) -> SweepOptions:
    try:
        return structure(section, SweepOptions)
    except Faults as error:
        raise ConfigError(str(path), fault_lines(f"[{SWEEP}]", error)) from None


def _processes(options: SweepOptions) -> int:
    return options.processes or max(cores() // options.threads, 1)


def _combinations(path: Path, options: SweepOptions) -> Iterator[Values]:
    """Every row of the grid, with each of the tables and each of the draws."""
    axes = flat(options.grid)
    faults = [
        f"[sweep.grid] {key}: expected a list of values, found {values!r}"
        for key, values in axes.items()
        if not isinstance(values, list) or not values
    ]
    if faults:
        raise ConfigError(str(path), faults)
    for values in itertools.product(*axes.values()):
        row = dict(zip(axes, values, strict=True))
        for table in options.runs or [{}]:
            for draw in _draws(path, options.random):
                yield {**row, **flat(table), **draw}


def _draws(path: Path, random: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Values drawn for each of `count` runs; one row of none where nothing is to be drawn."""
    if not random:
        yield {}
        return
    count, seed, ranges = read_ranges(path, "random", random, "count")
    for number in range(count):
        generator = numpy_generator(seed, "sweep", number)
        yield {key: _drawn(value, generator) for key, value in ranges.items()}


def _drawn(value: Any, generator: np.random.Generator) -> Any:
    if isinstance(value, list):
        return value[int(generator.integers(len(value)))]
    low, high = value["low"], value["high"]
    if isinstance(low, int) and isinstance(high, int) and not value.get("log"):
        return int(generator.integers(low, high + 1))
    if value.get("log"):
        return float(f"{math.exp(generator.uniform(math.log(low), math.log(high))):.6g}")
    return float(f"{generator.uniform(low, high):.6g}")


def _planned(
    path: Path,
    base: Mapping[str, Any],
    folder: Path,
    directory: Path,
    chosen: Sequence[Values],
) -> tuple[Planned, ...]:
    faults: dict[str, str] = {}
    found: dict[str, Planned] = {}
    keys = list(dict.fromkeys(key for values in chosen for key in values))
    for values in chosen:
        name = name_of(values, keys)
        if name in found and found[name].values == values:
            continue
        if name in found:  # of other values, which a directory cannot tell apart
            name = f"{name}-{_digest(str(values))}"
        table = deepcopy(dict(base))
        table.setdefault("run", {})
        try:
            for key, value in values.items():
                override(table, f"{key}={_written(value)}")
            if isinstance(table["run"], dict):
                table["run"]["directory"] = str((directory / name).absolute())
            config = parse_config(table, name, folder)
            if config.run.seeds > 1:
                raise PinnError("[run] seeds: of a sweep the runs are listed: run.seed = [0, 1, 2]")
            found[name] = Planned(name, values, config, table, folder)
        except ConfigError as error:
            for fault in error.faults:
                faults.setdefault(fault, name)
        except PinnError as error:
            faults.setdefault(str(error).replace("--set ", f"[{SWEEP}] ", 1), name)
    if faults:
        raise ConfigError(str(path), [f"{fault} (run {name})" for fault, name in faults.items()])
    return tuple(found.values())


def _written(value: Any) -> str:
    """As it stands behind a key in TOML."""
    return tomli_w.dumps({"value": value}).partition("=")[2].strip()


def name_of(values: Values, keys: Sequence[str]) -> str:
    """Such as "viscosity=0.01,seed=2": the last word of each key, all of it where two have the same."""
    words = [key.rpartition(".")[2] for key in keys]
    parts = []
    for key, value in values.items():
        word = key.rpartition(".")[2]
        parts.append(f"{word if words.count(word) == 1 else key}={_shown(value)}")
    name = ",".join(parts) or "run"
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{_digest(name)}"
    return name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _shown(value: Any) -> str:
    """Of letters that a directory may have everywhere."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^\w.+-]+", "_", text).strip("_") or "_"
