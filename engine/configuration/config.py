"""The configuration of a run: every part built, every option with a value; in what two differ."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from attrs import evolve, field, frozen
from attrs.validators import disabled

from pinn.core.domain import Box
from pinn.core.kinds import PointsOptions, StageOptions
from pinn.core.options import at_least, choice, option, unstructure
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Schedule, Weighting
from pinn.core.problem import Problem
from pinn.engine.configuration.until import Until

WATCHED = "watched"
"""The section of a `pinn.toml` that `pinn.engine.watch` wrote."""


UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no directory should have in its name: NUL, line ends, what is not Unicode."""


def usable(instance: Any, attribute: Any, directory: str | None) -> None:
    """An option that may name a directory."""
    if directory is None:
        return
    if not directory.strip() or UNUSABLE.search(directory):
        raise ValueError(f"expected the name of a directory, found {directory!r}")
    try:
        Path(directory).expanduser()
    except RuntimeError:
        raise ValueError(f"{directory!r} begins with the name of no user") from None


@frozen
class RunOptions:
    """The section [run]: where, how exactly and how often, whatever is trained."""

    directory: str | None = option(None, "where the run is kept; default runs/<file name>", usable)
    seed: int = option(0, "the one seed of all random numbers", at_least(0))
    seeds: int = option(
        1, "runs of this seed and the ones behind it, whose steps are made together", at_least(1)
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    precision: str = option("float32", "float32 or float64", choice("float32", "float64"))
    tf32: bool = option(
        False, "matrices of float32 multiplied to ten bits, where a GPU does that faster"
    )
    compile: str = option(
        "auto",
        "compile the step: auto (if the run is long enough), always, never",
        choice("auto", "always", "never"),
    )
    processes: int = option(
        1, "that compute a share of the points each, on this machine", at_least(1)
    )
    checkpoint: int = option(
        1000, "steps between checkpoints; one is written every second minute besides", at_least(1)
    )
    record: int = option(100, "steps between records of the loss", at_least(1))
    tensorboard: bool = option(False, "write what is recorded to RUN/tensorboard/, for TensorBoard")


@frozen
class ConditionOptions:
    """What stands beside the sampler of a condition that has one of its own."""

    points: int = option(help="of the condition", validator=at_least(1))


@frozen
class Collocation:
    """How points are drawn, and how many.

    Attributes:
        own: the samplers of the conditions that have one of their own, with their options.
    """

    sampler: Sampler
    options: PointsOptions
    own: Mapping[str, tuple[Sampler, ConditionOptions]]

    def of_condition(self, name: str) -> tuple[Sampler, int]:
        """How the points of this condition are drawn, and how many."""
        if name in self.own:
            sampler, own = self.own[name]
            return sampler, own.points
        counts: Any = self.options.conditions
        return self.sampler, counts if isinstance(counts, int) else counts[name]

    def table(self) -> dict[str, Any]:
        options = unstructure(self.options)
        if self.own:
            written = {
                name: {"sampler": sampler.name, **unstructure(own), **unstructure(sampler)}
                for name, (sampler, own) in self.own.items()
            }
            options["conditions"] = {**options["conditions"], **written}
        return {"sampler": self.sampler.name, **options, **unstructure(self.sampler)}


@frozen
class Stage:
    """An optimizer, when it is done, and what the loss is meanwhile.

    Attributes:
        points: the options of [points], but for what the stage sets itself.
        sampler: that of [points], or the stage's own.
        factors: of equations and conditions in this stage.
        problem: that of the run, but for the options that the stage sets itself.
        within: where all points of the stage lie; None: in the whole domain.
    """

    optimizer: Optimizer
    options: StageOptions
    until: Until | None
    points: PointsOptions
    factors: Mapping[str, float]
    problem: Problem
    sampler: Sampler
    within: Box | None = None

    @property
    def steps(self) -> int:
        return self.options.steps


@frozen
class Observer:
    """An analyzer, and when it measures."""

    analyzer: Analyzer
    schedule: Schedule

    def table(self) -> dict[str, Any]:
        """The analyzer as it stands in `[[analyzers]]`, every default written out."""
        return _named(self.analyzer) | unstructure(self.schedule)


@frozen
class Config:
    """A checked configuration: every part is built, every option has a value.

    Attributes:
        by_size: whether terms of the loss are divided by the squares of their sizes.
        balancing: the weighting that balances the terms of the loss, often `weighting` itself.
        start: the directory of the run whose network this one starts from; None: from random numbers.
        folder: where the run's directory, if relative, begins: what the working directory was.
    """

    run: RunOptions
    problem: Problem
    network: Network
    points: Collocation
    weighting: Weighting
    balancing: Weighting
    factors: Mapping[str, float]
    by_size: bool
    stages: tuple[Stage, ...]
    observers: tuple[Observer, ...]
    start: Path | None = None
    folder: Path = field(factory=Path.cwd, eq=False, repr=False)

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def points_of(self, stage: Stage) -> Collocation:
        """How the points of a stage are drawn."""
        return evolve(self.points, sampler=stage.sampler, options=stage.points)

    @property
    def parts(self) -> list[Any]:
        own = [stage.sampler for stage in self.stages]
        return [
            self.problem,
            self.network,
            self.points.sampler,
            *(sampler for sampler in own if sampler is not self.points.sampler),
            *(sampler for sampler, _ in self.points.own.values()),
            self.weighting,
            *([self.balancing] if self.balancing is not self.weighting else []),
            *(stage.optimizer for stage in self.stages),
            *(observer.analyzer for observer in self.observers),
        ]

    @property
    def directory(self) -> Path:
        return self.folder / Path(self.run.directory or "runs/run").expanduser()

    def table(self) -> dict[str, Any]:
        """The configuration as TOML tables, every default written out."""
        return {
            "run": unstructure(self.run),
            "problem": _named(self.problem),
            "network": _named(self.network) | self._started(),
            "points": self.points.table(),
            "weighting": _named(self.weighting)
            | self._balanced()
            | {"factors": dict(self.factors), "by_size": self.by_size},
            "optimizers": [_named(s.optimizer) | unstructure(s.options) for s in self.stages],
            "analyzers": [observer.table() for observer in self.observers],
        }

    def _balanced(self) -> dict[str, Any]:
        if self.balancing is self.weighting:
            return {}
        return {"balance": _named(self.balancing)}

    def _started(self) -> dict[str, str]:
        """Seen from the run's directory, so that both may be moved together and this one alone."""
        if self.start is None:
            return {}
        try:
            return {"start": Path(os.path.relpath(self.start, self.directory)).as_posix()}
        except ValueError:  # on another drive
            return {"start": self.start.as_posix()}

    def toml(self) -> str:
        return tomli_w.dumps(self.table())

    def in_directory(self, directory: Path) -> Config:
        with disabled():  # it is where it is, whatever it is called
            return evolve(self, run=evolve(self.run, directory=str(directory.absolute())))


def _named(part: Any) -> dict[str, Any]:
    return {"name": part.name, **unstructure(part)}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """The keys in which two configurations differ, with both values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, list) and isinstance(b, list):
            if key == "analyzers" and _names(a) and _names(b):
                a, b = dict(zip(_names(a), a, strict=True)), dict(zip(_names(b), b, strict=True))
                if [n for n in a if n in b] != [n for n in b if n in a]:
                    found.append(f"{path}{key}: in another order")
            else:
                a, b = _numbered(a), _numbered(b)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{path}{key}.")
        elif a != b:
            there, here = ("absent" if value is None else repr(value) for value in (a, b))
            found.append(f"{path}{key}: {there} there, {here} here")
    return found


def _names(values: list[Any]) -> list[str]:
    """Of tables that have names, no two the same; none otherwise."""
    named = (value.get("name") for value in values if isinstance(value, dict))
    names = [name for name in named if isinstance(name, str)]
    return names if len(set(names)) == len(values) else []


def _numbered(values: list[Any]) -> Any:
    """A list of tables as a table of them by their numbers; another list as it is."""
    tables = all(isinstance(value, dict) for value in values)
    return {str(i): value for i, value in enumerate(values)} if tables else values
