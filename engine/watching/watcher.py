"""Follows a training loop that somebody else wrote, step by step."""

from __future__ import annotations

import json
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

from pinn.core.blame import failures
from pinn.core.errors import PinnError
from pinn.core.parts import Analyzer
from pinn.core.records import Records
from pinn.core.undisturbed import undisturbed
from pinn.core.view import View
from pinn.engine.configuration.config import WATCHED, Observer
from pinn.engine.configuration.differences import differences
from pinn.engine.configuration.directory import RunDirectory, environment
from pinn.engine.configuration.watched import Watched
from pinn.engine.training.checkpoint import write_atomically
from pinn.engine.training.observing import measured
from pinn.engine.training.progress import Reporter
from pinn.engine.training.results import write_predictions
from pinn.engine.watching.loop import WatchedLoop
from pinn.engine.watching.losses import rows


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
        self._seconds: dict[str, float] = {}
        """What training and each analyzer took, by name."""
        self._memories: dict[str, Tensor] = {}
        self._followed: Tensor | None = None
        """The points that the memories are of."""
        self._shown: dict[str, Any] = {}
        self._loss: Tensor | float | None = None
        self._held = ExitStack()
        self._held.enter_context(directory.locked())
        try:
            self._claim(overwrite)
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

    def _claim(self, overwrite: bool) -> None:
        if overwrite:
            _clear(self._directory)
        self.records = Records(self._directory.metrics)
        if self.records.rows and self._directory.config.exists():
            self._check_same()
        forgotten = sum(row["step"] > self.steps for row in self.records.rows)
        if forgotten:
            self._reporter.note(f"{forgotten} measurements after step {self.steps:,} are forgotten")
        self.records.keep_until(self.steps)
        self._seconds["training"] = float(self.records.last("seconds") or 0.0)
        options = self._watched.options
        names = {observer.analyzer.name for observer in self._watched.observers}
        frameworks = [options.framework] if options.framework else []
        self._directory.describe(self._watched, environment(options.device, names, *frameworks))

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
        due = [o for o in self._watched.observers if o.schedule.due(self.steps)]
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
        return self._loop.view(self.steps, self.optimizer, self._memories, self.records)

    def _follow(self, residuals: Any) -> None:
        """Tell the analyzers that follow every step; their memories start again where points move."""
        if self._followed is not None and not self._memories:
            return  # nobody follows
        begin = time.perf_counter()
        points = self._followed
        if points is None or self._loop.sources.points_move:
            points = self._loop.sources.current_points()
        if self._followed is None or not torch.equal(points, self._followed):
            self._followed = points.clone()
            begun = {o.analyzer.name: o.analyzer.start(points) for o in self._watched.observers}
            self._memories = {n: memory for n, memory in begun.items() if memory is not None}
        named = rows(residuals, len(points), "step(residuals)")
        found = torch.stack(list(named.values())).detach()
        with torch.no_grad():
            for observer in self._watched.observers:
                name = observer.analyzer.name
                if name in self._memories:
                    self._memories[name] = observer.analyzer.follow(self._memories[name], found)
        self._mark += time.perf_counter() - begin

    def _observe(self, due: Sequence[Observer]) -> None:
        """Record the loss and what is due."""
        loss = None if self._loss is None else float(self._loss)  # waits for the device
        self._seconds["training"] += time.perf_counter() - self._mark
        with undisturbed(self._loop.losses.module):
            view = self.view()
            found = self._quantities(view, loss)
            self.records.add(self.steps, found)
            for observer in due:
                self._measure(observer.analyzer, view)
        self.records.write()
        self._reporter.step(self.steps, found["loss"], self._shown)
        self._mark = time.perf_counter()

    def _observe_rest(self) -> None:
        """Of the last step, what no schedule asked for."""
        if not self.records.rows or self.records.rows[-1]["step"] < self.steps:
            self._observe(self._watched.observers)
            return
        self.records.reopen()
        with undisturbed(self._loop.losses.module):
            view = self.view()
            for observer in self._watched.observers:
                if not observer.schedule.due(self.steps):
                    self._measure(observer.analyzer, view)
        self.records.write()

    def _measure(self, analyzer: Analyzer, view: View) -> None:
        known = {event for event in analyzer.events if event in self.records}
        begin = time.perf_counter()
        found = measured(analyzer, view, self.records, self._reporter) or {}
        elapsed = time.perf_counter() - begin
        self._seconds[analyzer.name] = self._seconds.get(analyzer.name, 0.0) + elapsed
        for event in analyzer.events:
            if found.get(event) is not None and event not in known:
                self._reporter.note(f"{event.replace('_', ' ')} from step {found[event]:,}")
        if analyzer.shows is not None and analyzer.shows in found:
            self._shown[analyzer.shows] = found[analyzer.shows]

    def _quantities(self, view: View, loss: float | None) -> dict[str, float]:
        given = {} if loss is None else {"loss": loss}
        return {
            **self._loop.terms(view),
            **given,
            "learning_rate": float(self.optimizer.param_groups[0].get("lr", math.nan)),
            "seconds": self._seconds["training"],
        }

    def _write_results(self, complete: bool) -> None:
        training, last = self._seconds["training"], self.records.rows[-1:]
        summary = {
            "problem": self._watched.options.name,
            "complete": complete,
            "steps": self.steps,
            "parameters": self._watched.options.parameters,
            "final": {n: v for row in last for n, v in row.items() if not isinstance(v, list)},
            "seconds": self._seconds,
            "failures": {
                o.analyzer.name: texts
                for o in self._watched.observers
                if (texts := failures(o.analyzer.name, self.records))
            },
            "steps_per_second": self.steps / training if training else None,
        }
        write_atomically(self._directory.summary, json.dumps(summary, indent=2).encode())
        if (grid := self._loop.solution.grid) is not None:
            with undisturbed(self._loop.losses.module):
                write_predictions(self._directory, grid, self._loop.solution.on(grid))
        self._reporter.note("drawing the report")
        from pinn.engine.reporting.report import write_report  # now: matplotlib is slow to load

        self._reporter.note(f"report: {write_report(self._directory, self._watched, self.records)}")


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
    """Without what may change where a loop is resumed."""
    table = watched.table()
    free = ("device", "optimizer", "points", "steps", "framework")
    own = {key: value for key, value in table[WATCHED].items() if key not in free}
    return {**table, WATCHED: own}
