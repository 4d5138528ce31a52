"""The `pinn.toml` of a loop that was trained elsewhere: what it is, and which analyzers look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w
from attrs import frozen

from pinn.core.errors import ConfigError
from pinn.core.options import Faults, option, structure, unstructure
from pinn.engine.configuration.config import WATCHED, Observer
from pinn.engine.configuration.reader import fault_lines, parse_analyzers


@frozen(kw_only=True)
class WatchedOptions:
    """The section [watched]."""

    name: str = option(help="what reports call it")
    framework: str | None = option(None, "the package that trains it")
    optimizer: str = option(help="the class of the optimizer")
    parameters: int = option(help="numbers that are trained")
    points: int = option(help="points whose residuals are looked at")
    coordinates: list[str] = option(help="names of the coordinates of a point")
    device: str = option(help="where the parameters are")
    precision: str = option(help="their number format")
    record: int = option(help="steps between records of the loss")
    steps: int | None = option(None, "steps that the loop is to make, if it said so")


@frozen
class Watched:
    """A loop that was trained elsewhere."""

    options: WatchedOptions
    observers: tuple[Observer, ...]

    def table(self) -> dict[str, Any]:
        """The description as TOML tables, every default written out."""
        return {
            WATCHED: unstructure(self.options),
            "analyzers": [observer.table() for observer in self.observers],
        }

    def toml(self) -> str:
        return tomli_w.dumps(self.table())


def parse_watched(table: Mapping[str, Any], source: str) -> Watched:
    """What `Watched.table` wrote.

    Raises:
        ConfigError: everything that is wrong, one line each.
    """
    try:
        options = structure(table[WATCHED], WatchedOptions)
    except Faults as error:
        raise ConfigError(source, fault_lines(f"[{WATCHED}]", error)) from None
    return Watched(options, parse_analyzers(table.get("analyzers", ()), source))
