"""What exists: parts and commands, where they come from, and which plugins are broken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from pinn.core.errors import PinnError, nearest, one_of

if TYPE_CHECKING:
    import click

OWN = "pinn-dynamics"
DISABLE = "PINN_DISABLE_PLUGINS"


def normal(name: str) -> str:
    """The name of a distribution as PEP 503 compares it.

    Written out here, since importing `packaging` would take a fifth of the time of `pinn list`.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@frozen
class Origin:
    """The installed distribution and the entry point that a part came through.

    Attributes:
        requires: what the distribution needs, as its metadata says.
    """

    distribution: str
    version: str
    entry_point: str
    requires: tuple[str, ...] = field(default=(), eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def built_in(self) -> bool:
        return normal(self.distribution) == OWN


NOT_INSTALLED = Origin("this program", "", "")


def summary(cls: type[Any]) -> str:
    """The first line of its docstring."""
    return (cls.__doc__ or "").strip().split("\n")[0]


@frozen
class Part:
    """A class that a plugin offers."""

    kind: str
    cls: type[Any]
    origin: Origin

    @property
    def name(self) -> str:
        return str(self.cls.name)

    @property
    def summary(self) -> str:
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
        commands: by name, several likewise, the built-in one first.
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

    def conflicts(self) -> list[str]:
        """Names that several plugins offer; a built-in command stays, whatever others offer."""
        found = [
            _conflict(f"{kind} {name!r}", [part.origin for part in parts])
            for (kind, name), parts in self.offers.items()
            if len(parts) > 1
        ]
        for name, commands in self.commands.items():
            others = [c.origin for c in commands if not c.origin.built_in]
            if len(others) == len(commands) > 1:
                found.append(_conflict(f"command {name!r}", others))
            elif len(others) < len(commands):
                found += [
                    f"the command {name!r} of {origin} has the name of a built-in command, which "
                    f"stays; {DISABLE}={origin.entry_point} leaves the plugin out"
                    for origin in others
                ]
        return found

    def suspects(self) -> list[str]:
        """Plugins that may offer what is missing, one line each."""
        names = ", ".join(dict.fromkeys(origin.entry_point for origin in self.disabled))
        left_out = [f"may offer it, but is left out by {DISABLE}: {names}"] if names else []
        return [*(f"may offer it, but is broken: {b}" for b in self.broken), *left_out]

    def origin_of(self, part: Any) -> Origin | None:
        """Where a part came from, if its class is known."""
        return next((known.origin for known in self.parts() if known.cls is type(part)), None)

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
            raise PinnError(_conflict(f"{kind} {name!r}", [part.origin for part in offered]))
        return offered[0]

    def find_command(self, name: str) -> click.Command | None:
        """The command of that name; the built-in one, where there is one.

        Raises:
            PinnError: there is more than one.
        """
        offered = self.commands.get(name, ())
        if len(offered) > 1 and not offered[0].origin.built_in:
            raise PinnError(_conflict(f"command {name!r}", [o.origin for o in offered]))
        return offered[0].command if offered else None


def _conflict(what: str, origins: list[Origin]) -> str:
    plugins = " and ".join(f"{o} (entry point {o.entry_point!r})" for o in origins)
    *_, spare = [o for o in origins if not o.built_in] or origins
    return (
        f"the {what} is offered by {plugins}: uninstall one, or set {DISABLE}={spare.entry_point}"
    )
