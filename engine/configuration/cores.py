"""How many cores of the CPU this process may use at once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Control groups: what a container or a batch system grants."""


def cores() -> int:
    """By the machine, by what the process is pinned to, and by the quota of its control group, as
    containers and batch systems set it; at least 1."""
    try:
        pinned = len(os.sched_getaffinity(0))
    except AttributeError:  # there is no such thing everywhere
        pinned = os.cpu_count() or 1
    quota = _quota()
    return pinned if quota is None else max(min(pinned, int(quota)), 1)


def _quota() -> float | None:
    """Cores' worth of time that control groups grant; None where they set no limit."""
    with suppress(OSError, ValueError):  # version 2
        limit, period = (GROUPS / "cpu.max").read_text(encoding="utf-8").split()
        return None if limit == "max" else int(limit) / int(period)
    with suppress(OSError, ValueError):  # version 1
        limit, period = (
            (GROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")
            for name in ("quota", "period")
        )
        return None if int(limit) < 0 else int(limit) / int(period)
    return None
