"""`pinn list` and `pinn describe`."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from pinn.core import PinnError
from pinn.core.discovery import registry
from pinn.core.errors import nearest, one_of
from pinn.core.kinds import KINDS
from pinn.core.options import key_of, options, type_name
from pinn.core.registry import Part

OptionRow = tuple[str, str, str, str]


@click.command("list")
def list_parts() -> None:
    """Show all parts that are installed, and plugins that are broken."""
    found = registry()
    parts = found.parts()
    width = max((len(part.name) for part in parts), default=0)
    columns = shutil.get_terminal_size((100, 24)).columns
    for kind in KINDS:
        click.echo(f"{kind}:")
        for part in found.parts(kind):
            line = f"  {part.name:<{width}}  {part.summary}"
            origin = f"  [{part.origin}]"
            room = max(columns - len(origin), 40)
            click.echo((line if len(line) <= room else line[: room - 1] + "…") + origin)
    for problem in [*map(str, found.broken), *found.conflicts()]:
        click.echo(f"broken: {problem}", err=True)
    for problem in found.unmatched:
        click.echo(f"warning: {problem}", err=True)


@click.command()
@click.argument("name")
def describe(name: str) -> None:
    """Show the options of the part called NAME."""
    parts = [part for part in registry().parts() if part.name == name]
    if not parts:
        names = {part.name for part in registry().parts()}
        missing = f"no part is called {name!r}{nearest(name, names)}; there are {one_of(names)}"
        raise PinnError("\n".join([missing, *registry().suspects()]))
    click.echo("\n\n".join(map(description, parts)))


def description(part: Part) -> str:
    """Origin, documentation, its own options and those of its kind."""
    sections = [
        f"{part.kind} {part.name}  [{part.origin}]",
        inspect.cleandoc(part.cls.__doc__ or ""),
        _table("options:", part.cls),
    ]
    shared = KINDS[part.kind].options
    if shared is not None:
        own = attrs.asdict(part.cls.schedule) if part.kind == "analyzer" else {}
        sections.append(_table(f"options of every {part.kind}:", shared, own))
    return "\n\n".join(section for section in sections if section)


def _table(title: str, cls: type[Any], defaults: Mapping[str, Any] | None = None) -> str:
    """`defaults` of this part, where they differ from those of the class."""
    found = option_rows(cls, defaults)
    if not found:
        return ""
    widths = [max(len(row[i]) for row in found) for i in range(3)]
    lines = [
        "  ".join(["", *(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in found
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])


def option_rows(cls: type[Any], defaults: Mapping[str, Any] | None = None) -> list[OptionRow]:
    """Name, type, default and help of each option; `defaults` where they differ from the class."""
    return [_row(field, defaults or {}) for field in options(cls)]


def _row(field: attrs.Attribute[Any], defaults: Mapping[str, Any]) -> OptionRow:
    default = defaults.get(field.name, field.default)
    if isinstance(default, tuple):
        default = list(default)
    elif default is not None and isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    if isinstance(default, Path):
        default = str(default)
    shown = "required" if default is attrs.NOTHING else "" if default is None else repr(default)
    kind = type_name(field.type or "")
    return (
        key_of(field),
        kind,
        shown.lower() if kind == "bool" else shown,
        field.metadata.get("help", ""),
    )
