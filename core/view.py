"""What an analyzer sees of one training step; computed when asked for, once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.evaluation import Evaluator
from pinn.core.objective import Objective
from pinn.core.points import PointSet
from pinn.core.problem import Problem, Reference
from pinn.core.randomness import torch_generator
from pinn.core.records import Records


@frozen
class BatchGradients:
    """Gradients of the loss of batches of interior points, and of the conditions.

    Attributes:
        names: of the parameters.
        pde: (batches, *parameter shape), one tensor a parameter: the interior part alone.
        conditions: (*parameter shape), one tensor a parameter: the same in every batch.
    """

    names: tuple[str, ...]
    pde: tuple[Tensor, ...]
    conditions: tuple[Tensor, ...]


class View:
    """A lazy notebook of one step, after the optimizer moved and with the weights of that step.

    Nothing here changes training: gradients never touch `.grad`, random numbers come from streams of
    their own.
    """

    def __init__(
        self,
        step: int,
        problem: Problem,
        objective: Objective,
        points: PointSet,
        weights: Tensor,
        optimizer: torch.optim.Optimizer,
        evaluator: Evaluator,
        records: Records,
        seed: int,
    ) -> None:
        self.step = step
        self.problem = problem
        self.points = points
        self.weights = weights
        self.optimizer = optimizer
        self.records = records
        self._objective = objective
        self._evaluator = evaluator
        self._seed = seed
        self._batch_gradients: dict[int, BatchGradients] = {}

    @property
    def module(self) -> torch.nn.Module:
        return self._objective.module

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        named = zip(self._objective.parameter_names, self._objective.parameters, strict=True)
        return {name: parameter.detach() for name, parameter in named}

    @cached_property
    def residuals(self) -> Tensor:
        """(equations, points), of the current parameters."""
        with torch.no_grad():
            return self._objective.interior_residuals(
                tuple(self.parameters.values()), self.points.interior
            )

    @property
    def reference(self) -> Reference | None:
        """The reference solution on the evaluation grid."""
        return self._evaluator.reference

    @cached_property
    def prediction(self) -> dict[str, Any]:
        """The network's observables on the evaluation grid, arrays in the shape of the reference."""
        return self._evaluator.on_grid(self.module)

    def generator(self, name: str) -> torch.Generator:
        """A random stream for this analyzer and step, apart from all that training draws."""
        return torch_generator(self._seed, f"analysis {name}", self.step)

    def batch_gradients(self, batches: int) -> BatchGradients:
        """Gradients of `batches` contiguous blocks of the interior points, sizes equal to within one.

        Each is the gradient of the mean over the block's points; all blocks are done together.
        """
        if batches not in self._batch_gradients:
            self._batch_gradients[batches] = self._gradients(batches)
        return self._batch_gradients[batches]

    def _gradients(self, batches: int) -> BatchGradients:
        parameters = tuple(self.parameters.values())
        points = self.points.interior
        blocks = torch.arange(len(points), device=points.device).tensor_split(batches)
        parts = []
        for size in sorted({len(block) for block in blocks}, reverse=True):
            chosen = torch.stack([block for block in blocks if len(block) == size])
            for group in chosen.split(self._blocks_at_once(size) or len(chosen)):
                weights = self.weights[:, group].movedim(1, 0).contiguous()
                parts.append(self._objective.batch_gradients(parameters, points[group], weights))
        wanted = tuple(p.requires_grad_() for p in (q.clone() for q in parameters))
        loss = self._objective.condition_loss(wanted, self.points.conditions)
        shared: Sequence[Tensor] = [torch.zeros_like(p) for p in parameters]
        if loss.requires_grad:
            shared = torch.autograd.grad(loss, wanted, materialize_grads=True)
        return BatchGradients(
            tuple(self.parameters),
            tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True)),
            tuple(shared),
        )

    def _blocks_at_once(self, size: int) -> int:
        """So many blocks of `size` points as the memory of one chunk holds; 0: all."""
        chunk = self._objective.chunk
        return max(chunk // size, 1) if chunk else 0
