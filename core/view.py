"""What an analyzer sees of one training step; computed when asked for, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field, frozen

from pinn.core.errors import Unavailable
from pinn.core.lazy import torch
from pinn.core.randomness import torch_generator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from pinn.core.domain import PointSet
    from pinn.core.problem import Problem
    from pinn.core.records import Records
    from pinn.core.reference import Reference

Named = dict[str, "Tensor"]
Forward = Callable[["Tensor"], Any]
"""Calls a network on points (n, dimension), where that takes more than `module(points)`."""

NUMBERS_AT_ONCE = 2**25
"""Numbers that batch gradients computed together may have."""


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


class Losses(Protocol):
    """What a view needs to know of a loss: a run's `Objective`, or a loop that trains elsewhere.

    Parameters are those of the module that are trained, in its order.
    """

    @property
    def module(self) -> torch.nn.Module: ...

    @property
    def parameter_names(self) -> Sequence[str]: ...

    @property
    def chunk(self) -> int:
        """Points that are handled at once; 0: all."""

    @property
    def parameters(self) -> tuple[torch.nn.Parameter, ...]: ...

    def interior_residuals(self, parameters: Sequence[Tensor], points: Tensor) -> Tensor:
        """The residuals, (equations, n), at points (n, dimension)."""

    @property
    def batch_gradients(self) -> Callable[..., tuple[Tensor, ...]]:
        """(parameters, points (batches, n, dimension), weights (batches, equations, n)) → gradients.

        Of Σ_k mean_i of the interior part of the loss: (batches, *shape), one tensor a parameter.
        """

    def condition_loss(self, parameters: Sequence[Tensor], conditions: dict[str, Tensor]) -> Tensor:
        """The rest of the loss, a scalar."""

    def terms(self, points: Tensor, weights: Tensor, conditions: Named) -> tuple[Named, Named]:
        """The loss of each equation and condition, at the parameters that the module has."""


class Predictions(Protocol):
    """What a view needs to know of the solution."""

    @property
    def reference(self) -> Reference | None: ...

    def on_grid(self, module: torch.nn.Module) -> dict[str, NDArray[np.float64]]:
        """{observable: array in the shape of the reference}"""


@define(eq=False, slots=False)
class View:
    """A lazy notebook of one step, after the optimizer moved and with the weights of that step.

    Nothing here changes training: gradients never touch `.grad`, random numbers come from streams of
    their own.
    """

    step: int
    problem: Problem
    _objective: Losses
    points: PointSet
    weights: Tensor
    memories: Mapping[str, Tensor]
    optimizer: torch.optim.Optimizer
    _evaluator: Predictions
    records: Records
    _seed: int
    forward: Forward | None = None
    _batch_gradients: dict[tuple[int, bool], BatchGradients] = field(factory=dict, init=False)

    @property
    def module(self) -> torch.nn.Module:
        return self._objective.module

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        named = zip(self._objective.parameter_names, self._objective.parameters, strict=True)
        return {name: parameter.detach() for name, parameter in named}

    @cached_property
    def residuals(self) -> Tensor:
        """The residuals of the current parameters, (equations, points).

        This, `residual_function` and the gradients of batches raise Unavailable where the problem has no
        equations: then data or conditions alone are fitted.
        """
        self._need_equations()
        parameters = self._objective.parameters
        with torch.no_grad():
            return self._objective.interior_residuals(parameters, self.points.interior).detach()

    @property
    def reference(self) -> Reference | None:
        """The reference solution on the evaluation grid, or at its own points; NaN where not known."""
        return self._evaluator.reference

    @cached_property
    def prediction(self) -> dict[str, Any]:
        """The network's observables on the evaluation grid, arrays in the shape of the reference."""
        return self._evaluator.on_grid(self.module)

    def generator(self, name: str) -> torch.Generator:
        """A random stream for this analyzer and step, apart from all that training draws."""
        return torch_generator(self._seed, f"analysis {name}", self.step)

    @property
    def residual_function(self) -> Callable[[tuple[Tensor, ...], Tensor], Tensor]:
        """(parameters in the order of `parameters`, points (n, dimension)) → (equations, n).

        Differentiable in the parameters.
        """
        self._need_equations()
        return self._objective.interior_residuals

    @cached_property
    def activations(self) -> Named:
        """The hidden layers at the interior points: {"layer1": (n, width), …}, from the input on."""
        return self.activations_at(self.points.interior)

    def activations_at(self, points: Tensor) -> Named:
        """The same at other points, (n, dimension)."""
        return hidden_layers(self.module, points, self.forward)

    def loss_terms(self, chosen: Any = slice(None)) -> tuple[Named, Named]:
        """Losses of the equations, at interior points by number, and of the conditions; with graph."""
        points, weights = self.points.interior[chosen], self.weights[:, chosen]
        return self._objective.terms(points, weights, self.points.conditions)

    @cached_property
    def reference_at_points(self) -> dict[str, NDArray[np.float64]] | None:
        """The reference solution at the interior points, {observable: (n,)}."""
        if self.reference is None:
            return None
        return self.reference.at(self.points.interior.cpu().double().numpy())

    def batch_gradients(self, batches: int, shuffled: bool = False) -> BatchGradients:
        """Gradients of `batches` blocks of the interior points, sizes equal to within one.

        Each is the gradient of the mean over the block's points. The blocks are contiguous in the
        order in which the points were drawn, or of an order that is drawn for this step.
        """
        key = batches, shuffled
        if key not in self._batch_gradients:
            count = len(self.points.interior)
            order = torch.arange(count)
            if shuffled:
                order = torch.randperm(count, generator=self.generator("batches"))
            pieces = zip(*self._gradients(order.tensor_split(batches)), strict=True)
            self._batch_gradients[key] = self._named(tuple(map(torch.cat, pieces)))
        return self._batch_gradients[key]

    def point_gradients(self) -> Iterator[BatchGradients]:
        """Every interior point as a batch of its own, so many at once as memory allows."""
        blocks = torch.arange(len(self.points.interior)).split(1)
        return map(self._named, self._gradients(blocks))

    def _need_equations(self) -> None:
        if not len(self.weights):
            raise Unavailable(f"needs residuals of equations, and {self.problem.name} has none")

    def _named(self, pde: tuple[Tensor, ...]) -> BatchGradients:
        return BatchGradients(tuple(self.parameters), pde, self._condition_gradient)

    @cached_property
    def _condition_gradient(self) -> tuple[Tensor, ...]:
        wanted = self._objective.parameters
        loss = self._objective.condition_loss(wanted, self.points.conditions)
        if not loss.requires_grad:
            return tuple(torch.zeros_like(p) for p in wanted)
        return torch.autograd.grad(loss, wanted, materialize_grads=True)

    def _gradients(self, blocks: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """The gradients of blocks of point numbers: (some of the blocks, *shape), one a parameter."""
        self._need_equations()
        parameters = tuple(self.parameters.values())
        points = self.points.interior
        for size in sorted({len(block) for block in blocks}, reverse=True):
            chosen = torch.stack([block for block in blocks if len(block) == size])
            for group in chosen.to(points.device).split(self._blocks_at_once(size)):
                weights = self.weights[:, group].movedim(1, 0).contiguous()
                yield self._objective.batch_gradients(parameters, points[group], weights)

    def _blocks_at_once(self, size: int) -> int:
        """The number of blocks of `size` points that a chunk and NUMBERS_AT_ONCE allow."""
        of_gradients = NUMBERS_AT_ONCE // sum(p.numel() for p in self.parameters.values())
        chunk = self._objective.chunk
        return max(min(of_gradients, chunk // size if chunk else of_gradients), 1)


def hidden_layers(
    module: nn.Module, inputs: Tensor, forward: Forward | None = None
) -> dict[str, Tensor]:
    """{"layer1": (n, width), …} at inputs (n, dimension), from the input on.

    Networks that stand side by side (`module.side_by_side`) come one after another. Where a network
    looks at other points besides, it does so behind the inputs, and these are left out.

    A hidden layer is what a later `torch.nn.Linear` takes in: its activations, gates included. What the
    first one takes in is the embedding of the coordinates, not a hidden layer. A network that has no
    `torch.nn.Linear` has none that can be seen.
    """
    networks = list(getattr(module, "side_by_side", None) or [module])
    seen: list[list[Tensor]] = [[] for _ in networks]

    def look(
        of_one: list[Tensor], _: nn.Module, positional: tuple[Tensor, ...], named: dict[str, Tensor]
    ) -> None:
        taken = positional[0] if positional else named["input"]
        if not any(taken is before for before in of_one):
            of_one.append(taken)

    handles = [
        layer.register_forward_pre_hook(partial(look, of_one), with_kwargs=True)
        for network, of_one in zip(networks, seen, strict=True)
        for layer in network.modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    try:
        with torch.no_grad():
            (forward or module)(inputs)
    finally:
        for handle in handles:
            handle.remove()
    hidden = [values[: len(inputs)] for of_one in seen for values in of_one[1:]]
    return {f"layer{i}": values for i, values in enumerate(hidden, 1)}
