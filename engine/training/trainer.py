"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from pinn.core.blame import blaming, by
from pinn.core.errors import PinnError, TrainingError, nearest, one_of
from pinn.core.parts import Analyzer
from pinn.core.randomness import global_state, restore_global_state
from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine.configuration.config import Config, Observer
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.derivatives.unknowns import unknown_quantities
from pinn.engine.training import checkpoint
from pinn.engine.training.evaluation import Evaluator
from pinn.engine.training.objective import Evaluation, Objective
from pinn.engine.training.observing import measured
from pinn.engine.training.progress import Reporter
from pinn.engine.training.state import State

WALL = 1e30
"""The loss that a line search sees where the true one is not finite."""


class Trainer:
    """Moves a state to the end of its stages, recording and saving on the way."""

    def __init__(
        self,
        config: Config,
        state: State,
        objective: Objective,
        evaluator: Evaluator,
        directory: RunDirectory,
        records: Records,
        reporter: Reporter,
    ) -> None:
        self.config = config
        self.state = state
        self.objective = objective
        self.evaluator = evaluator
        self.directory = directory
        self.records = records
        self.reporter = reporter
        self.shown: dict[str, Any] = {}
        self.measured: set[str] = set()
        self.evaluation: Evaluation | None = None

    @property
    def done(self) -> bool:
        last = self.state.stage == len(self.config.stages) - 1
        return last and self.stage_done

    @property
    def stage_done(self) -> bool:
        stage = self.config.stages[self.state.stage]
        return self.state.stage_over or self.state.stage_step >= stage.steps

    def run(self, stop: Callable[[], bool]) -> None:
        """Train until every stage is done or `stop` says so; either way the end is saved."""
        while not self.done and not stop():
            with blaming(lambda: self.state.step):
                self.advance()
            assert self.evaluation is not None
            self.reporter.step(self.state.step, float(self.evaluation.loss), self.shown)
            if self._due(self.config.run.checkpoint) or self.stage_done:
                self.save()
        self.save()

    def advance(self) -> None:
        """Go on by one step, with a new stage or new points where they are due, and observe it."""
        if self.stage_done:
            self.state.next_stage(self.config)
        if self._due(self.config.points.options.redraw):
            self.state.redraw(self.config, self.view().residuals)
            self.reporter.note(f"step {self.state.step}: new points; their weights start again")
        with self._timed("training"):
            self.step()
        assert self.evaluation is not None
        self.follow(self.evaluation.residuals)
        self.observe()

    def step(self) -> None:
        """One optimizer step: residuals → weights → loss → gradient → parameters."""
        state = self.state
        stage = self.config.stages[state.stage]
        rate = stage.optimizer.learning_rate(state.stage_step, stage.steps)
        if rate is not None:
            for group in state.optimizer.param_groups:
                group["lr"] = rate
        self.evaluation = None
        state.optimizer.step(self.closure)  # type: ignore[arg-type]
        if self.evaluation is None:
            optimizer = stage.optimizer
            raise PinnError(
                f"optimizer {optimizer.name!r}{by(optimizer)} made a step without calling the closure "
                "that it is given, which computes loss and gradient"
            )
        state.weights = self.evaluation.weights
        state.step += 1
        state.stage_step += 1

    def follow(self, residuals: torch.Tensor) -> None:
        """Tell the analyzers that follow every step of its residuals."""
        for observer in self.config.observers:
            analyzer, memories = observer.analyzer, self.state.memories
            if analyzer.name in memories:
                with self._timed(analyzer.name), torch.no_grad():
                    memories[analyzer.name] = analyzer.follow(memories[analyzer.name], residuals)

    def closure(self) -> torch.Tensor:
        """Loss and gradient at the parameters as they are.

        The first call of a step updates the weights; a line search then tries other parameters under
        the same weights, and may step where the loss is not finite: it is shown a wall there.
        """
        first = self.evaluation is None
        weights = self.state.weights if self.evaluation is None else self.evaluation.weights
        parameters = self.objective.parameters
        evaluation = self.objective.evaluate(parameters, self.state.points, weights, update=first)
        norms = torch.stack(torch._foreach_norm(evaluation.gradient))  # type: ignore[arg-type]
        finite = bool(torch.isfinite(evaluation.terms).all() & torch.isfinite(norms).all())
        if first:
            if not finite:
                raise self.not_finite(evaluation)
            self.evaluation = evaluation
        for parameter, gradient in zip(parameters, evaluation.gradient, strict=True):
            parameter.grad = gradient if finite else torch.zeros_like(parameter)
        return evaluation.loss if finite else torch.full_like(evaluation.loss, WALL)

    def not_finite(self, evaluation: Evaluation) -> TrainingError:
        losses = dict(zip(self.objective.names, evaluation.terms.tolist(), strict=True))
        wrong = [f"the loss of {n!r} is {v}" for n, v in losses.items() if not math.isfinite(v)]
        cause = "; ".join(wrong) or "the loss is finite, its gradient is not"
        saved = checkpoint.newest_first(self.directory.checkpoints)
        kept = f"the last good checkpoint is {saved[0]}" if saved else "no checkpoint was due yet"
        advice = 'A smaller learning rate, precision = "float64" or another seed may help'
        if not self.state.step:
            advice = "Look for divisions, roots and logarithms in it that have no value somewhere"
        return TrainingError(
            f"step {self.state.step + 1}: {cause}. Training stopped before the optimizer moved; "
            f"{kept}. {advice}"
        )

    def observe(self) -> None:
        """Record what is due after this step; after the last one, everything."""
        state = self.state
        due = [o for o in self.config.observers if self.done or o.schedule.due(state.step)]
        view = self.view()
        if due or self._due(self.config.run.record):
            self.records.add(state.step, self.losses())
        self.measure(due, view)
        if self.records.unwritten and self.until_met():
            state.stage_over = True
            until = self.config.stages[state.stage].options.until
            self.reporter.note(f"step {state.step:,}: {until}: the stage ends")
            later = self.config.stages[state.stage + 1 :]
            self.reporter.shorten(state.step + sum(stage.steps for stage in later))
        if self.done:
            self.records.add(state.step, self.losses())
            self.measure([o for o in self.config.observers if o not in due], view)
        self.records.write()

    def until_met(self) -> bool:
        """Whether the stage is to end here.

        Raises:
            PinnError: everything was recorded once, and what the stage waits for is not among it, or
                is not a number.
        """
        until = self.config.stages[self.state.stage].until
        if until is None:
            return False
        if until.quantity:
            self.check_recorded(until.quantity)
        return until.met(self.records, self.state.step - self.state.stage_step)

    def check_recorded(self, quantity: str) -> None:
        where = f"[[optimizers]] {self.state.stage + 1} until"
        regular = {o.analyzer.name for o in self.config.observers if o.schedule.every}
        everything = regular <= self.measured and "loss" in self.records
        if everything and quantity not in self.records:
            names = self.records.names
            raise PinnError(
                f"{where}: nothing records {quantity!r}{nearest(quantity, names)}; "
                f"recorded are {one_of(names)}"
            )
        if isinstance(self.records.rows[-1].get(quantity), str | list):
            raise PinnError(f"{where}: what is recorded as {quantity!r} is not a number")

    def measure(self, observers: Sequence[Observer], view: View) -> None:
        """Record what these analyzers find, and leave the random generators as they were."""
        if not observers:
            return
        random = global_state()
        try:
            for observer in observers:
                self.ask(observer.analyzer, view)
        finally:
            restore_global_state(random)  # a network with dropout, say, draws from them

    def ask(self, analyzer: Analyzer, view: View) -> None:
        """Record what this one finds, or that it fails: the training goes on."""
        with self._timed(analyzer.name):
            found = measured(analyzer, view, self.records, self.reporter)
        if found is None:
            return
        self.measured.add(analyzer.name)
        if analyzer.shows is not None and analyzer.shows in found:
            self.shown[analyzer.shows] = found[analyzer.shows]

    def losses(self) -> dict[str, Any]:
        assert self.evaluation is not None
        terms = dict(zip(self.objective.names, self.evaluation.terms.tolist(), strict=True))
        rate = self.state.optimizer.param_groups[0].get("lr", math.nan)
        return {
            "loss": sum(terms.values()),
            **{f"loss.{name}": value for name, value in terms.items()},
            "loss.unweighted": self.unweighted_loss(),
            "learning_rate": float(rate),
            "seconds": self.state.seconds["training"],
            **unknown_quantities(self.config.problem, dict(self.state.module.named_parameters())),
        }

    def unweighted_loss(self) -> float:
        """Σ mean r² + condition losses: comparable from step to step, whatever the weights do."""
        assert self.evaluation is not None
        conditions = self.evaluation.terms[len(self.objective.equations.names) :]
        return float((self.evaluation.residuals**2).mean(1).sum() + conditions.sum())

    def view(self) -> View:
        return View(
            step=self.state.step,
            problem=self.config.problem,
            objective=self.objective,
            points=self.state.points,
            weights=self.state.weights,
            memories=self.state.memories,
            optimizer=self.state.optimizer,
            evaluator=self.evaluator,
            records=self.records,
            seed=self.config.run.seed,
        )

    def save(self) -> None:
        """Checkpoint the state, unless this step is saved already."""
        saved = checkpoint.newest_first(self.directory.checkpoints)
        if self.evaluation is None or (saved and saved[0].name == f"step-{self.state.step:09d}.pt"):
            return
        loss = self.unweighted_loss()
        best = loss < self.state.best_loss
        self.state.best_loss = min(loss, self.state.best_loss)
        checkpoint.save(
            self.directory.checkpoints, self.state.step, self.state.to_checkpoint(), best
        )

    def _due(self, every: int) -> bool:
        return every > 0 and self.state.step > 0 and self.state.step % every == 0

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begin
            self.state.seconds[name] = self.state.seconds.get(name, 0.0) + elapsed
