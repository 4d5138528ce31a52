"""The steps at which an analyzer measures."""

from __future__ import annotations

from attrs import frozen


@frozen
class Schedule:
    """Every `every` steps, more often at first, and at chosen steps besides.

    The last step of a run is measured whatever the schedule says.

    Attributes:
        every: steps between measurements; 0: only those that the others name.
        early_every: steps between measurements up to step `early_steps`, if that is more often.
        at: steps measured besides.
    """

    every: int = 100
    early_every: int = 10
    early_steps: int = 300
    at: tuple[int, ...] = ()

    def due(self, step: int) -> bool:
        return (
            _multiple(step, self.every)
            or (step <= self.early_steps and _multiple(step, self.early_every))
            or step in self.at
        )


def _multiple(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
