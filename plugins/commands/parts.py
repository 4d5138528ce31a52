"""What `pinn describe` says of a part."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import attrs

from pinn.core.kinds import SHARED_OPTIONS
from pinn.core.registry import Part
from pinn.core.structure import options

Row = tuple[str, str, str, str]


def description(part: Part) -> str:
    """Origin, documentation, its own options and those of its kind."""
    sections = [
        f"{part.kind} {part.name}  [{part.origin}]",
        inspect.cleandoc(part.cls.__doc__ or ""),
        _table("options:", part.cls),
    ]
    if part.kind in SHARED_OPTIONS:
        own = attrs.asdict(part.cls.schedule) if part.kind == "analyzer" else {}
        sections.append(_table(f"options of every {part.kind}:", SHARED_OPTIONS[part.kind], own))
    return "\n\n".join(section for section in sections if section)


def _table(title: str, cls: type[Any], defaults: Mapping[str, Any] | None = None) -> str:
    """`defaults` of this part, where they differ from those of the class."""
    found = rows(cls, defaults)
    if not found:
        return ""
    widths = [max(len(row[i]) for row in found) for i in range(3)]
    lines = [
        "  ".join(["", *(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in found
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])


def rows(cls: type[Any], defaults: Mapping[str, Any] | None = None) -> list[Row]:
    """Name, type, default and help of each option; `defaults` where they differ from the class."""
    return [_row(field, defaults or {}) for field in options(cls)]


def _row(field: attrs.Attribute[Any], defaults: Mapping[str, Any]) -> Row:
    default = defaults.get(field.name, field.default)
    if isinstance(default, tuple):
        default = list(default)
    elif default is not None and isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    shown = "required" if default is attrs.NOTHING else "" if default is None else repr(default)
    type_ = field.type or ""
    kind = type_.__name__ if isinstance(type_, type) else str(type_)  # list[str], float | None
    return (
        field.name,
        kind,
        shown.lower() if kind == "bool" else shown,
        field.metadata.get("help", ""),
    )
