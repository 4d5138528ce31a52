"""From tables to a configuration, strictly: every fault is found, and told by section and key."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli
from attrs import evolve, fields

from pinn.core.blame import explained, suffix
from pinn.core.discovery import registry
from pinn.core.domain import Box
from pinn.core.errors import ConfigError, PinnError, Whence, nearest, one_of, unknown_keys
from pinn.core.files import read_file
from pinn.core.kinds import (
    KINDS,
    Kind,
    NetworkOptions,
    PointsOptions,
    StageOptions,
    WeightingOptions,
)
from pinn.core.options import Faults, key_of, located, options, refusal, structure
from pinn.core.parts import Analyzer, Optimizer, Sampler
from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.engine.configuration.config import (
    WATCHED,
    Collocation,
    ConditionOptions,
    Config,
    Observer,
    RunOptions,
    Stage,
    usable,
)
from pinn.engine.configuration.generators import generators_kept
from pinn.engine.configuration.overrides import override
from pinn.engine.configuration.until import Until, parse_until

SWEEP = "sweep"
"""The section that describes many runs, which others read."""
SECTIONS = ("run", *(kind.section for kind in KINDS.values()))
DEEPEST = 8
"""Levels of tables and lists."""
DEFAULTS = {"network": "mlp", "sampler": "lhs", "weighting": "vanilla"}
"""The part of a kind that is meant where none is named."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a configuration file.

    Args:
        path: a TOML file.
        overrides: "section.key=value" as on the command line.

    Options that are paths of files, such as those of data, begin in the folder of this file.

    Raises:
        PinnError: the file cannot be read.
        ConfigError: everything that is wrong in it, one line each.
    """
    path = Path(path)
    content = read_file(path)
    if content is None:
        raise PinnError(f"{path}: there is no such file; `pinn init` writes one")
    table = parse_toml(content, path)
    run = table.setdefault("run", {})
    if isinstance(run, dict) and _is_of_a_run(path):
        run["directory"] = str(path.parent)  # it may have been moved
    elif isinstance(run, dict):
        run.setdefault("directory", f"runs/{path.stem}")
    for text in overrides:
        override(table, text)
    return parse_config(table, str(path), path.parent)


def _is_of_a_run(path: Path) -> bool:
    """Whether a run wrote this file into its directory, and not something else happens to lie there."""
    beside = path.parent / "environment.json", path.parent / "checkpoints"
    return path.name == "pinn.toml" and beside[0].exists() and beside[1].is_dir()


def parse_toml(content: bytes, source: Path) -> dict[str, Any]:
    """The tables of a TOML file, with or without a byte order mark.

    Raises:
        PinnError: it is none, or none that a person would write.
    """
    try:
        return tomli.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise PinnError(f"{source}: is not a UTF-8 text file ({error.reason})") from None
    except RecursionError:
        raise PinnError(f"{source}: its tables are nested too deeply") from None
    except ValueError as error:  # its own, and Python's of integers with thousands of digits
        raise PinnError(f"{source}: is not valid TOML: {error}") from None


def parse_config(
    table: Mapping[str, Any], source: str = "configuration", folder: str | Path = "."
) -> Config:
    """The configuration that TOML tables describe; `source` names them in messages.

    Args:
        folder: where relative paths of files and of other runs begin.

    Raises:
        PinnError: they describe a loop that was only watched.
        ConfigError: everything that is wrong, one line each.
    """
    if not _at_most_deep(table, DEEPEST):
        raise PinnError(f"{source}: its tables are nested too deeply")
    if WATCHED in table:
        raise PinnError(
            f"{source}: describes a loop that was trained elsewhere and watched, so that it cannot be "
            "trained here; `pinn report` and `pinn compare` show its directory"
        )
    return _Reader(table, source, Path(folder)).read()


def _at_most_deep(table: Any, levels: int) -> bool:
    inside = list(table.values()) if isinstance(table, Mapping) else table
    if not isinstance(inside, list):
        return True
    return levels > 0 and all(_at_most_deep(value, levels - 1) for value in inside)


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
    problem, _ = reader.part("problem")
    if reader.faults:
        raise ConfigError("problem", reader.faults)
    assert isinstance(problem, Problem)
    return problem


def fault_lines(where: str, error: Faults) -> list[str]:
    """Each fault of a table as a line that begins with its section, `where`, and its key."""
    return [
        f"{where} {path}".rstrip() + f": {refusal(fault) or explained(fault)}"
        for path, fault in error.faults
    ]


class _Reader:
    """Reads every section, collecting the faults of all."""

    def __init__(self, table: Mapping[str, Any], source: str, folder: Path = Path()) -> None:
        self.table = table
        self.source = source
        self.folder = folder.absolute()
        self.faults: list[str] = []
        self.part_missing = False

    def read(self) -> Config:
        self.check_sections()
        run = self.options("[run]", self.section("run"), RunOptions)
        problem, _ = self.part("problem")
        network, started = self.part("network")
        start = self.start(started)
        sampler, points = self.part("sampler")
        own = self.condition_samplers(points)
        weighting, weights = self.part("weighting")
        balancing = self.balancing(weighting, weights)
        stages = self.parts("optimizer")
        problems = [
            self.stage_problem(f"[[optimizers]] {place} problem", options, problem)
            for place, (_, options) in enumerate(stages, 1)
        ]
        parts = [
            self.part_of_domain(f"[[optimizers]] {place} within", options, problem)
            for place, (_, options) in enumerate(stages, 1)
        ]
        samplers = [
            self.stage_sampler(f"[[optimizers]] {place}", options, sampler)
            for place, (_, options) in enumerate(stages, 1)
        ]
        self.check_inherited(stages)
        observers = self.observers()
        untils: list[Until | None] = []
        if observers is not None:
            events = [event for observer in observers for event in observer.analyzer.events]
            untils = [
                self.until(f"[[optimizers]] {i} until", options, events)
                for i, (_, options) in enumerate(stages, 1)
            ]
        if not self.table.get("optimizers"):
            self.faults.append("[[optimizers]]: is missing; at least one stage is needed")
        if not self.faults:
            with generators_kept():
                conditions = self.conditions(problem)
            if conditions is not None:
                self.check_counts(points, conditions)
                for place, other in enumerate(problems, 1):
                    if other is not problem:
                        self.same_conditions(f"[[optimizers]] {place} problem", other, conditions)
                self.check_factors("[weighting.factors]", weights.factors)
                for place, (_, options) in enumerate(stages, 1):
                    self.check_factors(f"[[optimizers]] {place} factors", options.factors or {})
        self.check()
        return Config(
            run=run,
            problem=problem,
            network=network,
            points=Collocation(sampler, points, own),
            weighting=weighting,
            balancing=balancing,
            factors=weights.factors,
            by_size=weights.by_size,
            stages=tuple(
                _stage(*stage, until, points, weights, *where)
                for stage, until, *where in zip(
                    stages, untils, problems, samplers, parts, strict=True
                )
            ),
            observers=tuple(observers or ()),
            start=start,
        )

    def check(self) -> None:
        """Raise what was found to be wrong."""
        if self.part_missing:
            self.faults += registry().suspects()
        if self.faults:
            raise ConfigError(self.source, self.faults)

    def check_sections(self) -> None:
        for key, near in unknown_keys(self.table.keys() - set(SECTIONS), SECTIONS):
            what = f"[{key}]: unknown section"
            if key == SWEEP:
                self.faults.append(f"[{key}]: describes many runs: train them with `pinn sweep`")
                continue
            if not isinstance(self.table.get(key, {}), dict | list):
                what = f"{key}: unknown section, or a key that stands above its [section]"
            self.faults.append(f"{what}{near}; known are {one_of(SECTIONS)}")

    def start(self, options: NetworkOptions | None) -> Path | None:
        """The directory of the run whose network this one starts from."""
        if options is None or options.start is None:
            return None
        try:
            usable(None, None, options.start)
        except ValueError as error:
            self.faults.append(f"[network] start: {error}")
            return None
        return Path(os.path.abspath(self.folder / Path(options.start).expanduser()))

    def condition_samplers(
        self, points: PointsOptions | None
    ) -> dict[str, tuple[Any, ConditionOptions]]:
        """The samplers of the conditions that name one, and how many points each draws."""
        if points is None or isinstance(points.conditions, int):
            return {}
        of = evolve(KINDS["sampler"], options=ConditionOptions)
        return {
            name: self.built(f"[points.conditions.{name}]", table, of)
            for name, table in points.conditions.items()
            if isinstance(table, dict)
        }

    def balancing(self, weighting: Any, weights: WeightingOptions | None) -> Any:
        """The weighting that balances the terms of the loss."""
        if weights is None or weights.balance is None:
            return weighting
        where = "[weighting.balance]"
        part, _ = self.built(where, weights.balance, evolve(KINDS["weighting"], options=None))
        if part is not None and not part.balanced_every():
            self.faults.append(f"{where} name: {part.name} weighs points, and balances no terms")
        return part

    def observers(self) -> tuple[Observer, ...] | None:
        """The analyzers and their schedules; None where one of them cannot be built."""
        built = self.parts("analyzer")
        found = tuple(Observer(a, o.schedule(a.schedule)) for a, o in built if a and o)
        if len(found) < len(built):
            return None
        self.check_needs([observer.analyzer for observer in found])
        return found

    def section(self, key: str) -> dict[str, Any]:
        table = self.table.get(key, {})
        if isinstance(table, dict):
            return table
        self.faults.append(f"{key}: expected a table [{key}], found {table!r}")
        return {}

    def sections(self, key: str) -> list[dict[str, Any]]:
        tables = self.table.get(key, [])
        if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
            return tables
        self.faults.append(f"{key}: expected tables [[{key}]], found {tables!r}")
        return []

    def part(self, kind: str) -> tuple[Any, Any]:
        """The one part of this kind, and the options that every part of its kind has."""
        of = KINDS[kind]
        table = self.section(of.section)
        if kind in DEFAULTS:
            table = {of.key: DEFAULTS[kind], **table}
        return self.built(f"[{of.section}]", table, of)

    def parts(self, kind: str) -> list[tuple[Any, Any]]:
        """The same for a kind of which there are several."""
        of = KINDS[kind]
        return [
            self.built(f"[[{of.section}]] {place}", table, of)
            for place, table in enumerate(self.sections(of.section), 1)
        ]

    def built(self, where: str, table: Mapping[str, Any], kind: Kind) -> tuple[Any, Any]:
        name = table.get(kind.key)
        if not isinstance(name, str):
            what = "is missing" if name is None else f"expected a string, found {name!r}"
            known = one_of(part.name for part in registry().parts(kind.name))
            self.faults.append(f"{where} {kind.key}: {what}; there are {known}")
            return None, None
        try:
            cls = registry().find(kind.name, name).cls
        except PinnError as error:
            self.faults.append(f"{where} {kind.key}: {error}")
            self.part_missing = True
            return None, None
        own = {key_of(field) for field in fields(cls)}
        shared = {key_of(field) for field in options(kind.options)} if kind.options else set()
        known_keys = {kind.key} | own | shared
        for unknown, near in unknown_keys(table.keys() - known_keys, known_keys):
            self.faults.append(
                f"{where} {unknown}: unknown key{near}; {name} knows {one_of(known_keys)}"
            )
        given = _only(table, own - shared - {kind.key})
        part = self.options(where, located(given, cls, self.folder), cls)
        if kind.options is None:
            return part, None
        return part, self.options(where, _only(table, shared), kind.options)

    def options(self, where: str, table: Mapping[str, Any], cls: type[Any]) -> Any:
        try:
            return structure(table, cls)
        except Faults as error:
            self.faults += fault_lines(where, error)
            return None

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

    def stage_problem(
        self, where: str, options: StageOptions | None, problem: Problem | None
    ) -> Any:
        """The problem with the options that a stage sets itself."""
        if problem is None or options is None or not options.problem:
            return problem
        kind = KINDS["problem"]
        if kind.key in options.problem:
            self.faults.append(
                f"{where} {kind.key}: a stage may set other options of the same problem"
            )
            return None
        table = {**self.section(kind.section), **options.problem}
        found, _ = self.built(where, table, kind)
        if found is not None and (
            found.fields != problem.fields or found.domain.intervals != problem.domain.intervals
        ):
            self.faults.append(
                f"{where}: would change the fields or the domain, to which the network is built"
            )
            return None
        return found

    def stage_sampler(self, where: str, options: StageOptions | None, sampler: Any) -> Any:
        """The sampler of a stage: that of [points], unless it names another one."""
        if options is None or options.sampler is None or sampler is None:
            return sampler
        if options.sampler == sampler.name:
            return sampler
        kind = evolve(KINDS["sampler"], options=None)
        found, _ = self.built(where, {kind.key: options.sampler}, kind)
        return found

    def check_inherited(self, stages: Sequence[tuple[Any, StageOptions | None]]) -> None:
        """What a stage inherits is of the same optimizer, of the same parameters."""
        for place, (optimizer, own) in enumerate(stages, 1):
            if own is None or not own.inherit:
                continue
            before, its = stages[place - 2] if place > 1 else (None, None)
            if optimizer != before or its is None or its.parameters != own.parameters:
                self.faults.append(
                    f"[[optimizers]] {place} inherit: the stage before has no such optimizer, or one "
                    "with other options or parameters"
                )

    def part_of_domain(
        self, where: str, options: StageOptions | None, problem: Problem | None
    ) -> Box | None:
        """The box that a stage keeps its points in."""
        if problem is None or options is None or options.within is None:
            return None
        intervals = dict(problem.domain.intervals)
        for name, ends in options.within.items():
            if name not in intervals:
                self.faults.append(
                    f"{where}: there is no coordinate {name!r}{nearest(name, intervals)}; there are "
                    f"{one_of(intervals)}"
                )
                return None
            low, high = intervals[name]
            if len(ends) != 2 or not low <= ends[0] < ends[1] <= high:
                self.faults.append(
                    f"{where} {name}: expected an interval in [{low:g}, {high:g}], found {ends}"
                )
                return None
            intervals[name] = ends[0], ends[1]
        return Box(**intervals)

    def conditions(self, problem: Problem) -> dict[str, Condition] | None:
        """The conditions that need points, by name; None where one of the problem's is wrong."""
        where = f"[problem] {problem.name}"
        found: dict[str, Condition] = {}
        measured: list[str] = []
        try:
            for condition in conditions_of(problem):
                if condition.name in (*found, *measured):
                    raise PinnError(f"two conditions are called {condition.name!r}")
                if isinstance(condition, Measurements):
                    condition.table(problem.domain)
                    measured.append(condition.name)
                    continue
                if condition.at is not None:
                    condition.given(problem.domain)
                    measured.append(condition.name)
                    continue
                if not condition.on:
                    raise PinnError(f"condition {condition.name!r} is on no face")
                found[condition.name] = condition
                problem.domain.faces(condition.on)
        except PinnError as error:
            self.faults.append(f"{where}: {error}{suffix(Whence(problem, error))}")
            return None
        except Exception as error:  # whatever the problem does wrong
            self.faults.append(f"{where}: its conditions fail: {explained(error, problem)}")
            return None
        return found

    def same_conditions(
        self, where: str, problem: Problem, expected: Mapping[str, Condition]
    ) -> None:
        found = self.conditions(problem)
        if found is not None and found.keys() != expected.keys():
            self.faults.append(
                f"{where}: with it the conditions are {one_of(found)}, and otherwise {one_of(expected)}"
            )

    def check_counts(self, points: PointsOptions, conditions: Mapping[str, Condition]) -> None:
        """Every condition has points, in number or by name."""
        counts = points.conditions
        if isinstance(counts, int):
            counts = dict.fromkeys(conditions, counts)
        else:
            self.same_names("[points.conditions]", counts, conditions)
        for name, count in counts.items():
            if isinstance(count, int) and count < 1:
                self.faults.append(
                    f"[points] conditions: expected at least 1, found {count} ({name})"
                )

    def check_factors(self, where: str, factors: Mapping[str, float]) -> None:
        for name, factor in factors.items():
            if factor < 0:
                self.faults.append(f"{where} {name}: expected at least 0, found {factor}")

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


def _stage(
    optimizer: Optimizer,
    options: StageOptions,
    until: Until | None,
    points: PointsOptions,
    weights: WeightingOptions,
    problem: Problem,
    sampler: Sampler,
    within: Box | None,
) -> Stage:
    own = {name: getattr(options, name) for name in ("interior", "redraw", "undo", "chunk")}
    given = {name: value for name, value in own.items() if value is not None}
    factors = weights.factors if options.factors is None else options.factors
    own_points = evolve(points, **given)
    return Stage(optimizer, options, until, own_points, factors, problem, sampler, within)


def _only(table: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in names}
