"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from attrs import define, evolve, field
from torch import Tensor

from pinn.core.errors import PartError, PinnError, TrainingError, Whence, nearest, one_of
from pinn.core.parts import Terms
from pinn.core.randomness import numpy_generator
from pinn.core.records import Records
from pinn.core.tracebacks import first_line
from pinn.core.view import View
from pinn.engine.configuration.config import Config, Stage
from pinn.engine.configuration.directory import RunDirectory, of_run
from pinn.engine.derivatives.unknowns import unknown_quantities
from pinn.engine.training import checkpoint
from pinn.engine.training.closure import Closure
from pinn.engine.training.evaluation import Evaluator
from pinn.engine.training.launch import AT_MOST, WORTH, Launch, at_once, repeatable
from pinn.engine.training.objective import Evaluation, Objective
from pinn.engine.training.observing import Observing
from pinn.engine.training.processes import Processes
from pinn.engine.training.progress import Reporter
from pinn.engine.training.sampling import draw_conditions, part_of, redraw_interior
from pinn.engine.training.state import State
from pinn.engine.training.undefined import undefined
from pinn.engine.training.undisturbed import undisturbed

SECONDS = 120.0
"""Between two checkpoints at most, but for the time of a step."""


@define(eq=False, slots=False)
class Trainer:
    """Moves a state to the end of its stages, recording and saving on the way."""

    config: Config
    state: State
    objective: Objective
    evaluator: Evaluator
    directory: RunDirectory
    observing: Observing
    closure: Closure = field(init=False)
    at_once: int = field(init=False)
    """Steps that a launch may make."""
    launch: Launch | None = field(default=None, init=False)
    _redrawn_in: int | None = field(default=None, init=False)
    """The stage whose first new points were told of."""
    _saved_at: float = field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        self.closure = Closure(self.state, self.objective, self.not_finite)
        alone = self.processes.count == 1
        self.at_once = at_once(self.state.weights.device) if alone else 1
        self.use_loss_of_stage()

    @property
    def evaluation(self) -> Evaluation | None:
        """What the step saw that was made last in this process."""
        return self.closure.evaluation

    @property
    def records(self) -> Records:
        return self.observing.records

    @property
    def reporter(self) -> Reporter:
        return self.observing.reporter

    @property
    def processes(self) -> Processes:
        return self.objective.processes

    @property
    def stage(self) -> Stage:
        return self.config.stages[self.state.stage]

    @property
    def done(self) -> bool:
        last = self.state.stage == len(self.config.stages) - 1
        return last and self.stage_done

    @property
    def stage_done(self) -> bool:
        return self.state.stage_over or self.state.stage_step >= self.stage.steps

    def run(
        self, stop: Callable[[], bool], guard: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Train until every stage is done or `stop` says so; either way the end is saved.

        So is the beginning, before anything is recorded: records without a checkpoint are damage then.

        Args:
            guard: what each step is made in; it words the errors of parts.
        """
        if not self.state.step:
            self.save(regular=False)
        while not self.done and not self.processes.any(stop()):
            with guard():
                self.prepare()
                self.advance()
            self.conclude()
        self.save(regular=self.done)

    def prepare(self) -> None:
        """Have ready what the next step needs: its stage, its points, factors and learning rate."""
        if self.stage_done:
            self.begin_stage()
        resized = self.stage.points.interior != len(self.state.points.interior)
        if resized or self._due(self.stage.points.redraw):
            self.redraw()
        if self.may_undo and not self.state.kept:
            self.state.keep()
        with self.observing.timed("training"):
            if self._due(self.config.balancing.balanced_every()) or not self.state.step:
                self.balance()
            self.look_back()
            self.use_rate()

    def advance(self) -> None:
        """Go on by one step, or by those of a launch, and measure what is due."""
        with self.observing.timed("training"):
            launched = self.launched()
            evaluation = launched or self.step()
        if not launched:
            self.observing.follow(evaluation.residuals)
        self.observe(evaluation)

    def observe_last(self) -> None:
        """Measure what is due behind steps that were made elsewhere."""
        assert self.evaluation is not None
        self.observe(self.evaluation)

    def conclude(self) -> None:
        """Tell of the steps that were made, and save them where that is due."""
        assert self.evaluation is not None
        self.observing.tell_compiled(self.state.step)
        self.reporter.step(self.state.step, float(self.evaluation.loss), self.observing.shown)
        if self._due(self.config.run.checkpoint) or self.stage_done:
            self.save()
        elif time.monotonic() - self._saved_at > SECONDS:
            self.save(regular=False)

    def begin_stage(self) -> None:
        """The next one; other points or another problem begin anew, and what is best with the latter."""
        before, state = self.stage, self.state
        state.next_stage(self.config.stages[state.stage + 1])
        stage, config, like = self.stage, self.config, state.points.interior
        moved = stage.within != before.within
        otherwise = stage.sampler != before.sampler
        if otherwise:
            state.pool = None
        if stage.problem != before.problem or moved:
            drawn = draw_conditions(
                stage.problem, config.points_of(stage), config.run.seed, like, stage.within
            )
            state.points = evolve(state.points, conditions=drawn)
            state.best_loss = math.inf
        self.use_loss_of_stage()
        if moved or otherwise:
            self.redraw(anew=True)

    def use_loss_of_stage(self) -> None:
        balance, factors = self.state.balance, dict(self.stage.factors)
        for name, factor in balance.items():
            factors[name] = factor * factors.get(name, 1.0)
        stage = self.stage
        self.objective = self.objective.changed(
            stage.problem, factors, stage.points.chunk, stage.options.pseudo_time
        )
        if self.state.rates is not None:
            self.objective.remember(self.state.earlier, self.state.rates)
        self.closure.use(self.objective)

    def look_back(self) -> None:
        """Have `q.earlier` see the fields as they are now, where something asks for it and it is due."""
        state, objective, options = self.state, self.objective, self.stage.options
        if not objective.remembers or state.stage_step % options.renew:
            return
        state.rates = torch.zeros_like(objective.fixed.rates)
        if options.time_step is not None:
            state.rates += 1 / options.time_step
        elif state.stage_step:
            state.rates = objective.rates_of_change(state.points.interior)
        parameters = zip(objective.parameter_names, objective.parameters, strict=True)
        state.earlier = {name: parameter.detach().clone() for name, parameter in parameters}
        objective.remember(state.earlier, state.rates)
        self.closure.use(objective)

    def balance(self) -> None:
        """Other factors of the terms of the loss, where the weighting chooses them.

        Raises:
            PartError: it names other terms, or a factor is not a finite number of at least 0.
        """
        weighting, state, objective = self.config.balancing, self.state, self.objective
        if not weighting.balanced_every():
            return
        equations = objective.equations.names
        terms = Terms(
            equations,
            objective.names[len(equations) :],
            {name: state.balance.get(name, 1.0) for name in objective.names},
            *objective.gradients_of_terms(state.points, state.weights),
            lambda: objective.traces(state.points, state.weights),
            state.balance_memory,
            numpy_generator(self.config.run.seed, "balance", state.step),
        )
        found = weighting.balance(terms)
        for name, factor in found.items():
            if name not in objective.names or not 0 <= float(factor) < math.inf:
                raise PartError(
                    f"weighting {weighting.name!r}",
                    Whence(weighting),
                    f" balances {name!r} with {factor}: expected factors of at least 0 for "
                    f"{one_of(objective.names)}",
                )
        state.balance_memory = dict(weighting.remember(terms))
        state.balance = state.balance | {name: float(factor) for name, factor in found.items()}
        self.use_loss_of_stage()

    def redraw(self, anew: bool = False) -> None:
        """Other interior points, as many as the stage has."""
        config, state = self.config, self.state
        interior, pool = self.drawn(anew)
        if self.undone(interior):
            interior, pool = self.drawn(anew)
        state.pool = pool
        state.move_points(interior, config.weighting, (o.analyzer for o in config.observers))
        state.kept = {}
        if self._redrawn_in != state.stage:
            every = self.stage.points.redraw
            often = f", and so every {every:,} steps" if every else ""
            weights = "" if config.weighting.static else "; their weights start again"
            self.reporter.note(f"step {state.step}: new points{weights}{often}")
        self._redrawn_in = state.stage

    def drawn(self, anew: bool) -> tuple[Tensor, Tensor | None]:
        """New interior points, and what the sampler remembers of them."""
        config, state = self.config, self.state
        return redraw_interior(
            self.stage.sampler,
            part_of(config.problem.domain, self.stage.within),
            config.run.seed,
            state.draws,
            self.stage.points.interior,
            state.points.interior,
            self.objective.residuals_alone,
            state.pool,
            anew,
        )

    @property
    def may_undo(self) -> bool:
        """A single step on its points is left as it is: to look at them would cost as much."""
        points, equations = self.stage.points, self.objective.equations.names
        return points.undo > 0 and points.redraw > 1 and bool(equations)

    def undone(self, interior: Tensor) -> bool:
        """Whether the steps since points were drawn have fitted these alone, and are undone.

        They have where the residual is far larger on new points than on theirs, and larger there than
        that of the network before them.
        """
        state, undo = self.state, self.stage.points.undo
        if not state.kept:
            return False
        named, parameters = self.objective.parameter_names, tuple(self.objective.parameters)
        earlier = tuple(state.kept["module"][name].to(interior) for name in named)
        before = self.mean_square(interior, earlier)
        now = self.mean_square(interior, parameters)
        fitted = self.mean_square(state.points.interior, parameters)
        if not (now > undo * fitted and now > undo * before):
            return False
        state.go_back(self.stage.optimizer)
        self.launch = None  # it holds the optimizer's tensors of before
        self.reporter.note(
            f"step {state.step:,}: the residual's mean square is {fitted:.1e} on the points of the last "
            f"steps, and {now:.1e} on new ones, where it was {before:.1e} before these steps: they have "
            "fitted their points alone, and are undone. More points ([points] interior) may help"
        )
        return True

    def mean_square(self, interior: Tensor, parameters: tuple[Tensor, ...]) -> float:
        """Σ mean r² over the equations."""
        found = self.objective.residuals_alone(interior, parameters)
        return float(found.square().mean(1).sum())

    def step(self) -> Evaluation:
        """One optimizer step: residuals → weights → loss → gradient → parameters."""
        state, stage = self.state, self.stage
        self.closure.begin()
        state.optimizer.step(self.closure)  # type: ignore[arg-type]
        if self.evaluation is None or not self.closure.asked:
            raise PartError(
                f"optimizer {stage.optimizer.name!r}",
                Whence(stage.optimizer),
                " made a step without calling the closure that it is given, which computes loss and "
                "gradient",
            )
        state.weights = self.evaluation.weights
        state.step += 1
        state.stage_step += 1
        return self.evaluation

    def rate(self, later: int = 0) -> float | None:
        """Of the next step, or of one so many steps later; None: the optimizer has one of its own."""
        return self.stage.optimizer.learning_rate(self.state.stage_step + later, self.stage.steps)

    def use_rate(self) -> None:
        rate = self.rate()
        if rate is not None:
            for group in self.state.optimizer.param_groups:
                group["lr"] = rate

    def launched(self) -> Evaluation | None:
        """The last of the steps up to the next at which anything is due, made in one launch.

        None: none was made, since steps are made one by one here; those of a launch that met a loss that
        is not finite as well, so that the one it belongs to is found.
        """
        state = self.state
        if self.at_once < WORTH or not state.stage_step or not repeatable(state.optimizer):
            return None
        steps = self.quiet_steps()
        if steps < WORTH:
            return None
        rate = self.rate()
        if self.launch is None or not self.launch.fits(state, self.objective, rate):
            self.launch = None  # its memory is free for the next
            observers = self.observing.observers
            following = {o.analyzer.name: o.analyzer for o in observers}
            followers = {name: following[name] for name in state.memories}
            self.launch = Launch(state, self.objective, followers, rate)
        try:
            made = self.launch.make(steps)
        except RuntimeError as error:
            self.launch, self.at_once = None, 1
            self.reporter.note(f"steps are launched one by one: {first_line(error)}")
            return None
        if not made:
            return None
        self.closure.evaluation = self.launch.evaluation
        return self.launch.evaluation

    def quiet_steps(self) -> int:
        """How many steps to the next at which anything is due, or behind which the rate is another."""
        steps = 1
        while steps < AT_MOST and not self.due_in(steps):
            steps += 1
        return steps

    def due_in(self, steps: int) -> bool:
        """Whether anything is due between the last of so many steps and the one that follows."""
        state, stage, run = self.state, self.stage, self.config.run
        step, of_stage = state.step + steps, state.stage_step + steps
        balanced = self.config.balancing.balanced_every()
        regular = run.record, run.checkpoint, stage.points.redraw, balanced
        looks_back = self.objective.remembers and of_stage % stage.options.renew == 0
        return (
            of_stage >= stage.steps
            or any(every > 0 and step % every == 0 for every in regular)
            or looks_back
            or self.rate(steps) != self.rate()
            or bool(self.observing.due(step))
        )

    def not_finite(self, evaluation: Evaluation) -> TrainingError:
        cause, where = undefined(self.objective, evaluation, self.state.points)
        saved, *_ = checkpoint.newest_first(self.directory.checkpoints)
        advice = 'A smaller learning rate, precision = "float64" or another seed may help'
        if not self.state.step:
            advice = where
        return TrainingError(
            f"step {self.state.step + 1}: {cause}. Training stopped before the optimizer moved; "
            f"the last good checkpoint is {saved}. {advice}"
        )

    def observe(self, evaluation: Evaluation) -> None:
        """Record what is due after this step; after the last one, everything."""
        observing, step = self.observing, self.state.step
        due = list(observing.observers) if self.done else observing.due(step)
        if due or self.done or self._due(self.config.run.record):
            with undisturbed(self.state.module):  # a network with dropout, say, draws numbers
                view = self.view()
                observing.observe(view, self.losses(evaluation), due)
                if self.until_met():
                    self.end_stage()
                    rest = [o for o in observing.observers if o not in due] if self.done else []
                    observing.observe(view, {}, rest)
        self.records.write()

    def until_met(self) -> bool:
        """Whether the stage is to end here.

        Raises:
            PinnError: everything was recorded once, and what the stage waits for is not among it, or
                is not a number.
        """
        until = self.stage.until
        if until is None:
            return False
        if until.quantity:
            self.check_recorded(until.quantity)
        met = until.met(self.records, self.state.step - self.state.stage_step)
        return self.processes.told(met)  # seconds differ

    def end_stage(self) -> None:
        state = self.state
        state.stage_over = True
        self.reporter.note(f"step {state.step:,}: {self.stage.options.until}: the stage ends")
        later = self.config.stages[state.stage + 1 :]
        self.reporter.shorten(state.step + sum(stage.steps for stage in later))

    def check_recorded(self, quantity: str) -> None:
        where = f"[[optimizers]] {self.state.stage + 1} until"
        regular = {o.analyzer.name for o in self.config.observers if o.schedule.every}
        everything = regular <= self.observing.measured and "loss" in self.records
        if everything and quantity != "step" and quantity not in self.records:
            names = self.records.names
            raise PinnError(
                f"{where}: nothing records {quantity!r}{nearest(quantity, names)}; "
                f"recorded are {one_of(names)}"
            )
        if isinstance(self.records.rows[-1].get(quantity), str | list):
            raise PinnError(f"{where}: what is recorded as {quantity!r} is not a number")

    def losses(self, evaluation: Evaluation) -> dict[str, Any]:
        terms = dict(zip(self.objective.names, evaluation.terms.tolist(), strict=True))
        squares = self.mean_squares(evaluation)
        rate = self.state.optimizer.param_groups[0].get("lr", math.nan)
        return {
            "loss": sum(terms.values()),
            **{f"loss.{name}": value for name, value in terms.items()},
            "loss.unweighted": unweighted_loss(evaluation, squares),
            **{f"misfit.{name}": math.sqrt(square) for name, square in squares.items()},
            "learning_rate": float(rate),
            "seconds": self.state.seconds["training"],
            **{f"factor.{name}": value for name, value in self.state.balance.items()},
            **self.time_steps(),
            **unknown_quantities(self.config.problem, dict(self.state.module.named_parameters())),
        }

    def time_steps(self) -> dict[str, float]:
        """τ of the equations that advance in pseudo-time, once they do."""
        rates = [] if self.state.rates is None else self.state.rates.tolist()
        named = zip(self.objective.advances, rates, strict=self.state.rates is not None)
        return {f"time_step.{name}": 1 / rate for name, rate in named if rate}

    def mean_squares(self, evaluation: Evaluation) -> dict[str, float]:
        """mean(r_c²) of each condition, but of those whose factor is 0."""
        named = zip(self.objective.names, evaluation.terms.tolist(), strict=True)
        factors = self.objective.factors.tolist()
        conditions = [*zip(named, factors, strict=True)][len(self.objective.equations.names) :]
        return {name: term / factor for (name, term), factor in conditions if factor}

    def view(self) -> View:
        """What analyzers see of the state as it is."""
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

    def save(self, regular: bool = True) -> None:
        """Checkpoint the state, unless this step is saved already.

        Args:
            regular: whether the configuration chose this step; the best is looked for at such steps
                alone, since what a state holds must not depend on the clock.
        """
        self._saved_at = time.monotonic()
        directory, state = self.directory.checkpoints, self.state
        saved = checkpoint.newest_first(directory)
        if saved and saved[0].name == f"step-{state.step:09d}.pt":
            return
        best = False
        if regular and self.evaluation is not None:
            loss = unweighted_loss(self.evaluation, self.mean_squares(self.evaluation))
            best = loss < state.best_loss
            state.best_loss = min(loss, state.best_loss)
        checkpoint.save(directory, state.step, state.to_checkpoint(), of_run(self.config), best)

    def _due(self, every: int) -> bool:
        return every > 0 and self.state.step > 0 and self.state.step % every == 0


def unweighted_loss(evaluation: Evaluation, of_conditions: Mapping[str, float]) -> float:
    """Σ_k mean(r_k²) + Σ_c mean(r_c²): whatever weights and factors do."""
    return float((evaluation.residuals**2).mean(1).sum()) + sum(of_conditions.values())
