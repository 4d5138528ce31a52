"""In what two configurations differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """The keys in which two configurations differ, with both values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b, where = old.get(key), new.get(key), f"{path}{key}"
        if (
            isinstance(a, list)
            and isinstance(b, list)
            and all(isinstance(item, dict) for item in a + b)
        ):
            a, b = dict(enumerate(a)), dict(enumerate(b))
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(
                {str(k): v for k, v in a.items()}, {str(k): v for k, v in b.items()}, f"{where}."
            )
        elif a != b:
            found.append(f"{where}: {_shown(a)} there, {_shown(b)} here")
    return found


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)
