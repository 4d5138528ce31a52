"""The configuration of a run: `pinn.toml`, read strictly and written back with every default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli
import tomli_w
from attrs import evolve, frozen

from pinn.core.blame import fault, where
from pinn.core.errors import ConfigError, PinnError, nearest, one_of
from pinn.core.kinds import (
    SHARED_OPTIONS,
    PointsOptions,
    RunOptions,
    StageOptions,
    WeightingOptions,
)
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Weighting
from pinn.core.problem import Condition, Measurements, Problem
from pinn.core.registry import registry
from pinn.core.schedule import Schedule
from pinn.core.structure import Faults, structure, unstructure
from pinn.engine.configuration.overrides import override
from pinn.engine.configuration.until import Until, parse_until

WATCHED = "watched"
"""The section of a `pinn.toml` that `pinn.core.watch` wrote."""


@frozen
class Points:
    sampler: Sampler
    options: PointsOptions

    def conditions(self, name: str) -> int:
        counts = self.options.conditions
        return counts if isinstance(counts, int) else counts[name]


@frozen
class Stage:
    optimizer: Optimizer
    options: StageOptions
    until: Until | None

    @property
    def steps(self) -> int:
        return self.options.steps


@frozen
class Observer:
    analyzer: Analyzer
    schedule: Schedule

    def table(self) -> dict[str, Any]:
        """As it stands in `[[analyzers]]`, every default written out."""
        return _named(self.analyzer) | unstructure(self.schedule)


@frozen
class Config:
    """A checked configuration: every part is built, every option has a value."""

    run: RunOptions
    problem: Problem
    network: Network
    points: Points
    weighting: Weighting
    factors: Mapping[str, float]
    stages: tuple[Stage, ...]
    observers: tuple[Observer, ...]

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @property
    def parts(self) -> list[Any]:
        return [
            self.problem,
            self.network,
            self.points.sampler,
            self.weighting,
            *(stage.optimizer for stage in self.stages),
            *(observer.analyzer for observer in self.observers),
        ]

    @property
    def directory(self) -> Path:
        return Path(self.run.directory or "runs/run").expanduser()

    def table(self) -> dict[str, Any]:
        """The configuration as TOML tables, every default written out."""
        points = {"sampler": self.points.sampler.name, **unstructure(self.points.options)}
        return {
            "run": unstructure(self.run),
            "problem": _named(self.problem),
            "network": _named(self.network),
            "points": points | unstructure(self.points.sampler),
            "weighting": _named(self.weighting) | {"factors": dict(self.factors)},
            "optimizers": [_named(s.optimizer) | unstructure(s.options) for s in self.stages],
            "analyzers": [observer.table() for observer in self.observers],
        }

    def toml(self) -> str:
        return tomli_w.dumps(self.table())

    def in_directory(self, directory: Path) -> Config:
        return evolve(self, run=evolve(self.run, directory=str(directory)))


def _named(part: Any) -> dict[str, Any]:
    return {"name": part.name, **unstructure(part)}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a configuration file.

    Args:
        path: a TOML file.
        overrides: "section.key=value" as on the command line.

    Raises:
        PinnError: the file cannot be read.
        ConfigError: everything that is wrong in it, one line each.
    """
    path = Path(path)
    try:
        table = tomli.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise PinnError(f"{path}: there is no such file; `pinn init` writes one") from None
    except OSError as error:
        raise PinnError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PinnError(f"{path}: is not a UTF-8 text file ({error.reason})") from None
    except tomli.TOMLDecodeError as error:
        raise PinnError(f"{path}: is not valid TOML: {error}") from None
    run = table.setdefault("run", {})
    if isinstance(run, dict) and (path.parent / "environment.json").exists():
        run["directory"] = str(path.parent)  # the file of a run that was moved
    elif isinstance(run, dict):
        run.setdefault("directory", f"runs/{path.stem}")
    for text in overrides:
        override(table, text)
    return parse_config(table, str(path))


def parse_config(table: Mapping[str, Any], source: str = "configuration") -> Config:
    """The configuration that TOML tables describe; `source` names them in messages.

    Raises:
        PinnError: they describe a loop that was only watched.
        ConfigError: everything that is wrong, one line each.
    """
    if WATCHED in table:
        raise PinnError(
            f"{source}: describes a loop that was trained elsewhere and watched, so that it cannot be "
            "trained here; `pinn report` and `pinn compare` show its directory"
        )
    return _Reader(table, source).read()


def parse_analyzers(
    tables: Sequence[Mapping[str, Any]], source: str = "analyzers"
) -> tuple[Observer, ...]:
    """The analyzers that `[[analyzers]]` tables describe.

    Raises:
        ConfigError: everything that is wrong, one line each.
    """
    reader = _Reader({"analyzers": list(tables)}, source)
    observers = reader.observers()
    reader.check()
    assert observers is not None
    return observers


def parse_problem(name: str, options: Sequence[str] = ()) -> Problem:
    """The problem called `name`; `options` are "key=value".

    Raises:
        ConfigError: everything that is wrong, one line each.
    """
    table: dict[str, Any] = {"problem": {"name": name}}
    for option_text in options:
        key, equals, _ = option_text.partition("=")
        if not equals or not key.strip() or "." in key:
            raise PinnError(f"--set {option_text}: expected key=value, as in hard=true")
        override(table, f"problem.{option_text}")
    reader = _Reader(table, "problem")
    problem, _ = reader.part("[problem]", table["problem"], "problem")
    if reader.faults:
        raise ConfigError("problem", reader.faults)
    assert isinstance(problem, Problem)
    return problem


class _Reader:
    """Reads every section, collecting the faults of all."""

    SECTIONS = ("run", "problem", "network", "points", "weighting", "optimizers", "analyzers")

    def __init__(self, table: Mapping[str, Any], source: str) -> None:
        self.table = table
        self.source = source
        self.faults: list[str] = []
        self.part_missing = False

    def read(self) -> Config:
        for key, value in self.table.items():
            if key not in self.SECTIONS:
                what = f"[{key}]: unknown section"
                if not isinstance(value, dict | list):
                    what = f"{key}: unknown section, or a key that stands above its [section]"
                known = one_of(self.SECTIONS)
                self.faults.append(f"{what}{nearest(key, self.SECTIONS)}; known are {known}")
        run = self.options("[run]", self.section("run"), RunOptions)
        problem, _ = self.part("[problem]", self.section("problem"), "problem")
        network, _ = self.part("[network]", self.section("network", "mlp"), "network")
        sampler, points = self.part(
            "[points]", self.section("points", "lhs", "sampler"), "sampler", key="sampler"
        )
        weighting, weights = self.part(
            "[weighting]", self.section("weighting", "vanilla"), "weighting"
        )
        stages = [
            self.part(f"[[optimizers]] {i + 1}", table, "optimizer")
            for i, table in enumerate(self.sections("optimizers"))
        ]
        observers = self.observers()
        untils: list[Until | None] = []
        if observers is not None:
            events = [event for observer in observers for event in observer.analyzer.events]
            untils = [
                self.until(f"[[optimizers]] {i + 1} until", options, events)
                for i, (_, options) in enumerate(stages)
            ]
        if not self.table.get("optimizers"):
            self.faults.append("[[optimizers]]: is missing; at least one stage is needed")
        if not self.faults:
            self.check_names(problem, points, weights)
        self.check()
        return Config(
            run=run,
            problem=problem,
            network=network,
            points=Points(sampler, points),
            weighting=weighting,
            factors=weights.factors,
            stages=tuple(Stage(*stage, u) for stage, u in zip(stages, untils, strict=True)),
            observers=tuple(observers or ()),
        )

    def check(self) -> None:
        """Raise what was found to be wrong."""
        if self.part_missing:
            self.faults += registry().suspects()
        if self.faults:
            raise ConfigError(self.source, self.faults)

    def observers(self) -> tuple[Observer, ...] | None:
        """None where one of them cannot be built."""
        built = [
            self.part(f"[[analyzers]] {i + 1}", table, "analyzer")
            for i, table in enumerate(self.sections("analyzers"))
        ]
        found = tuple(Observer(a, o.schedule(a.schedule)) for a, o in built if a and o)
        if len(found) < len(built):
            return None
        self.check_needs([observer.analyzer for observer in found])
        return found

    def section(self, key: str, default: str | None = None, name: str = "name") -> dict[str, Any]:
        table = self.table.get(key, {})
        if not isinstance(table, dict):
            self.faults.append(f"{key}: expected a table [{key}], found {table!r}")
            table = {}
        return table if default is None or name in table else {name: default, **table}

    def sections(self, key: str) -> list[dict[str, Any]]:
        tables = self.table.get(key, [])
        if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
            return tables
        self.faults.append(f"{key}: expected tables [[{key}]], found {tables!r}")
        return []

    def options(self, where: str, table: Mapping[str, Any], cls: type[Any]) -> Any:
        try:
            return structure(table, cls)
        except Faults as error:
            self.faults += [f"{where} {path}".rstrip() + f": {m}" for path, m in error.faults]
            return None

    def part(
        self, where: str, table: Mapping[str, Any], kind: str, key: str = "name"
    ) -> tuple[Any, Any]:
        """The part that the table names, and the options that every part of its kind has."""
        name = table.get(key)
        if not isinstance(name, str):
            what = "is missing" if name is None else f"expected a string, found {name!r}"
            self.faults.append(f"{where} {key}: {what}; there are {self.known(kind)}")
            return None, None
        try:
            cls = registry().find(kind, name).cls
        except PinnError as error:
            self.faults.append(f"{where} {key}: {error}")
            self.part_missing = True
            return None, None
        common = SHARED_OPTIONS.get(kind)
        shared = {a.name for a in common.__attrs_attrs__} if common else set()  # type: ignore[attr-defined]
        own = {k: v for k, v in table.items() if k != key and k not in shared}
        options = {k: v for k, v in table.items() if k in shared}
        own_fields = {a.name for a in cls.__attrs_attrs__}
        for unknown in sorted(own.keys() - own_fields):
            known = own_fields | shared | {key}
            del own[unknown]
            self.faults.append(
                f"{where} {unknown}: unknown key{nearest(unknown, known)}; "
                f"{name} knows {one_of(known)}"
            )
        own_part = self.options(where, own, cls)
        return own_part, self.options(where, options, common) if common else None

    def check_needs(self, analyzers: Sequence[Analyzer]) -> None:
        """Every analyzer stands once, behind those whose records it reads."""
        before: list[str] = []
        for place, analyzer in enumerate(analyzers, 1):
            where = f"[[analyzers]] {place} {analyzer.name}"
            if analyzer.name in before:
                self.faults.append(f"{where}: stands there twice")
            for needed in analyzer.needs:
                if needed not in before:
                    self.faults.append(
                        f"{where}: reads what {needed!r} records: put [[analyzers]] "
                        f'name = "{needed}" above it'
                    )
            before.append(analyzer.name)

    def until(self, where: str, options: StageOptions | None, events: list[str]) -> Until | None:
        if options is None or options.until is None:
            return None
        try:
            return parse_until(options.until, options.patience, events)
        except PinnError as error:
            announced = registry().announcers(options.until)
            add = (
                f"; put [[analyzers]] name = {one_of(announced)} into the file" if announced else ""
            )
            self.faults.append(f"{where}: {error}{add}")
            return None

    @staticmethod
    def known(kind: str) -> str:
        return one_of(part.name for part in registry().parts(kind))

    def check_names(
        self, problem: Problem, points: PointsOptions, weights: WeightingOptions
    ) -> None:
        try:
            conditions: dict[str, Condition] = {}
            measured: list[str] = []
            for condition in problem.conditions():
                if condition.name in (*conditions, *measured):
                    raise PinnError(f"two conditions are called {condition.name!r}")
                if isinstance(condition, Measurements):
                    condition.table(problem.domain)
                    measured.append(condition.name)
                    continue
                if not condition.on:
                    raise PinnError(f"condition {condition.name!r} is on no face")
                conditions[condition.name] = condition
                for face in condition.on:
                    problem.domain.face(face)
        except PinnError as error:
            self.faults.append(f"[problem] {problem.name}: {error}{where(error, problem)}")
            return
        except Exception as error:  # whatever the problem does wrong
            self.faults.append(
                f"[problem] {problem.name}: its conditions fail: {fault(error, problem)}"
            )
            return
        if isinstance(points.conditions, dict):
            self.same_names("[points.conditions]", points.conditions, conditions)
            counts = points.conditions
        else:
            counts = dict.fromkeys(conditions, points.conditions)
        for name, count in counts.items():
            if count < 1:
                self.faults.append(
                    f"[points] conditions: expected at least 1, found {count} ({name})"
                )
        for name, factor in weights.factors.items():
            if factor < 0:
                self.faults.append(
                    f"[weighting.factors] {name}: expected at least 0, found {factor}"
                )

    def same_names(self, where: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        for name in given:
            if name not in expected:
                self.faults.append(
                    f"{where} {name}: no such condition{nearest(name, expected)}; "
                    f"there are {one_of(expected)}"
                )
        for name in expected:
            if name not in given:
                self.faults.append(f"{where} {name}: is missing")
