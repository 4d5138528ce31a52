"""Link what an installed distribution requires, and no more, into its virtual environment.

    python link_requirements.py VENV "NAME[EXTRA]"

The packages are those of the running environment: nothing is downloaded, and the same torch is installed
once. What NAME imports without requiring it stays out of reach.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement


def requirements(found: Distribution, extras: set[str]) -> list[Requirement]:
    """What a distribution requires on this machine."""
    given = [{"extra": extra} for extra in ("", *extras)]
    asked = [Requirement(text) for text in found.requires or ()]
    return [r for r in asked if r.marker is None or any(r.marker.evaluate(e) for e in given)]


def link(found: Distribution, folder: Path) -> None:
    """Every module, package and metadata folder of a distribution."""
    for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
        if not (folder / name).exists():
            (folder / name).symlink_to(Path(str(found.locate_file(name))))


def main(venv: str, asked: str) -> None:
    folder = Path(sysconfig.get_path("purelib", "venv", vars={"base": venv}))
    first = Requirement(asked)
    (own,) = distributions(name=first.name, path=[str(folder)])
    waiting = requirements(own, first.extras)
    seen = set()
    while waiting:
        wanted = waiting.pop()
        found = distribution(wanted.name)
        if not wanted.specifier.contains(found.version, prereleases=True):
            sys.exit(f"{wanted} is required, {found.version} is installed")
        if (found.name, *sorted(wanted.extras)) not in seen:
            seen.add((found.name, *sorted(wanted.extras)))
            link(found, folder)
            waiting += requirements(found, wanted.extras)


if __name__ == "__main__":
    main(*sys.argv[1:])
