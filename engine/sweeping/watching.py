"""What a person, or a program, is told while a sweep is trained."""

from __future__ import annotations

from pinn.engine.sweeping.status import State
from pinn.engine.sweeping.sweep import Sweep


class Watching:
    """Is told how a sweep goes; this one says nothing."""

    def checked(self, count: int, total: int) -> None:
        """So many of `total` unlike configurations were tried."""

    def look(self, sweep: Sweep) -> None:
        """Called several times a second while runs train."""

    def ended(self, state: State, count: int, total: int) -> None:
        """A run came to its end, or failed; `count` of `total` have."""
