"""Runs of a sweep that are ended early, since others were better at the same step (ASHA)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from filelock import FileLock

from pinn.core.options import at_least, option
from pinn.engine.sweeping.kept import read_kept, write_kept
from pinn.engine.training.progress import Reporter

HEADLINES = ("rel_l2", "loss")
"""What runs are compared by: the first of these that is recorded."""
RUNGS = "rungs.json"


@frozen
class HalvingOptions:
    """The section [sweep.halving]: asynchronous successive halving.

    At the steps `first`, η `first`, η² `first`, … a run goes on if it is among the best 1/η of those
    that came there before it, and the first η go on. Li et al. 2020, MLSys, arXiv 1810.05934.
    """

    first: int = option(1000, "the step at which runs are compared first", at_least(1))
    factor: int = option(3, "η: a share of 1/η goes on", at_least(2))


@define(eq=False, slots=False)
class Rungs(Reporter):
    """Compares a run with the others at every rung; all of a sweep share one file."""

    directory: Path
    name: str
    options: HalvingOptions
    over: bool = field(default=False, init=False)
    """Whether the run is to end."""
    _done: int = field(default=0, init=False)

    def begin(self, done: int, total: int) -> None:
        self._done = done

    def step(self, step: int, loss: float, shown: Mapping[str, Any]) -> None:
        rung = self._next()
        if step >= rung:
            known = (shown.get(name) for name in HEADLINES)
            value = next((v for v in known if isinstance(v, int | float)), loss)
            self.over = not self._among_the_best(rung, float(value))
            self._done = step

    def _next(self) -> int:
        rung = self.options.first
        while rung <= self._done:
            rung *= self.options.factor
        return rung

    def _among_the_best(self, rung: int, value: float) -> bool:
        path = self.directory / RUNGS
        value = value if math.isfinite(value) else math.inf
        with FileLock(path.with_suffix(".lock")):
            found = read_rungs(self.directory)
            here = {**found.values.get(rung, {}), self.name: value}
            better = sum(other < value for other in here.values())
            goes_on = better < max(len(here) // self.options.factor, 1) or (
                len(here) <= self.options.factor
            )
            ended = found.ended if goes_on else {**found.ended, self.name: rung}
            table = {"values": {**found.values, rung: here}, "ended": ended}
            write_kept(path, table)
        return goes_on


@frozen
class RungTable:
    """What runs came to.

    Attributes:
        values: {step: {run: value}}
        ended: {run: the step at which it was ended}
    """

    values: Mapping[int, Mapping[str, float]]
    ended: Mapping[str, int]


def read_rungs(directory: Path) -> RungTable:
    """
    Raises:
        PinnError: the file is damaged.
    """

    def shaped(found: Any) -> RungTable:
        values = {int(rung): dict(of_runs) for rung, of_runs in found["values"].items()}
        return RungTable(values, dict(found["ended"]))

    empty: dict[str, Any] = {"values": {}, "ended": {}}
    return read_kept(directory / RUNGS, shaped, empty, "delete it to compare runs anew")
