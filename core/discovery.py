"""Installed entry points become a registry; each plugin is loaded by itself, a broken one is told."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from email.message import Message
from email.parser import HeaderParser
from functools import cache
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    distributions,
    entry_points,
    version,
)
from importlib.util import find_spec
from typing import Any

import pluggy
from attrs import evolve

from pinn.core import hookspecs
from pinn.core.contract import check_command, check_hooks, check_names, check_part, offered_by
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.kinds import KINDS
from pinn.core.registry import (
    DISABLE,
    NOT_INSTALLED,
    OWN,
    Broken,
    OfferedCommand,
    Origin,
    Part,
    Registry,
    normal,
)
from pinn.core.tracebacks import one_line, places, shared_prefix

GROUP = "pinn"
COMMANDS = "pinn_commands"
NEEDS_OWN = re.compile(r"pinn[-_.]+dynamics\s*[^\w\s.-]", re.IGNORECASE)
"""A requirement of this distribution that says more than its name."""
UNNAMED = "a distribution without a name"

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
    return load_plugins(installed_plugins(), os.environ.get(DISABLE, ""))


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
        check_part(KINDS[part.kind], part.cls)
    before = [*_offered]
    _offered.extend(parts)
    try:
        yield
    finally:
        _offered[:] = before


def _kind(cls: Any) -> str:
    for kind in KINDS.values():
        if isinstance(cls, type) and issubclass(cls, kind.base):
            return kind.name
    bases = one_of(f"pinn.core.{kind.base.__name__}" for kind in KINDS.values())
    raise PinnError(f"{cls!r} is not a part: it is a subclass of none of {bases}")


def load_plugins(entry_points: Iterable[tuple[EntryPoint, Origin]], disabled: str = "") -> Registry:
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
            others = commands.get(command.name, ())
            own = command.origin.built_in
            commands[command.name] = (command, *others) if own else (*others, command)
        modules |= dict.fromkeys([_module(entry_point), *(p.cls.__module__ for p in parts)], origin)
    return Registry(
        offers,
        tuple(broken),
        commands,
        modules,
        tuple(left_out),
        tuple(_unmatched(off, everything)),
    )


def installed_plugins() -> Iterator[tuple[EntryPoint, Origin]]:
    """Every entry point of the group, once, with the distribution that it belongs to, in order.

    Raises:
        PinnError: what some distribution, whichever, says of its entry points is damaged.
    """
    try:
        found = sorted(entry_points(group=GROUP))
    except Exception as error:  # which one it was is not said
        raise PinnError(f"the plugins cannot be found, since {_damaged()}") from error
    metadata: dict[Distribution, Message] = {}
    for entry_point in found:
        distribution = entry_point.dist
        assert distribution is not None
        if distribution not in metadata:
            metadata[distribution] = _metadata(distribution)
        about = metadata[distribution]
        yield (
            entry_point,
            Origin(
                about["Name"] or UNNAMED,
                about["Version"] or "",
                entry_point.name,
                tuple(about.get_all("Requires-Dist") or ()),
            ),
        )


def _metadata(distribution: Distribution) -> Message:
    """Its metadata without the description, which is long and would take most of the time."""
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except (OSError, UnicodeDecodeError):
        text = ""
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def _damaged() -> str:
    for distribution in distributions():
        try:
            distribution.entry_points  # noqa: B018
        except Exception:
            return f"entry_points.txt of {distribution.name} is damaged: install it again"
    return "an installed distribution is damaged"


@cache
def installed_version(distribution: str) -> str | None:
    """The version of a distribution, when this process first asked; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def misfit(origin: Origin) -> str | None:
    """Why the plugin does not go with the version of this program that is installed."""
    wanted = [line for line in origin.requires if NEEDS_OWN.match(line)]
    if not wanted or origin.built_in:
        return None
    from packaging.requirements import InvalidRequirement, Requirement  # now: it is slow to load
    from packaging.version import Version

    here = version(OWN)
    for line in wanted:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not applies or requirement.specifier.contains(here, prereleases=True):
            continue
        newer = [
            s
            for s in requirement.specifier
            if s.operator in (">", ">=", "==", "~=")
            and Version(s.version.removesuffix(".*")) > Version(here)
        ]
        mend = f"'{OWN}{requirement.specifier}'" if newer else f"--upgrade {origin.distribution}"
        return (
            f"it needs {OWN} {requirement.specifier}, and {here} is installed: pip install {mend}"
        )
    return None


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
    check_hooks(plugin, (*(kind.hook for kind in KINDS.values()), COMMANDS))
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
    for kind in KINDS.values():
        for cls in offered_by(manager, kind.hook):
            check_part(kind, cls)
            yield Part(kind.name, cls, origin)


def _cause(error: BaseException, entry_point: EntryPoint) -> str:
    """Why a plugin could not be loaded, with the line of it where there is one."""
    module = _module(entry_point)
    line = next(
        (f" ({place})" for place in places(error) if shared_prefix(place.module, module)), ""
    )
    if isinstance(error, PinnError):
        return " ".join(str(error).split()) + line
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, entry_point) + line
    if isinstance(error, ImportError) and shared_prefix(error.name or "", GROUP):
        return f"{error.msg.partition(' (')[0]}: this version of {OWN} does not have it{line}"
    if isinstance(error, AttributeError) and not line:  # of `load` itself
        return (
            f"its entry point names {entry_point.value!r}, which does not exist: install it again"
        )
    return one_line(error) + line


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
