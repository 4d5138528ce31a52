"""What values of a key may be: between two ends, or one of a list."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pinn.core.errors import ConfigError

Range = Any
"""{low, high, log}, or a list."""


def read_ranges(
    path: Path, section: str, table: Mapping[str, Any], counted: str
) -> tuple[int, int, dict[str, Range]]:
    """How many, the seed, and the ranges by key, of [sweep.`section`].

    Args:
        counted: the name of the number.

    Raises:
        ConfigError: all that is wrong.
    """
    ranges = flat({key: value for key, value in table.items() if key not in (counted, "seed")})
    count, seed = table.get(counted), table.get("seed", 0)
    faults = [
        f"[sweep.{section}] {name}: expected a whole number of at least {least}, found {value!r}"
        for name, value, least in ((counted, count, 1), ("seed", seed, 0))
        if not isinstance(value, int) or isinstance(value, bool) or value < least
    ]
    faults += [
        f"[sweep.{section}] {key}: expected {{low = …, high = …}}, with log = true for equal shares of "
        f"each power of ten, or a list to choose from; found {value!r}"
        for key, value in ranges.items()
        if not _is_range(value)
    ]
    if faults:
        raise ConfigError(str(path), faults)
    assert isinstance(count, int)
    return count, seed, ranges


def flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Tables in tables as values by dotted keys, as `weighting.eta = 0.1` is one; a range is a value."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and not {"low", "high"} & value.keys():
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _is_range(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value)
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        return False
    ends = value["low"], value["high"]
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        return False
    return ends[0] < ends[1] and (ends[0] > 0 or not value.get("log", False))
