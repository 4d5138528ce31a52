"""Steps made many at a time on a GPU: one captured graph, replayed, with nothing read in between.

A small network on a GPU waits for its launches: the products of a step take less time than Python takes
to ask for them. Captured once, a step is one launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from attrs import define, field
from torch import Tensor

from pinn.core.domain import PointSet
from pinn.core.parts import Analyzer
from pinn.engine.training.objective import Evaluation, Fixed, Objective
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


@define(eq=False)
class Launch:
    """A step as tensors that stay where they are: weights, parameters and memories are written in place.

    It is the step of `Trainer.step` to the bit: loss and gradient under updated weights, the optimizer,
    the analyzers that follow. On a CPU it is repeated as it is.

    Attributes:
        evaluation: what the last step saw; the next one writes over it.
    """

    state: State
    objective: Objective
    followers: Mapping[str, Analyzer]
    rate: float | None
    _points: PointSet = field(init=False)
    _fixed: Fixed = field(init=False)
    _optimizer: torch.optim.Optimizer = field(init=False)
    _weights: Tensor = field(init=False)
    _memories: dict[str, Tensor] = field(init=False)
    _made: Tensor = field(init=False)
    _largest: Tensor = field(init=False)
    """Of losses and norms of gradients; not finite once one was not."""
    _step: Callable[[], Any] = field(init=False)
    evaluation: Evaluation = field(init=False)

    def __attrs_post_init__(self) -> None:
        state = self.state
        self._points, self._fixed = state.points, self.objective.fixed
        self._optimizer = state.optimizer
        self._weights = state.weights.clone()
        self._memories = {name: state.memories[name].clone() for name in self.followers}
        self._made = self._weights.new_tensor(state.step)
        self._largest = self._weights.new_zeros(())
        self._step = self._captured() if self._weights.is_cuda else self._once

    def fits(self, state: State, objective: Objective, rate: float | None) -> bool:
        """Whether nothing was replaced that the step reads, nor its learning rate."""
        return (
            objective is self.objective
            and objective.fixed is self._fixed
            and state.points is self._points
            and state.optimizer is self._optimizer
            and rate == self.rate
        )

    def make(self, steps: int) -> bool:
        """Go on by so many steps; or by none, where a loss or a gradient on the way is not finite."""
        state = self.state
        self._weights.copy_(state.weights)
        for name, memory in self._memories.items():
            memory.copy_(state.memories[name])
        self._made.fill_(state.step)
        self._largest.zero_()
        begun = [(moved, moved.detach().clone()) for moved in self._moved()]
        for _ in range(steps):
            self._step()
        if not self._largest.isfinite():
            with torch.no_grad():
                for moved, was in begun:
                    moved.copy_(was)
            return False
        state.weights = self._weights
        state.memories.update(self._memories)
        state.step += steps
        state.stage_step += steps
        return True

    def _moved(self) -> Iterator[Tensor]:
        """What a step writes over that the next one reads."""
        yield self._weights
        yield from self._memories.values()
        for parameter, kept in self._optimizer.state.items():
            yield parameter
            yield from (tensor for tensor in kept.values() if isinstance(tensor, Tensor))

    def _once(self) -> None:
        found, parameters = self._evaluated(), self.objective.parameters
        for parameter, gradient in zip(parameters, found.gradient, strict=True):
            parameter.grad = gradient
        self._optimizer.step()
        with torch.no_grad():
            self._weights.copy_(found.weights)
            if len(found.residuals):
                for name, analyzer in self.followers.items():
                    memory = self._memories[name]
                    memory.copy_(analyzer.follow(memory, found.residuals))
            self._made += 1
            sizes = torch.stack([found.loss.abs(), *torch._foreach_norm(found.gradient)])
            torch.maximum(self._largest, sizes.amax(), out=self._largest)
        self.evaluation = found

    def _evaluated(self) -> Evaluation:
        parameters = self.objective.parameters
        return self.objective.evaluate(parameters, self._points, self._weights, step=self._made)

    def _captured(self) -> Callable[[], Any]:
        self._evaluated()  # compiles, and computes what depends on the points alone
        graph = torch.cuda.CUDAGraph()
        groups = self._optimizer.param_groups
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
