"""Where an exception was raised, as a reader finds it: `pinn_heat/walls.py:31`."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from types import CodeType, FrameType
from typing import Any, TypeVar

from attrs import frozen

MACHINE = ("pinn.core", "pinn.engine", "pinn.testing")
"""Rooms of this program whose lines are left out."""
LONGEST = 400

Called = TypeVar("Called", bound=Callable[..., Any])
_called_back: set[CodeType] = set()


def called_back(function: Called) -> Called:
    """Mark what plugins are given to call: they are not at fault where it fails."""
    _called_back.add(function.__code__)  # type: ignore[attr-defined]
    return function


@frozen
class Place:
    """A line that was being executed."""

    frame: FrameType
    line: int

    @property
    def module(self) -> str:
        return str(self.frame.f_globals.get("__name__", ""))

    @property
    def function(self) -> str:
        """Its qualified name, such as `Heat.equations`."""
        return self.frame.f_code.co_qualname

    @property
    def variables(self) -> Mapping[str, Any]:
        return self.frame.f_locals

    def __str__(self) -> str:
        file = Path(self.frame.f_code.co_filename)
        *folders, last = self.module.split(".")
        if file.stem == "__init__":
            folders.append(last)
        elif file.stem != last:  # a script or a cell of a notebook
            folders = []
        return f"{'/'.join([*folders, file.name])}:{self.line}"


def places(error: BaseException) -> Iterator[Place]:
    """From the innermost outward, then those of what caused the error; without those of MACHINE."""
    found = [Place(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    for place in reversed(found):
        if not any(shared_prefix(place.module, room) > 1 for room in MACHINE):
            yield place
        elif place.frame.f_code in _called_back:
            break
    if error.__cause__ is not None:
        yield from places(error.__cause__)


def shared_prefix(module: str, other: str) -> int:
    """How many leading names two modules share: 2 for `a.b.c` and `a.b.d`."""
    pairs = zip(module.split("."), other.split("."), strict=False)
    different = (i for i, (a, b) in enumerate(pairs) if a != b)
    shorter = min(module.count("."), other.count(".")) + 1
    return next(different, shorter)


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of its text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def one_line(error: BaseException) -> str:
    """Type and text of an error on one line, as at the end of a traceback."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    text = " ".join(traceback.format_exception_only(error))
    return shorten(text, LONGEST, placeholder=" …")
