"""Which analyzers can measure a loop: tried once before it begins, so that what lacks is told then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

from pinn.core.discovery import registry
from pinn.core.errors import ConfigError, PinnError, Unavailable
from pinn.core.view import View
from pinn.engine.configuration.config import Observer
from pinn.engine.configuration.reader import parse_analyzers
from pinn.engine.watching.solution import KnownSolution

NO_SOLUTION = 'needs a solution: pass solution={"u": a function of the points, or an array}'

Asked = Sequence[str | Mapping[str, Any]]


def asked_for(analyzers: Asked, view: View, solution: KnownSolution) -> tuple[Observer, ...]:
    """These analyzers, those whose records others read first.

    Raises:
        ConfigError: one is unknown, has unknown options, or needs what is not there.
    """
    tables = [{"name": a} if isinstance(a, str) else dict(a) for a in analyzers]
    observers = parse_analyzers(_in_order(tables), "watch")
    faults = []
    for observer in observers:
        try:
            lacks = _missing(observer, view, solution)
        except PinnError:
            raise
        except Exception:  # it may yet measure; if not, that is told at its first measurement
            continue
        if lacks:
            faults.append(f"{observer.analyzer.name} {lacks}")
    if faults:
        raise ConfigError("watch", faults)
    return observers


def installed_ones(view: View, solution: KnownSolution) -> tuple[tuple[Observer, ...], list[str]]:
    """All installed analyzers that can measure here, with their defaults; and why others cannot."""
    names = [name for kind, name in registry().offers if kind == "analyzer"]
    chosen: dict[str, Observer] = {}
    lacking = []
    for table in _in_order([{"name": name} for name in names]):
        name = table["name"]
        absent = [needed for needed in _needs(name) if needed not in chosen]
        try:
            analyzer = registry().find("analyzer", name).cls()
            observer = Observer(analyzer, analyzer.schedule)
            lacks = f"needs {absent[0]!r}" if absent else _missing(observer, view, solution)
        except Exception as error:  # two offer it, an option has no default, or it fails
            lacks = f"fails: {type(error).__name__}: {error}"
        if lacks:
            lacking.append(f"{name} {lacks}")
        else:
            chosen[name] = observer
    return tuple(chosen.values()), lacking


def _in_order(tables: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The same, those whose records others read first."""
    given = {str(table.get("name")): table for table in tables}
    if len(given) < len(tables):
        return tables  # reading them says that one stands there twice
    needs = {name: [n for n in _needs(name) if n in given] for name in given}
    return [given[name] for name in TopologicalSorter(needs).static_order()]


def _needs(name: str) -> Sequence[str]:
    offered = registry().offers.get(("analyzer", name), ())
    return offered[0].cls.needs if offered else ()


def _missing(observer: Observer, view: View, solution: KnownSolution) -> str:
    """What the analyzer lacks; nothing if it can measure. Raises what it raises."""
    solution.asked = False
    try:
        found = observer.analyzer.measure(view)
    except Unavailable as error:
        return str(error)
    return NO_SOLUTION if solution.asked and not found else ""
