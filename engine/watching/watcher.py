"""Follows a training loop that somebody else wrote, step by step."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim import Optimizer

from pinn.core.blame import explained_closely
from pinn.core.errors import PinnError
from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine.configuration.config import WATCHED, Observer, differences
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.watched import Watched
from pinn.engine.training.environment import environment
from pinn.engine.training.observing import Observing
from pinn.engine.training.progress import Reporter
from pinn.engine.training.results import write_predictions, write_summary
from pinn.engine.training.state import initial_memories
from pinn.engine.training.undisturbed import undisturbed
from pinn.engine.watching.loop import WatchedLoop
from pinn.engine.watching.losses import by_equation


class Watcher:
    """What `watch` returns. Call `step` behind every step of the optimizer, and `close` at the end.

    As a context manager it closes itself, also where the loop fails: then as a run that is not complete.

    Attributes:
        optimizer: that trains now; set it where a loop goes on with another one.
        steps: how many were made.
        records: what was measured.
    """

    def __init__(
        self,
        loop: WatchedLoop,
        watched: Watched,
        optimizer: Optimizer,
        directory: RunDirectory,
        start: int,
        overwrite: bool,
        reporter: Reporter,
    ) -> None:
        self.optimizer = optimizer
        self.steps = start
        self._start = start
        self._loop = loop
        self._watched = watched
        self._directory = directory
        self._reporter = reporter
        self._followed: Tensor | None = None
        """The points that the memories of analyzers are of."""
        self._loss: Tensor | float | None = None
        self._held = ExitStack()
        self._held.enter_context(directory.locked())
        try:
            self._observing = self._claim(overwrite)
        except BaseException:
            self._held.close()
            raise
        self._open = True
        options = watched.options
        reporter.begin(start, options.steps or 0)
        reporter.note(
            f"watching {options.name}: {options.parameters:,} parameters, {options.points:,} points; "
            f"{', '.join(o.analyzer.name for o in watched.observers) or 'no analyzer'}"
        )
        self._mark = time.perf_counter()

    @property
    def records(self) -> Records:
        return self._observing.records

    def _claim(self, overwrite: bool) -> Observing:
        """Describe the loop in its directory, and go on with what was measured there before."""
        directory, options = self._directory, self._watched.options
        if overwrite:
            _clear(directory)
        records = directory.records()
        if records.damage:
            self._reporter.note(directory.set_damage_aside(records))
        if records.rows and directory.config.exists():
            self._check_same()
        forgotten = int((records.rows.steps > self.steps).sum())
        if forgotten:
            self._reporter.note(f"{forgotten} measurements after step {self.steps:,} are forgotten")
        records.keep_until(self.steps)
        analyzers = [observer.analyzer for observer in self._watched.observers]
        frameworks = [options.framework] if options.framework else []
        directory.describe(self._watched, environment(options.device, analyzers, *frameworks))
        seconds = {"training": float(records.last("seconds") or 0.0)}
        return Observing(
            self._watched.observers, records, self._reporter, explained_closely, {}, seconds
        )

    def _check_same(self) -> None:
        there = self._directory.read_config()
        assert isinstance(there, Watched)
        old, new = (_comparable(watched) for watched in (there, self._watched))
        if differing := differences(old, new):
            lines = "\n".join(f"  {difference}" for difference in differing)
            raise PinnError(
                f"{self._directory.path}: something else was watched there:\n{lines}\n"
                "choose another directory, or pass overwrite=True"
            )

    def step(self, loss: Tensor | float | None = None, residuals: Any = None) -> None:
        """Tell of a step that the optimizer made; measures what is due after it.

        Where nothing is due it only counts.

        Args:
            loss: that the step was taken with; if left out, the sum of its terms after the step.
            residuals: of the points at this step, for the analyzers that follow every step; shapes as
                those of `watch(residuals=…)`.
        """
        if not self._open:
            raise PinnError(f"{self._directory.path}: the watcher is closed already")
        self.steps += 1
        self._loss = loss.detach() if isinstance(loss, Tensor) else loss
        if residuals is not None:
            self._follow(residuals)
        due = self._observing.due(self.steps)
        if due or self.steps % self._watched.options.record == 0:
            self._observe(due)

    def close(self, complete: bool = True) -> None:
        """Measure the last step and write summary and report; closing again does nothing.

        Args:
            complete: whether the loop made all its steps; if not, nothing more is measured.
        """
        if not self._open:
            return
        self._open = False
        with self._held:
            if complete and self.steps > self._start:
                self._observe_rest()
            self.records.write()  # what was being measured when the loop was interrupted
            self._reporter.end()
            self._write_results(complete)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self.close(complete=kind is None)
        except PinnError as fault:
            if kind is None:
                raise
            self._reporter.note(f"no report: {fault}")  # the error of the loop is the one to see

    def view(self) -> View:
        """What analyzers see of the step that was made last."""
        memories = self._observing.memories
        return self._loop.view(self.steps, self.optimizer, memories, self.records)

    def _follow(self, residuals: Any) -> None:
        """Tell the analyzers that follow every step; their memories start again where points move."""
        memories = self._observing.memories
        if self._followed is not None and not memories:
            return  # nobody follows
        begin = time.perf_counter()
        points = self._followed
        if points is None or self._loop.sources.points_move:
            points = self._loop.sources.current_points()
        if self._followed is None or not torch.equal(points, self._followed):
            self._followed = points.clone()
            analyzers = (observer.analyzer for observer in self._watched.observers)
            memories.clear()
            memories.update(initial_memories(analyzers, points))
        named = by_equation(residuals, len(points), "step(residuals)")
        self._observing.follow(torch.stack(list(named.values())).detach())
        self._mark += time.perf_counter() - begin

    def _observe(self, due: Sequence[Observer]) -> None:
        """Record the loss and what is due."""
        loss = None if self._loss is None else float(self._loss)  # waits for the device
        self._observing.seconds["training"] += time.perf_counter() - self._mark
        before = set(self._observing.announced)
        with undisturbed(self._loop.losses.module):
            view = self.view()
            found = self._losses(view, loss)
            self._observing.observe(view, found, due)
        self.records.write()
        self._note_events(before)
        self._reporter.step(self.steps, found["loss"], self._observing.shown)
        self._mark = time.perf_counter()

    def _observe_rest(self) -> None:
        """Measure at the last step what no schedule asked for."""
        if not self.records.rows or self.records.rows[-1]["step"] < self.steps:
            self._observe(self._watched.observers)
            return
        due = self._observing.due(self.steps)
        before = set(self._observing.announced)
        self.records.reopen()
        with undisturbed(self._loop.losses.module):
            rest = [observer for observer in self._watched.observers if observer not in due]
            self._observing.observe(self.view(), {}, rest)
        self.records.write()
        self._note_events(before)

    def _note_events(self, before: set[str]) -> None:
        for event in sorted(self._observing.announced - before):
            step = self.records.last(event)
            self._reporter.note(f"{event.replace('_', ' ')} from step {step:,}")

    def _losses(self, view: View, loss: float | None) -> dict[str, float]:
        given = {} if loss is None else {"loss": loss}
        return {
            **self._loop.terms(view),
            **given,
            "learning_rate": float(self.optimizer.param_groups[0].get("lr", math.nan)),
            "seconds": self._observing.seconds["training"],
        }

    def _write_results(self, complete: bool) -> None:
        options, loop = self._watched.options, self._loop
        write_summary(
            self._directory,
            self._observing,
            options.name,
            complete,
            self.steps,
            options.parameters,
        )
        if (grid := loop.solution.grid) is not None:
            with undisturbed(loop.losses.module):
                write_predictions(self._directory, grid, loop.solution.on(grid))
        self._reporter.note("drawing the report")
        from pinn.engine.reporting.report import draw_report  # now: matplotlib is slow to load

        self._reporter.note(f"report: {draw_report(self._directory, self._watched, self.records)}")


def _clear(directory: RunDirectory) -> None:
    """Remove what a watcher writes, and nothing else."""
    for file in (
        directory.config,
        directory.environment,
        directory.metrics,
        directory.summary,
        directory.predictions,
        directory.report,
    ):
        file.unlink(missing_ok=True)
    shutil.rmtree(directory.figures, ignore_errors=True)


def _comparable(watched: Watched) -> dict[str, Any]:
    """The description without what may change where a loop is resumed."""
    table = watched.table()
    free = ("device", "optimizer", "points", "steps", "framework")
    own = {key: value for key, value in table[WATCHED].items() if key not in free}
    return {**table, WATCHED: own}
