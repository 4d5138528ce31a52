"""Which plugins are installed, with which distribution they came, and whether they fit this version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points, version

from attrs import field, frozen

from pinn.core.errors import PinnError

GROUP = "pinn"
OWN = "pinn-dynamics"


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


NEEDS_OWN = re.compile(r"pinn[-_.]+dynamics\s*[^\w\s.-]", re.IGNORECASE)
"""A requirement of this distribution that says more than its name."""
UNNAMED = "a distribution without a name"
NOT_INSTALLED = Origin("this program", "", "")


def normal(name: str) -> str:
    """The name of a distribution as PEP 503 compares it.

    Written out here, since importing `packaging` would take a fifth of the time of `pinn list`.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


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
def own_version() -> str:
    return version(OWN)


def misfit(origin: Origin) -> str | None:
    """Why the plugin does not go with the version of this program that is installed."""
    wanted = [line for line in origin.requires if NEEDS_OWN.match(line)]
    if not wanted or origin.built_in:
        return None
    from packaging.requirements import InvalidRequirement, Requirement  # now: it is slow to load
    from packaging.version import Version

    here = own_version()
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
