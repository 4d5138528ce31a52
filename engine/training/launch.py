"""Steps made many at a time on a GPU: one captured graph, replayed, with nothing read in between.

A small network on a GPU waits for its launches: the products of a step take less time than Python takes
to ask for them. Captured once, a step is one launch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from pinn.core.parts import Analyzer
from pinn.engine.training.objective import Evaluation, Objective
from pinn.engine.training.state import State

AT_MOST = 100
"""Steps of a launch, after which a person sees progress and a signal is heard."""
WORTH = 10
"""Steps below which a launch is not worth its capture."""


def at_once(device: torch.device) -> int:
    """Steps that a launch may make there; 1: they are made one by one."""
    return AT_MOST if device.type == "cuda" else 1


def repeatable(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step of this optimizer is made on the device alone; torch's own say so."""
    return all(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)


class Repeated(ABC):
    """A step as tensors that stay where they are, so that it can be captured: all is written in place.

    Loss and gradient under updated weights, the optimizer, the analyzers that follow. On a CPU it is
    repeated as it is.

    Attributes:
        evaluation: what the last step saw; the next one writes over it.
    """

    evaluation: Evaluation

    def __init__(self, optimizer: torch.optim.Optimizer, weights: Tensor) -> None:
        self.optimizer = optimizer
        self.weights = weights
        self.made = weights.new_zeros(())
        self._largest = weights.new_zeros(())
        self._step: Callable[[], Any] | None = None

    @abstractmethod
    def evaluated(self) -> Evaluation:
        """Of the parameters, points and weights as they are, `made` steps on."""

    @abstractmethod
    def follow(self, residuals: Tensor) -> None:
        """Have the memories of analyzers follow."""

    def repeat(self, made: int, steps: int) -> bool:
        """So many steps behind `made` others; whether losses and gradients stayed finite."""
        self.made.fill_(made)
        self._largest.zero_()
        if self._step is None:
            self._step = self._captured() if self.weights.is_cuda else self._once
        for _ in range(steps):
            self._step()
        return bool(self._largest.isfinite())

    def moved(self) -> Iterator[Tensor]:
        """What the optimizer moves."""
        for parameter, kept in self.optimizer.state.items():
            yield parameter
            yield from (tensor for tensor in kept.values() if isinstance(tensor, Tensor))

    def _once(self) -> None:
        found = self.evaluated()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for parameter, gradient in zip(parameters, found.gradient, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        with torch.no_grad():
            self.weights.copy_(found.weights)
            self.follow(found.residuals)
            self.made += 1
            norms = torch._foreach_norm(found.gradient)  # type: ignore[arg-type]
            sizes = torch.stack([found.terms.abs().sum(), *norms])
            torch.maximum(self._largest, sizes.amax(), out=self._largest)
        self.evaluation = found

    def _captured(self) -> Callable[[], Any]:
        self.evaluated()  # compiles, and computes what depends on the points alone
        graph = torch.cuda.CUDAGraph()
        groups = self.optimizer.param_groups
        allowed = [group.get("capturable") for group in groups]
        try:
            for group in groups:
                group["capturable"] = True  # of a fused step torch does not know that it is
            with torch.cuda.graph(graph):
                self._once()
        finally:
            for group, was in zip(groups, allowed, strict=True):
                group["capturable"] = was
        return graph.replay


class Launch(Repeated):
    """The steps of one trainer, as `Trainer.step` makes them, to the bit."""

    def __init__(
        self,
        state: State,
        objective: Objective,
        followers: Mapping[str, Analyzer],
        rate: float | None,
    ) -> None:
        super().__init__(state.optimizer, state.weights.clone())
        self.state, self.objective, self.followers, self.rate = state, objective, followers, rate
        self._points, self._fixed = state.points, objective.fixed
        self._memories = {name: state.memories[name].clone() for name in followers}

    def fits(self, state: State, objective: Objective, rate: float | None) -> bool:
        """Whether nothing was replaced that the step reads, nor its learning rate."""
        return (
            objective is self.objective
            and objective.fixed is self._fixed
            and state.points is self._points
            and state.optimizer is self.optimizer
            and rate == self.rate
        )

    def make(self, steps: int) -> bool:
        """Go on by so many steps; or by none, where a loss or a gradient on the way is not finite.

        Raises:
            RuntimeError: the steps cannot be captured. None was made then, either.
        """
        state = self.state
        self.weights.copy_(state.weights)
        for name, memory in self._memories.items():
            memory.copy_(state.memories[name])
        moving = [self.weights, *self._memories.values(), *self.moved()]
        begun = [tensor.detach().clone() for tensor in moving]
        finite = False
        try:
            finite = self.repeat(state.step, steps)
        finally:
            if not finite:
                with torch.no_grad():
                    for tensor, was in zip(moving, begun, strict=True):
                        tensor.copy_(was)
        if not finite:
            return False
        state.weights = self.weights
        state.memories.update(self._memories)
        state.step += steps
        state.stage_step += steps
        return True

    def evaluated(self) -> Evaluation:
        parameters = self.objective.parameters
        return self.objective.evaluate(parameters, self._points, self.weights, step=self.made)

    def follow(self, residuals: Tensor) -> None:
        if len(residuals):
            for name, analyzer in self.followers.items():
                memory = self._memories[name]
                memory.copy_(analyzer.follow(memory, residuals))
