"""Which parts exist, where they come from, and which plugins are broken."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from functools import cache
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any

import click
import pluggy
from attrs import evolve, field, frozen

from pinn.core import hookspecs
from pinn.core.contract import (
    check_command,
    check_hooks,
    check_names,
    check_part,
    offered_by,
    summary,
)
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.origin import (
    GROUP,
    NOT_INSTALLED,
    OWN,
    UNNAMED,
    Origin,
    installed_plugins,
    misfit,
    normal,
)
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Weighting
from pinn.core.problem import Problem
from pinn.core.tracebacks import kinship, places, told

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
DISABLE = "PINN_DISABLE_PLUGINS"


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
        """The first line of its docstring."""
        return summary(self.cls) or "(not described)"


@frozen
class OfferedCommand:
    """A command of the command line that a plugin brings."""

    command: click.Command
    origin: Origin

    @property
    def name(self) -> str:
        return str(self.command.name)


@frozen
class Broken:
    """A plugin that could not be loaded, and why."""

    origin: Origin
    cause: str

    def __str__(self) -> str:
        name = self.origin.entry_point
        return f"plugin {name!r} of {self.origin}: {self.cause}; {DISABLE}={name} leaves it out"


@frozen
class Registry:
    """Everything that plugins offer.

    Attributes:
        offers: parts by (kind, name); a name that two plugins offer has several.
        commands: by name, several likewise.
        modules: those that the plugins and their parts are in, and where each came from.
        disabled: plugins that PINN_DISABLE_PLUGINS leaves out.
        unmatched: a message for each name there that no plugin has.
    """

    offers: dict[tuple[str, str], tuple[Part, ...]]
    broken: tuple[Broken, ...]
    commands: dict[str, tuple[OfferedCommand, ...]] = field(factory=dict)
    modules: Mapping[str, Origin] = field(factory=dict)
    disabled: tuple[Origin, ...] = ()
    unmatched: tuple[str, ...] = ()

    def parts(self, kind: str | None = None) -> list[Part]:
        return [
            part
            for (k, _), offered in sorted(self.offers.items())
            for part in offered
            if kind in (None, k)
        ]

    def conflicts(self, own_commands: Iterable[str] = ()) -> list[str]:
        """Names that several plugins offer, and commands named as one of this program's own."""
        found = [
            *(_conflict(f"{kind} {name!r}", o) for (kind, name), o in self.offers.items()),
            *(_conflict(f"command {name!r}", o) for name, o in self.commands.items()),
            *(
                f"the command {name!r} of {offered.origin} has the name of a built-in command, which "
                f"stays; {DISABLE}={offered.origin.entry_point} leaves the plugin out"
                for name in own_commands
                for offered in self.commands.get(name, ())
            ),
        ]
        return [conflict for conflict in found if conflict]

    def suspects(self) -> list[str]:
        """Who may offer what is missing, one line each."""
        names = ", ".join(dict.fromkeys(origin.entry_point for origin in self.disabled))
        left_out = [f"may offer it, but is left out by {DISABLE}: {names}"] if names else []
        return [*(f"may offer it, but is broken: {b}" for b in self.broken), *left_out]

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
        if conflict := _conflict(f"{kind} {name!r}", offered):
            raise PinnError(conflict)
        return offered[0]

    def find_command(self, name: str) -> click.Command | None:
        """The command of that name.

        Raises:
            PinnError: there is more than one.
        """
        offered = self.commands.get(name, ())
        if conflict := _conflict(f"command {name!r}", offered):
            raise PinnError(conflict)
        return offered[0].command if offered else None


def _conflict(what: str, offered: tuple[Part, ...] | tuple[OfferedCommand, ...]) -> str | None:
    if len(offered) < 2:
        return None
    origins = [each.origin for each in offered]
    plugins = " and ".join(f"{o} (entry point {o.entry_point!r})" for o in origins)
    *_, spare = [o for o in origins if not o.built_in] or origins
    return (
        f"the {what} is offered by {plugins}: uninstall one, or set {DISABLE}={spare.entry_point}"
    )


_offered: list[Part] = []


def registry() -> Registry:
    """Everything that is installed, but for what PINN_DISABLE_PLUGINS names; and what is `offered`."""
    found = installed()
    if not _offered:
        return found
    own = {(part.kind, part.name): (part,) for part in _offered}
    modules = {part.cls.__module__: part.origin for part in _offered}
    return evolve(found, offers=found.offers | own, modules={**found.modules, **modules})


@cache
def installed() -> Registry:
    return load(installed_plugins(), os.environ.get(DISABLE, ""))


@contextmanager
def offered(*classes: type[Any]) -> Iterator[None]:
    """Have these parts known for a while, as if a plugin offered them; they come before installed ones.

    >>> with offered(Heat):
    ...     run = train(load_config("heat.toml"))

    Raises:
        PinnError: a class is not a part, or lacks something.
    """
    parts = [Part(_kind(cls), cls, NOT_INSTALLED) for cls in classes]
    for part in parts:
        check_part(part.kind, KINDS[part.kind], part.cls)
    before = [*_offered]
    _offered.extend(parts)
    try:
        yield
    finally:
        _offered[:] = before


def _kind(cls: Any) -> str:
    for kind, base in KINDS.items():
        if isinstance(cls, type) and issubclass(cls, base):
            return kind
    bases = one_of(f"pinn.core.{base.__name__}" for base in KINDS.values())
    raise PinnError(f"{cls!r} is not a part: it is a subclass of none of {bases}")


def load(entry_points: Iterable[tuple[EntryPoint, Origin]], disabled: str = "") -> Registry:
    """Load each plugin by itself, so that a broken one is reported and the others still work."""
    everything = list(entry_points)
    off = [name.strip() for name in disabled.split(",") if name.strip()]
    left_out = [origin for _, origin in everything if _names(origin) & {*map(normal, off)}]
    offers: dict[tuple[str, str], tuple[Part, ...]] = {}
    commands: dict[str, tuple[OfferedCommand, ...]] = {}
    modules: dict[str, Origin] = {}
    broken = []
    for entry_point, origin in everything:
        if origin in left_out:
            continue
        try:
            with redirect_stdout(sys.stderr):  # the output of a command is not the plugin's
                parts, brought = _load(entry_point, origin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a plugin does, SystemExit too, the others go on
            broken.append(Broken(origin, _cause(error, entry_point)))
            continue
        for part in parts:
            key = part.kind, part.name
            offers[key] = (*offers.get(key, ()), part)
        for command in brought:
            commands[command.name] = (*commands.get(command.name, ()), command)
        modules |= dict.fromkeys([_module(entry_point), *(p.cls.__module__ for p in parts)], origin)
    return Registry(
        offers,
        tuple(broken),
        commands,
        modules,
        tuple(left_out),
        tuple(_unmatched(off, everything)),
    )


def _names(origin: Origin) -> set[str]:
    return {normal(origin.entry_point), normal(origin.distribution)}


def _unmatched(
    disabled: Iterable[str], plugins: Iterable[tuple[EntryPoint, Origin]]
) -> Iterator[str]:
    known = set().union(*(_names(origin) for _, origin in plugins))
    for name in disabled:
        if normal(name) not in known:
            yield f"{DISABLE}: {name!r} names no installed plugin{nearest(name, known)}"


def _load(entry_point: EntryPoint, origin: Origin) -> tuple[list[Part], list[OfferedCommand]]:
    """What the plugin offers.

    Raises:
        PinnError: it is not as it must be.
        BaseException: whatever importing it raises.
    """
    if origin.distribution == UNNAMED:
        raise PinnError("the metadata that was installed with it is damaged: install it again")
    if reason := misfit(origin):
        raise PinnError(reason)
    plugin = entry_point.load()
    check_hooks(plugin, (*HOOKS.values(), COMMANDS))
    manager = _manager()
    manager.register(plugin)
    try:
        parts = list(_parts(manager, origin))
        commands = offered_by(manager, COMMANDS)
    finally:
        manager.unregister(plugin)  # the next one is alone again: what it offers is its own
    for command in commands:
        check_command(command)
    check_names(
        [f"{part.kind} {part.name!r}" for part in parts]
        + [f"command {command.name!r}" for command in commands]
    )
    return parts, [OfferedCommand(command, origin) for command in commands]


@cache
def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _parts(manager: pluggy.PluginManager, origin: Origin) -> Iterator[Part]:
    for kind, hook in HOOKS.items():
        for cls in offered_by(manager, hook):
            check_part(kind, KINDS[kind], cls)
            yield Part(kind, cls, origin)


def _cause(error: BaseException, entry_point: EntryPoint) -> str:
    """Why a plugin could not be loaded, with the line of it where there is one."""
    module = _module(entry_point)
    line = next((f" ({place})" for place in places(error) if kinship(place.module, module)), "")
    if isinstance(error, PinnError):
        return " ".join(str(error).split()) + line
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, entry_point) + line
    if isinstance(error, ImportError) and kinship(error.name or "", GROUP):
        return f"{error.msg.partition(' (')[0]}: this version of {OWN} does not have it{line}"
    if isinstance(error, AttributeError) and not line:  # of `load` itself
        return (
            f"its entry point names {entry_point.value!r}, which does not exist: install it again"
        )
    return told(error) + line


def _module(entry_point: EntryPoint) -> str:
    """The module that it names, also where it cannot be read as an entry point."""
    return entry_point.value.partition(":")[0].strip()


def _missing(module: str, entry_point: EntryPoint) -> str:
    """What to say of a module that was not found."""
    top = module.partition(".")[0]
    if f"{_module(entry_point)}.".startswith(f"{module}."):
        return (
            f"its entry point names the module {module!r}, which does not exist: install it again"
        )
    if top == GROUP:
        return f"needs {module!r}: this version of {OWN} does not have it"
    if top in sys.modules or find_spec(top):
        return f"needs {module!r}: the version of {top!r} that is installed does not have it"
    return f"needs {top!r}, which is not installed: pip install {top}"
