"""A run of which a part is not installed: what its `pinn.toml` says, and the analyzers that are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from pinn.core.discovery import registry
from pinn.core.errors import ConfigError, PinnError
from pinn.core.kinds import KINDS, Kind
from pinn.engine.configuration.config import WATCHED, Config, Observer
from pinn.engine.configuration.reader import parse_analyzers
from pinn.engine.configuration.watched import Watched


@frozen
class Unbuilt:
    """What can be shown of a run is what was measured.

    Attributes:
        observers: the analyzers that are installed, and need none that is not.
        lacking: what is not, in a sentence.
    """

    table: Mapping[str, Any]
    observers: tuple[Observer, ...]
    lacking: str

    def named(self, kind: str) -> list[str]:
        """The parts of a kind that the run is made of."""
        return [table[KINDS[kind].key] for table in _tables(self.table, KINDS[kind])]

    def said(self, section: str, key: str) -> Any:
        """What stands there; None where nothing does."""
        table = self.table.get(section)
        return table.get(key) if isinstance(table, Mapping) else None


Described = Config | Watched | Unbuilt
"""What a report is of."""


def unbuilt(table: Mapping[str, Any], source: str, error: ConfigError) -> Unbuilt:
    """As much of a run as is installed.

    Raises:
        ConfigError: nothing is missing: the `error` that its configuration gave.
    """
    missing = [
        f"{kind.name} {named[kind.key]!r}"
        for kind in KINDS.values()
        for named in _tables(table, kind)
        if not _installed(kind.name, named[kind.key])
    ]
    if not missing:
        raise error
    are = "is" if len(missing) == 1 else "are"
    lacking = (
        f"{source}: {' and '.join(missing)} {are} not installed here; what only that code can tell of "
        "the run is not shown"
    )
    return Unbuilt(table, _observers(_tables(table, KINDS["analyzer"]), source), lacking)


def _tables(table: Mapping[str, Any], kind: Kind) -> Iterator[Mapping[str, Any]]:
    """Those of a section that name a part."""
    if WATCHED in table and kind.name != "analyzer":
        return
    found = table.get(kind.section, ())
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, Mapping) and isinstance(each.get(kind.key), str):
            yield each


def _installed(kind: str, name: str) -> bool:
    try:
        registry().find(kind, name)
    except PinnError:
        return False
    return True


def _observers(tables: Iterator[Mapping[str, Any]], source: str) -> tuple[Observer, ...]:
    kept: Sequence[Mapping[str, Any]] = []
    found: tuple[Observer, ...] = ()
    for each in tables:
        try:
            found = parse_analyzers([*kept, each], source)
        except ConfigError:
            continue
        kept = [*kept, each]
    return found
