"""Errors that are messages to the user: shown without a traceback."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from attrs import frozen

OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory")  # how torch says it

LONGEST = 20_000
"""Characters of a message."""
FAULTS = 20
"""Faults of a file that are told one by one."""


class PinnError(Exception):
    """Something that the user can mend; the text says what was found and what was expected."""

    exit_status = 2

    @property
    def pieces(self) -> tuple[str | Whence, ...]:
        """Its text; see `PartError`."""
        return (str(self),)


class Unavailable(PinnError):
    """What an analyzer needs is not there, so that it is left out; the text begins with "needs"."""


class TrainingError(PinnError):
    """Training cannot go on; what was saved before stays."""

    exit_status = 1


class PartError(PinnError):
    """What a part did wrong, in pieces: text, and a `Whence` where its origin is to be told.

    Who offers a part is not known where it is used; `pinn.core.blame` fills that in for the user.

    >>> raise PartError(f"sampler {sampler.name!r}", Whence(sampler), " returned no points")
    """

    def __init__(self, *pieces: str | Whence) -> None:
        self._pieces = pieces
        super().__init__("".join(piece for piece in pieces if isinstance(piece, str)))

    @property
    def pieces(self) -> tuple[str | Whence, ...]:
        return self._pieces


@frozen
class Whence:
    """The distribution of `part`; or the line of a plugin that `error` came out of, if there is one."""

    part: Any = None
    error: BaseException | None = None


class ConfigError(PinnError):
    """All faults of a configuration at once, one line each."""

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.source = source
        self.faults = tuple(faults)
        told = [printable(fault, 2_000) for fault in self.faults[:FAULTS]]
        if len(self.faults) > FAULTS:
            told.append(f"and {len(self.faults) - FAULTS:,} faults more")
        super().__init__("\n".join(f"{source}: {fault}" for fault in told))


def nearest(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'x'?)", or nothing where no known name is close."""
    close = get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def unknown_keys(keys: Collection[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(key, which one may be meant) of keys that nobody knows; of very many the last says how many."""
    known = list(known)
    for key in sorted(keys)[:FAULTS]:
        yield key, nearest(key, known)
    if len(keys) > FAULTS:
        yield "…", f" and {len(keys) - FAULTS:,} more"


def printable(text: str, most: int = LONGEST) -> str:
    """The text without what a terminal would obey and no encoding has, and cut: it may be of others."""
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} characters more)"
    return "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in cut)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def one_of(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of a GPU."""
    says_so = any(text in str(error) for text in OUT_OF_MEMORY)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and says_so)
