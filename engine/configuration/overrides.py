"""Values from the command line: `--set weighting.eta=0.01`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import tomli

from pinn.core.discovery import registry
from pinn.core.errors import PinnError, printable
from pinn.core.kinds import KINDS
from pinn.core.options import key_of, options

NUMBER = re.compile(r"\d{1,6}", re.ASCII)
"""Of a table in a list."""


def override(table: dict[str, Any], text: str) -> None:
    """Apply "section.key=value"; a list of tables is indexed from 0: "optimizers.0.lr=1e-4".

    Where another part is named, the options that only the old one had are dropped.
    """
    path, equals, raw = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys) or len(keys) < 2:
        raise PinnError(f"--set {text}: expected section.key=value, as in weighting.eta=0.01")
    place: Any = table
    for key, following in pairwise(keys):
        if isinstance(place, list):
            if not NUMBER.fullmatch(key) or int(key) >= len(place):
                raise PinnError(f"--set {text}: there is no number {key} among {len(place)} tables")
            place = place[int(key)]
        elif isinstance(place, dict):
            place = place.setdefault(key, [] if NUMBER.fullmatch(following) else {})
        if not isinstance(place, dict | list):
            raise PinnError(f"--set {text}: {key} is not a table")
    if isinstance(place, list):
        key = "steps" if NUMBER.fullmatch(keys[-1]) else keys[-1]
        raise PinnError(
            f"--set {text}: expected the number of a table and a key, as in {keys[0]}.0.{key}"
        )
    value = _toml_value(raw)
    for kind in KINDS.values():
        if (keys[0], keys[-1]) == (kind.section, kind.key):
            _forget_options(place, kind.name, place.get(kind.key), value)
    place[keys[-1]] = value


def _forget_options(place: dict[str, Any], kind: str, old: Any, new: Any) -> None:
    """Drop the options of a part that is replaced by another, but for those that both have."""
    if not isinstance(old, str) or not isinstance(new, str):
        return
    try:
        before, after = (registry().find(kind, name).cls for name in (old, new))
    except PinnError:  # there is none: reading the configuration says so
        return
    kept = {key_of(field) for field in options(after)}
    for field in options(before):
        if key_of(field) not in kept:
            place.pop(key_of(field), None)


def _toml_value(raw: str) -> Any:
    """What `raw` means in TOML; the text itself where it means nothing."""
    try:
        parsed = tomli.loads(f"value = {raw}")
    except tomli.TOMLDecodeError:
        return raw.strip()
    except (ValueError, RecursionError):  # of thousands of digits or brackets
        raise PinnError(f"--set …={printable(raw, 40)}: is no value that an option has") from None
    return parsed["value"] if len(parsed) == 1 else raw.strip()
