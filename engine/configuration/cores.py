"""How many cores of the CPU this process may use at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Control groups: what a container or a batch system grants."""
MINE = Path("/proc/self/cgroup")
"""Which of them this process is in."""


def cores() -> int:
    """By the machine, by what the process is pinned to, and by the quotas of its control groups, as
    containers and batch systems set them; at least 1."""
    try:
        pinned = len(os.sched_getaffinity(0))
    except AttributeError:  # there is no such thing everywhere
        pinned = os.cpu_count() or 1
    return max(int(min([pinned, *_quotas()])), 1)


def own_groups(controller: str) -> Iterator[Path]:
    """The control groups of this process, outward; of version 1 those of this controller.

    The outermost are there as well where the process cannot see the one that it is in.
    """
    yield from (GROUPS, GROUPS / controller)
    with suppress(OSError, ValueError):
        for line in MINE.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or controller in controllers.split(","):
                root = GROUPS / controller if controllers else GROUPS
                inner = root / path.strip("/")
                yield from (inner, *[outer for outer in inner.parents if root in outer.parents])


def _quotas() -> Iterator[float]:
    """Cores' worth of time that control groups grant, where they set a limit."""
    for group in own_groups("cpu"):
        with suppress(OSError, ValueError):  # version 2; without a limit: "max"
            limit, period = (group / "cpu.max").read_text(encoding="utf-8").split()
            yield int(limit) / int(period)
        with suppress(OSError, ValueError):  # version 1; without a limit: −1
            limit, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")
                for name in ("quota", "period")
            )
            if int(limit) >= 0:
                yield int(limit) / int(period)
