"""What the reference says of parts, options and commands, taken from the program as the site is built.

A page says where: `<!-- generated: parts network -->`. MkDocs calls `on_page_markdown` for every page.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Any

import attrs
import click

from pinn.core.discovery import registry
from pinn.core.kinds import KINDS
from pinn.core.registry import Part
from pinn.engine.cli import commands
from pinn.engine.configuration.config import RunOptions
from pinn.plugins.commands.parts import OptionRow, option_rows
from pinn.testing.declaration import DECLARATION

MARKER = re.compile(r"<!-- generated: (?P<what>\w+) ?(?P<of>[\w-]*) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its markers replaced.

    Raises:
        KeyError: a marker names nothing that can be generated.
    """
    return MARKER.sub(lambda marker: GENERATED[marker["what"]](marker["of"]), markdown)


def parts(kind: str) -> str:
    """Every installed part of a kind: what it is, its options, where it comes from."""
    return "\n\n".join(map(_part, registry().parts(kind)))


def _part(part: Part) -> str:
    summary, *more = re.split(r"\n\n", cleandoc(part.cls.__doc__ or ""))
    measured = [_measured(part.cls.schedule)] if part.kind == "analyzer" else []
    own = option_rows(part.cls)
    table = options_table(own) if own else "It has no options of its own."
    module = f"`{part.cls.__module__}.{part.cls.__name__}`, {part.origin.distribution}"
    heading = f"## {part.name} {{ #{part.name} }}"
    return "\n\n".join(
        [heading, f"**{escaped(summary)}**", *map(escaped, more), *measured, table, module]
    )


def problem(name: str) -> str:
    """The options of one problem."""
    return options_table(option_rows(registry().find("problem", name).cls))


def _measured(schedule: Any) -> str:
    table = attrs.asdict(schedule) | {"at": list(schedule.at)}
    shown = ", ".join(f"`{name} = {value}`" for name, value in table.items())
    return f"Unless [the configuration](configuration.md#analyzers) says otherwise: {shown}."


def shared(kind: str) -> str:
    """The options that stand beside a part's own, for every part of a kind."""
    options = KINDS[kind].options
    assert options is not None
    return options_table(option_rows(options))


def run(_: str) -> str:
    return options_table(option_rows(RunOptions))


def options_table(options: list[OptionRow]) -> str:
    lines = ["| option | type | default | |", "|---|---|---|---|"]
    for name, type_, default, help_text in options:
        shown = default if default in ("", "required") else f"`{default.replace(chr(39), chr(34))}`"
        lines.append(f"| `{name}` | {escaped(type_)} | {shown} | {escaped(help_text)} |")
    return "\n".join(lines)


def checks(kind: str) -> str:
    """What the conformance kit checks of a kind; the names of its checks are sentences."""
    found = list(DECLARATION)
    if kind != "any":
        folder = ".checks" if kind in ("problem", "analyzer") else ""
        module = import_module(f"pinn.testing.{kind}s{folder}")
        found = [*module.CHECKS, *getattr(module, "HARD_CHECKS", ())]
    return "\n".join(f"- {name.replace('_', ' ')}" for name in dict.fromkeys(map(_name, found)))


def _name(check: Callable[..., None]) -> str:
    return check.__name__


def command_line(_: str) -> str:
    """Every command of `pinn`, those of plugins included."""
    context = click.Context(commands, info_name="pinn")
    found = ((n, commands.get_command(context, n)) for n in commands.list_commands(context))
    return "\n\n".join(_command(name, command) for name, command in found if command)


def _command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"pinn {name}")
    usage = " ".join([f"pinn {name}", *command.collect_usage_pieces(context)])
    options = [p for p in command.params if isinstance(p, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    pieces = [
        f"## pinn {name} {{ #{name} }}",
        f"```text\n{usage}\n```",
        escaped(cleandoc(command.help or "")),
    ]
    if records:
        lines = [f"| `{option}` | {escaped(text)} |" for option, text in records]
        pieces.append("\n".join(["| option | |", "|---|---|", *lines]))
    return "\n\n".join(pieces)


def escaped(text: str) -> str:
    """Text as Markdown that reads the same, also in a table; what stands in backticks stays code."""
    pieces = text.split("`")
    for place in range(0, len(pieces), 2):
        pieces[place] = re.sub(r"([|*\\])", r"\\\1", html.escape(pieces[place], quote=False))
    return re.sub(r"(?<!\n)\n(?!\n)", " ", "`".join(pieces))


GENERATED: Mapping[str, Callable[[str], str]] = {
    "parts": parts,
    "problem": problem,
    "shared": shared,
    "run": run,
    "checks": checks,
    "commands": command_line,
}
