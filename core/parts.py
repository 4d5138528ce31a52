"""The other kinds of parts: network, sampler, weighting, optimizer, analyzer.

A part is an immutable attrs class whose fields are its options. What changes during training is handed
in and returned, never kept in the part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from attrs import frozen

from pinn.core.domain import Box, Points, Shape
from pinn.core.plots import Conclusion, Plot, Span

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.nn import Module, Parameter
    from torch.optim import Optimizer as TorchOptimizer

    from pinn.core.records import Records
    from pinn.core.view import View


class Network(ABC):
    """The function that is trained: from coordinates to fields."""

    name: ClassVar[str]

    @abstractmethod
    def build(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> Module:
        """A module from coordinates (n, inputs.dimension) to fields (n, len(outputs)).

        `inputs` is the domain, so that a network may normalise or embed its coordinates.
        """


class Sampler(ABC):
    """Draws the points at which equations and conditions are enforced."""

    name: ClassVar[str]

    @abstractmethod
    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        """`count` points of a box, (count, domain.dimension).

        Of a shape that is the box around it, of which the points inside are kept; of a boundary, the
        parameters of its pieces, (0, 1) each.
        """

    def redraw(
        self,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> Points:
        """Other points, as many, in place of `points`; `residuals(points)` are (equations, points).

        Those outside of a shape are replaced by others.
        """
        return self.draw(domain.box, len(points), generator)

    def redraw_from(
        self,
        memory: Points | None,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> tuple[Points, Points | None]:
        """The same for a sampler that remembers: the points, and what the next call gets as `memory`.

        An array of any shape, which is saved with the run; None at first. This is what training calls.
        """
        return self.redraw(domain, points, residuals, generator), None


@frozen(eq=False)
class Terms:
    """The terms of a loss at a step, for a weighting that balances them.

    Attributes:
        equations: the names of some of them …
        conditions: … and of the others, in the order of all that follows.
        factors: of each term so far, by name; 1 before the first balance.
        losses: of each without its factor, (terms,).
        gradients: of each without its factor, (terms, parameters).
        traces: computes those of the tangent kernels, mean_i ‖∂ρ_i/∂θ‖², (terms,), where a term is
            mean_i ρ_i²; about as dear as a step of Gauss-Newton.
        memory: what `Weighting.remember` returned after the balance before this one, if any.
        generator: of random numbers, another one at every step.
    """

    equations: tuple[str, ...]
    conditions: tuple[str, ...]
    factors: Mapping[str, float]
    losses: Tensor
    gradients: Tensor
    traces: Callable[[], Tensor]
    memory: Mapping[str, Tensor]
    generator: np.random.Generator

    @property
    def names(self) -> tuple[str, ...]:
        return self.equations + self.conditions


class Weighting(ABC):
    """Weights λ of the interior points; the loss is mean((λ r)²).

    A subclass has `update`, or `update_at` where it asks where the points are or how many steps were
    made; one that balances the terms of the loss against each other has `balanced_every` and `balance`.
    """

    name: ClassVar[str]
    static: ClassVar[bool] = False
    """True where `update` returns the weights as they are."""

    @abstractmethod
    def initial(self, count: int) -> Tensor:
        """Weights of `count` new points, (count,)."""

    def update(self, weights: Tensor, residuals: Tensor) -> Tensor:
        """New weights from the current weights and residuals, both (equations, points), detached.

        Whatever broadcasts to (equations, points) may be returned.
        """
        raise NotImplementedError

    def update_at(
        self, points: Mapping[str, Tensor], weights: Tensor, residuals: Tensor, step: Tensor
    ) -> Tensor:
        """The same, knowing the points, {coordinate: (points,)}, and the number of steps made so far, a
        scalar. This is what training calls.
        """
        return self.update(weights, residuals)

    def contributions(self, weights: Tensor, residuals: Tensor) -> Tensor:
        """What the loss is the mean of, (equations, points)."""
        return (weights * residuals) ** 2

    def balanced_every(self) -> int:
        """Steps between two calls of `balance`; 0: it is never called."""
        return 0

    def balance(self, terms: Terms) -> Mapping[str, float]:
        """New factors of terms of the loss, equations and conditions, by name, at least 0.

        They multiply those of the configuration; what is not named keeps its own.
        """
        return {}

    def remember(self, terms: Terms) -> Mapping[str, Tensor]:
        """What the next balance finds in `terms.memory`; called after each."""
        return {}


class Closure(Protocol):
    """What `step` of a torch optimizer gets: the loss ‖ρ‖² of the weighted residuals ρ, as it is here.

    A step begins with a call: it updates the weights that the rest of the step is made under.
    """

    def __call__(self) -> Tensor:
        """The loss; its gradient 2 Jᵀρ is left in `.grad`."""

    def residuals(self) -> Tensor:
        """ρ, (residuals,)."""

    def jacobian(
        self, rows: int = ..., once: bool = ..., own: bool = ...
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """ρ (m,) and J = ∂ρ/∂θ (m, parameters), in blocks of about `rows` points.

        `once`: it is seldom asked for, so that compiling it would not pay. `own`: only the blocks that
        this process computes, of a run on several; sums over them are then given to `total`.
        """

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Their sums over the processes of the run; as they are, where there is one."""


class Optimizer(ABC):
    """Moves the parameters in a stage of training."""

    name: ClassVar[str]

    @abstractmethod
    def build(self, parameters: Iterable[Parameter]) -> TorchOptimizer:
        """A torch optimizer that keeps all it remembers in its state_dict; its `step` gets a `Closure`,
        and may ask it as often as it likes.
        """

    def learning_rate(self, step: int, steps: int) -> float | None:
        """The rate of step `step` = 0 … `steps` − 1 of the stage; None leaves it alone."""
        return None

    def holds(self, parameters: int, residuals: int) -> int:
        """How many numbers of double precision it has in memory, where that may be too many.

        A run for which they do not fit is refused before it begins.
        """
        return 0


@frozen
class Schedule:
    """When an analyzer measures: every `every` steps, more often at first, and at chosen steps besides.

    The last step of a run is measured whatever the schedule says.

    Attributes:
        every: steps between measurements; 0: only those that the others name.
        early_every: steps between measurements up to step `early_steps`, if that is more often.
        at: steps measured besides.
    """

    every: int = 100
    early_every: int = 10
    early_steps: int = 300
    at: tuple[int, ...] = ()

    def due(self, step: int) -> bool:
        return (
            _multiple(step, self.every)
            or (step <= self.early_steps and _multiple(step, self.early_every))
            or step in self.at
        )


def _multiple(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


class Analyzer(ABC):
    """A pure observer of training.

    `measure` is all that it must have. What it returns goes to the records; everything else here is how
    its quantities reach the progress line, the figures and the stages.
    """

    name: ClassVar[str]
    shows: ClassVar[str | None] = None
    """The quantity that the progress line shows and that runs are compared by."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Names of the analyzers whose records it reads; they measure before it."""
    events: ClassVar[tuple[str, ...]] = ()
    """Quantities that hold the step at which something happened, from when it is known: a stage may end
    then, with `until`."""
    schedule: ClassVar[Schedule] = Schedule()
    """When it measures, unless the configuration says otherwise."""

    @abstractmethod
    def measure(self, view: View) -> Mapping[str, Any]:
        """Quantities of this step, by name: numbers, arrays or words."""

    def start(self, points: Tensor) -> Tensor | None:
        """A memory of these interior points (n, dimension), for an analyzer that follows every step.

        It is saved with the run, and starts again with points that are drawn anew: (…, points).
        """
        return None

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        """The memory after a step whose residuals are (equations, points).

        `measure` finds it in `view.memories`, by the analyzer's name.
        """
        return memory

    def figures(self, records: Records) -> Iterable[Plot]:
        """What to draw of the records, most telling first."""
        return ()

    def spans(self, records: Records) -> Iterable[Span]:
        """Stretches of the training that every figure over the steps shades."""
        return ()

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        """What a person should conclude from the records, and try next."""
        return ()
