"""Replicas of a run that differ in their seeds: their steps are made together, as one batch.

Small networks leave most of a processor idle. Stacked, their products are batched products, and what a
step costs besides is paid once for all. Each replica is a trainer of its own, with its points, records
and checkpoints; the steps between two measurements alone are made together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import torch
from attrs import define, field
from torch import Tensor

from pinn.core.tracebacks import first_line
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.launch import Repeated
from pinn.engine.training.loss import Fixed
from pinn.engine.training.objective import Evaluation
from pinn.engine.training.observing import COMPILING
from pinn.engine.training.trainer import Trainer

ELEMENTWISE = (
    torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam,
    torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.Adadelta,
)  # fmt: skip
"""Optimizers that move every number by its own gradients alone: stacked replicas do not meet."""
COUNTS = ("step", "mu_product", "eta", "mu")
"""What they remember that is one number for all, and does not depend on gradients."""


@define(eq=False)
class Replicas:
    """Trainers of one configuration and several seeds.

    Attributes:
        compiled: whether the steps that are made together are compiled.
    """

    trainers: Sequence[Trainer]
    compiled: bool
    _apart: bool = field(default=False, init=False)
    """Whether a step of all together failed, so that each makes its own."""
    _steps: dict[int, Callable[..., Any]] = field(factory=dict, init=False)
    """By the number of the stage."""
    _stack: Stack | None = field(default=None, init=False)

    def run(
        self,
        stop: Callable[[], bool],
        guard: Callable[[Trainer], AbstractContextManager[None]],
        failed: Callable[[Trainer, Exception], None],
    ) -> None:
        """Train all to their ends, or until `stop` says so; one that fails ends no other.

        Args:
            guard: what the steps of one are made in; it words the errors of parts.
            failed: is told what ended one.
        """
        lost: list[Trainer] = []

        def each(do: Callable[[Trainer], Any], trainers: Sequence[Trainer]) -> None:
            for trainer in (t for t in trainers if t not in lost):
                try:
                    do(trainer)
                except Exception as error:
                    lost.append(trainer)
                    failed(trainer, error)

        def guarded(do: Callable[[Trainer], Any]) -> Callable[[Trainer], None]:
            def guarded_do(trainer: Trainer) -> None:
                with guard(trainer):
                    do(trainer)

            return guarded_do

        def going() -> list[Trainer]:
            return [t for t in self.trainers if not t.done and t not in lost]

        each(lambda t: None if t.state.step else t.save(regular=False), self.trainers)
        while going() and not stop():
            each(guarded(Trainer.prepare), going())
            for together in _in_step(going()):
                made = self._made(together)
                each(guarded(Trainer.observe_last if made else Trainer.advance), together)
                each(Trainer.conclude, together)
        each(lambda t: t.save(regular=t.done), self.trainers)

    def _made(self, trainers: Sequence[Trainer]) -> bool:
        """Whether the steps up to the next at which anything is due could be made together, and were."""
        if self._apart or len(trainers) < 2 or not all(map(stackable, trainers)):
            return False
        begun, compiling = time.perf_counter(), _spent_compiling(trainers)
        try:
            made = self._stacked(trainers, min(trainer.quiet_steps() for trainer in trainers))
        except RuntimeError as error:
            self._apart = True
            trainers[0].reporter.note(f"replicas make their steps apart: {first_line(error)}")
            return False
        compiling -= _spent_compiling(trainers)
        share = (time.perf_counter() - begun + compiling) / len(trainers)
        for trainer in trainers:
            seconds = trainer.observing.seconds
            seconds["training"] = seconds.get("training", 0.0) + share
        return made

    def _stacked(self, trainers: Sequence[Trainer], steps: int) -> bool:
        if self._stack is None or not self._stack.fits(trainers):
            self._stack = None  # its memory is free for the next
            self._stack = Stack(trainers, self._step(trainers[0]))
        return self._stack.make(steps)

    def _step(self, trainer: Trainer) -> Callable[..., Any]:
        stage = trainer.state.stage
        if stage not in self._steps:
            step, took = trainer.objective.loss.of_replicas, trainer.observing.compiled
            self._steps[stage] = compile_lazily(step, True, took) if self.compiled else step
        return self._steps[stage]


def _spent_compiling(trainers: Sequence[Trainer]) -> float:
    return sum(trainer.observing.seconds.get(COMPILING, 0.0) for trainer in trainers)


def stackable(trainer: Trainer) -> bool:
    """Whether its next steps can be made with those of others."""
    begun = trainer.state.stage_step > 0 and trainer.evaluation is not None
    own = trainer.processes.count == 1 and not trainer.objective.chunk
    return begun and own and type(trainer.state.optimizer) in ELEMENTWISE


def _in_step(trainers: Sequence[Trainer]) -> Iterator[list[Trainer]]:
    """Those that are in the same stage, and as far in it."""

    def place(trainer: Trainer) -> tuple[int, int, int]:
        return trainer.state.stage, trainer.state.stage_step, trainer.state.step

    for _, found in groupby(sorted(trainers, key=place), place):
        yield list(found)


class Stack(Repeated):
    """What moves of replicas, along a first dimension of every tensor."""

    def __init__(self, trainers: Sequence[Trainer], step: Callable[..., Any]) -> None:
        self.trainers, self.step = trainers, step
        objectives, states = [t.objective for t in trainers], [t.state for t in trainers]
        self.parameters = tuple(
            torch.nn.Parameter(torch.stack([parameter.detach() for parameter in each]))
            for each in zip(*(objective.parameters for objective in objectives), strict=True)
        )
        super().__init__(self._optimizer(), torch.stack([state.weights for state in states]))
        conditions = zip(*(state.points.conditions.values() for state in states), strict=True)
        interior = torch.stack([state.points.interior for state in states])
        self.points = interior, tuple(torch.stack(each) for each in conditions)
        factors, earlier, rates = zip(*(objective.fixed for objective in objectives), strict=True)
        before = tuple(torch.stack(each) for each in zip(*earlier, strict=True))
        self.fixed = Fixed(torch.stack(factors), before, torch.stack(rates))
        self.memories = {
            name: torch.stack([state.memories[name] for state in states])
            for name in states[0].memories
        }
        self._read = self._read_by_steps()

    def _optimizer(self) -> torch.optim.Optimizer:
        """One for all, with what theirs remember."""
        own = self.trainers[0].state.optimizer
        built = self.trainers[0].stage.optimizer.build(self.parameters)
        for group, kept in zip(built.param_groups, own.param_groups, strict=True):
            group |= {key: value for key, value in kept.items() if key != "params"}
        for place, parameter in enumerate(self.parameters):
            every = [_remembered(trainer, place) for trainer in self.trainers]
            like = self.trainers[0].objective.parameters[place]
            built.state[parameter] = {
                key: torch.stack([kept[key] for kept in every])
                if _of_each(key, value, like)
                else _copied(value)
                for key, value in every[0].items()
            }
        return built

    def _read_by_steps(self) -> list[Any]:
        """What steps read and do not write."""
        found: list[Any] = [trainer.rate() for trainer in self.trainers]
        for trainer in self.trainers:
            found += [trainer.objective, trainer.objective.fixed]
            found += [trainer.state.points, trainer.state.optimizer]
        return found

    def fits(self, trainers: Sequence[Trainer]) -> bool:
        """Whether it is of these, and nothing was replaced that a step reads."""
        same = len(trainers) == len(self.trainers)
        same = same and all(a is b for a, b in zip(trainers, self.trainers, strict=True))
        if not same:
            return False
        rates, now = len(trainers), self._read_by_steps()
        return self._read[:rates] == now[:rates] and all(
            a is b for a, b in zip(self._read[rates:], now[rates:], strict=True)
        )

    def make(self, steps: int) -> bool:
        """So many steps of all; or of none, where one of them meets what is not finite."""
        with torch.no_grad():
            self._load()
        if not self.repeat(self.trainers[0].state.step, steps):
            return False
        with torch.no_grad():
            self._hand_back(steps)
        return True

    def evaluated(self) -> Evaluation:
        return Evaluation(
            *self.step(self.parameters, self.points, self.weights, self.fixed, self.made)
        )

    def follow(self, residuals: Tensor) -> None:
        if not residuals.shape[1]:
            return
        for observer in self.trainers[0].observing.observers:
            analyzer = observer.analyzer
            for number in range(len(self.trainers) if analyzer.name in self.memories else 0):
                memory = self.memories[analyzer.name][number]
                memory.copy_(analyzer.follow(memory, residuals[number]))

    def _load(self) -> None:
        for number, trainer in enumerate(self.trainers):
            self.weights[number].copy_(trainer.state.weights)
            for name, memory in self.memories.items():
                memory[number].copy_(trainer.state.memories[name])
            for own, stacked in self._pairs(number, trainer):
                stacked.copy_(own)

    def _hand_back(self, steps: int) -> None:
        """Give each what is its own, so many steps on."""
        last = self.evaluation
        for number, trainer in enumerate(self.trainers):
            state = trainer.state
            for own, stacked in self._pairs(number, trainer):
                own.copy_(stacked)
            for place, parameter in enumerate(self.parameters):
                own_state = _remembered(trainer, place)
                for key, value in self.optimizer.state[parameter].items():
                    if not isinstance(value, Tensor):
                        own_state[key] = value
            state.weights = self.weights[number].clone()
            state.memories.update({name: m[number].clone() for name, m in self.memories.items()})
            state.step += steps
            state.stage_step += steps
            trainer.closure.evaluation = Evaluation(
                last.terms[number].clone(),
                tuple(gradient[number].clone() for gradient in last.gradient),
                state.weights,
                last.residuals[number].clone(),
            )

    def _pairs(self, number: int, trainer: Trainer) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters of a replica and what its optimizer remembers of them, each with its place here."""
        for place, parameter in enumerate(self.parameters):
            own = trainer.objective.parameters[place]
            yield own, parameter[number]
            for key, value in _remembered(trainer, place).items():
                if isinstance(value, Tensor):
                    here = self.optimizer.state[parameter][key]
                    yield value, here[number] if _of_each(key, value, own) else here


def _remembered(trainer: Trainer, place: int) -> dict[str, Any]:
    """What an optimizer remembers of a parameter."""
    return trainer.state.optimizer.state[trainer.objective.parameters[place]]


def _of_each(name: str, value: Any, parameter: Tensor) -> bool:
    """Whether it is of every number of the parameter; else it is the same for all, as a count is."""
    return isinstance(value, Tensor) and value.shape == parameter.shape and name not in COUNTS


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
