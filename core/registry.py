"""Which parts exist, where they come from, and which plugins are broken."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

import attrs
import click
import pluggy
from attrs import field, frozen

from pinn.core import hookspecs
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Weighting
from pinn.core.problem import Problem

GROUP = "pinn"
KINDS: dict[str, type] = {
    "problem": Problem,
    "network": Network,
    "sampler": Sampler,
    "weighting": Weighting,
    "optimizer": Optimizer,
    "analyzer": Analyzer,
}
HOOKS = {"analyzer": "pinn_analyzers"} | {
    kind: f"pinn_{kind}s" for kind in KINDS if kind != "analyzer"
}

COMMANDS = "pinn_commands"


@frozen
class Origin:
    """The installed distribution and the entry point that a part came through."""

    distribution: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@frozen
class Part:
    kind: str
    cls: type[Any]
    origin: Origin

    @property
    def name(self) -> str:
        return str(self.cls.name)

    @property
    def summary(self) -> str:
        return (self.cls.__doc__ or "").strip().split("\n")[0]


@frozen
class Broken:
    """A plugin that could not be loaded, and why."""

    origin: Origin
    cause: str

    def __str__(self) -> str:
        return f"plugin {self.origin.entry_point!r} of {self.origin}: {self.cause}"


@frozen
class Registry:
    """All parts by (kind, name); a name that two plugins offer has several. Commands by name."""

    offers: dict[tuple[str, str], tuple[Part, ...]]
    broken: tuple[Broken, ...]
    commands: dict[str, click.Command] = field(factory=dict)

    def parts(self, kind: str | None = None) -> list[Part]:
        return [
            part
            for (k, _), offered in sorted(self.offers.items())
            for part in offered
            if kind in (None, k)
        ]

    def conflicts(self) -> list[str]:
        return [_conflict(offered) for offered in self.offers.values() if len(offered) > 1]

    def announcers(self, event: str) -> list[str]:
        """Names of the analyzers that announce `event`."""
        return [part.name for part in self.parts("analyzer") if event in part.cls.events]

    def find(self, kind: str, name: str) -> Part:
        """The part of that name.

        Raises:
            PinnError: there is none, with the nearest name; or more than one.
        """
        offered = self.offers.get((kind, name), ())
        if not offered:
            names = [known for k, known in self.offers if k == kind]
            raise PinnError(
                f"no {kind} is called {name!r}{nearest(name, names)}; there are {one_of(names)}"
            )
        if len(offered) > 1:
            raise PinnError(_conflict(offered))
        return offered[0]


def _conflict(offered: tuple[Part, ...]) -> str:
    first, *others = offered
    plugins = " and ".join(f"{p.origin} (entry point {p.origin.entry_point!r})" for p in offered)
    return (
        f"the {first.kind} {first.name!r} is offered by {plugins}: uninstall one, or set "
        f"PINN_DISABLE_PLUGINS={others[-1].origin.entry_point}"
    )


@cache
def registry() -> Registry:
    """Everything that is installed, but for what PINN_DISABLE_PLUGINS names."""
    return load(_entry_points(), os.environ.get("PINN_DISABLE_PLUGINS", ""))


def _entry_points() -> Iterator[tuple[EntryPoint, Origin]]:
    seen = set()
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name in seen:
            continue  # an older copy further down the path
        seen.add(name)
        for entry_point in distribution.entry_points:
            if entry_point.group == GROUP:
                yield entry_point, Origin(name, distribution.version, entry_point.name)


def load(entry_points: Iterable[tuple[EntryPoint, Origin]], disabled: str = "") -> Registry:
    """Load each plugin by itself, so that a broken one is reported and the others still work."""
    off = {name.strip() for name in disabled.split(",")}
    offers: dict[tuple[str, str], tuple[Part, ...]] = {}
    commands: dict[str, click.Command] = {}
    broken = []
    for entry_point, origin in entry_points:
        if off & {origin.entry_point, origin.distribution}:
            continue
        try:
            module = _manager(entry_point.load())
            found = list(_parts(module, origin))
            offered = _offered_commands(module, commands)
        except (Exception, SystemExit) as error:  # whatever a plugin does, the others go on
            broken.append(Broken(origin, f"{type(error).__name__}: {error}"))
            continue
        for part in found:
            key = part.kind, part.name
            offers[key] = (*offers.get(key, ()), part)
        commands |= offered
    return Registry(offers, tuple(broken), commands)


def _manager(module: object) -> pluggy.PluginManager:
    """Of this plugin alone, so that what it offers is known to be its."""
    _check_hooks(module)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    return manager


def _offered_commands(
    manager: pluggy.PluginManager, others: dict[str, click.Command]
) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for command in (c for offered in getattr(manager.hook, COMMANDS)() for c in offered):
        if not isinstance(command, click.Command) or not command.name:
            raise PinnError(f"{command!r} is not a click command with a name")
        if command.name in others:
            raise PinnError(f"another plugin offers the command {command.name!r} already")
        found[command.name] = command
    return found


def _parts(manager: pluggy.PluginManager, origin: Origin) -> Iterator[Part]:
    for kind, hook in HOOKS.items():
        for offered in getattr(manager.hook, hook)():
            for cls in offered:
                _check_part(kind, cls)
                yield Part(kind, cls, origin)


def _check_hooks(module: object) -> None:
    hooks = {*HOOKS.values(), COMMANDS}
    for name, member in vars(module).items():
        marked = callable(member) and hasattr(member, "pinn_impl")
        if marked and name not in hooks:
            raise PinnError(f"there is no hook {name!r}{nearest(name, hooks)}")
        if name in hooks and not marked:
            raise PinnError(f"{name} is not marked: put @hookimpl above it")


def _check_part(kind: str, cls: Any) -> None:
    base = KINDS[kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise PinnError(f"{cls!r} is not a subclass of pinn.core.{base.__name__}")
    if not attrs.has(cls):
        raise PinnError(f"{cls.__name__} is not an attrs class: put @attrs.frozen above it")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise PinnError(f"{cls.__name__} lacks {', '.join(missing)}")
    if not isinstance(getattr(cls, "name", None), str):
        raise PinnError(f"{cls.__name__} lacks a name, as in name = {cls.__name__.lower()!r}")
    unset = [name for name in base.__annotations__ if not hasattr(cls, name)]
    if unset:
        raise PinnError(f"{cls.__name__} lacks {', '.join(unset)}")
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise PinnError(f"{cls.__name__}: the type of an option is not known: {error}") from None
