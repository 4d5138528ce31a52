"""Standard output and error that may vanish: training does not depend on who reads what it says."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class Output:
    """A stream of which everything works as before, but that writing to it never fails.

    A full disk, a closed terminal or a reader that went away (`| head -1`) ends what is written, and
    nothing else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._unless_lost("write", text)
        return len(text)

    def flush(self) -> None:
        self._unless_lost("flush")

    def _unless_lost(self, method: str, *given: str) -> None:
        if self._lost:
            return
        try:
            getattr(self._stream, method)(*given)
        except (OSError, ValueError) as error:
            self._lost = True
            self._discard()
            if self is not sys.stderr and not isinstance(error, BrokenPipeError):
                cause = getattr(error, "strerror", None) or error
                print(f"note: output cannot be written: {cause}; the work goes on", file=sys.stderr)

    def _discard(self) -> None:
        """Let what is still buffered, which is written at exit, go nowhere."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def unfailing(stream: TextIO | None) -> Any:
    """The stream as an `Output` that takes any text; nowhere if it was closed from the start."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    return Output(stream)
