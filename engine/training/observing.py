"""Asks the analyzers that are due, in our loop and in watched ones; one that fails stops nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from attrs import define, field
from torch import Tensor

from pinn.core.errors import PinnError, Unavailable, out_of_memory
from pinn.core.parts import Analyzer
from pinn.core.records import FAILURE, Records
from pinn.core.view import View
from pinn.engine.configuration.config import Observer
from pinn.engine.training.progress import Reporter

COMPILING = "compiling"
WORTH_TELLING = 1.0
"""Seconds."""

Explain = Callable[[Exception, Analyzer], str]
"""What to record of an analyzer that failed: the error, and where it came out."""


@define(eq=False)
class Observing:
    """The analyzers of a loop, and all that they found.

    Attributes:
        memories: of the analyzers that follow every step, by name.
        seconds: what training, compiling and each analyzer took, by name.
        shown: the quantities that the progress line shows.
        measured: names of the analyzers that measured something in this process.
        announced: events that were recorded.
    """

    observers: Sequence[Observer]
    records: Records
    reporter: Reporter
    _explain: Explain
    memories: dict[str, Tensor]
    seconds: dict[str, float]
    shown: dict[str, Any] = field(factory=dict, init=False)
    measured: set[str] = field(factory=set, init=False)
    announced: set[str] = field(init=False)
    _compiled: dict[bool, float] = field(factory=dict, init=False)

    @announced.default
    def _recorded_events(self) -> set[str]:
        events = [event for observer in self.observers for event in observer.analyzer.events]
        return {event for event in events if event in self.records}

    def due(self, step: int) -> list[Observer]:
        return [observer for observer in self.observers if observer.schedule.due(step)]

    def follow(self, residuals: Tensor) -> None:
        """Tell the analyzers that follow every step of its residuals, (equations, points), if any."""
        if not len(residuals):
            return
        for name, analyzer in ((o.analyzer.name, o.analyzer) for o in self.observers):
            if name in self.memories:
                with self.timed(name), torch.no_grad():
                    self.memories[name] = analyzer.follow(self.memories[name], residuals)

    def observe(self, view: View, losses: Mapping[str, Any], observers: Sequence[Observer]) -> None:
        """Record the losses of a step and what these analyzers find at it."""
        self.records.add(view.step, losses)
        for observer in observers:
            self._ask(observer.analyzer, view)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the time of the block to `name`, but for what compiling took of it."""
        begin, compiling = time.perf_counter(), self.seconds.get(COMPILING, 0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begin
            elapsed -= self.seconds.get(COMPILING, 0.0) - compiling
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed

    def compiled(self, seconds: float, found: bool) -> None:
        """Count what it took to have a function compiled, or to find it compiled by an earlier run."""
        self.seconds[COMPILING] = self.seconds.get(COMPILING, 0.0) + seconds
        self._compiled[found] = self._compiled.get(found, 0.0) + seconds

    def tell_compiled(self, step: int) -> None:
        """Say what compiling took since this was last said, if it was long enough to be noticed."""
        for found, seconds in self._compiled.items():
            if seconds > WORTH_TELLING:
                how = "found it compiled by an earlier run, in" if found else "compiled in"
                self.reporter.note(f"step {step:,}: {how} {seconds:.0f} s")
        self._compiled.clear()

    def _ask(self, analyzer: Analyzer, view: View) -> None:
        """Record what this one finds, or that it fails: the training goes on.

        Raises:
            PinnError: the analyzer says what the user can mend.
            MemoryError, RuntimeError: memory ran out.
        """
        try:
            with self.timed(analyzer.name):
                found = analyzer.measure(view)
                if not isinstance(found, Mapping):
                    kind = type(found).__name__
                    raise TypeError(f"measure returned {kind}, not {{quantity: value}}")
                if found:
                    self.records.add(view.step, found, analyzer.name)
        except Unavailable as error:
            self._note_failure(analyzer, str(error), view.step)
            return
        except Exception as error:
            if isinstance(error, PinnError) or out_of_memory(error):
                raise
            self._note_failure(analyzer, self._explain(error, analyzer), view.step)
            return
        self.measured.add(analyzer.name)
        self.announced |= {event for event in analyzer.events if found.get(event) is not None}
        if analyzer.shows is not None and analyzer.shows in found:
            self.shown[analyzer.shows] = found[analyzer.shows]

    def _note_failure(self, analyzer: Analyzer, text: str, step: int) -> None:
        """Record it, and tell of it once."""
        name = f"{analyzer.name}.{FAILURE}"
        if text not in self.records.series(name)[1].tolist():
            self.reporter.note(
                f"step {step:,}: analyzer {analyzer.name!r} fails: {text}; training goes on, and it is "
                "tried again when it is next due"
            )
        self.records.add(step, {name: text}, analyzer.name)
