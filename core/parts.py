"""The other kinds of parts: network, sampler, weighting, optimizer, analyzer.

A part is an immutable attrs class whose fields are its options. What changes during training is handed
in and returned, never kept in the part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pinn.core.domain import Box, Points

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.nn import Module, Parameter
    from torch.optim import Optimizer as TorchOptimizer

    from pinn.core.view import View


class Network(ABC):
    name: ClassVar[str]

    @abstractmethod
    def build(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> Module:
        """A module from coordinates (n, inputs.dimension) to fields (n, len(outputs)).

        `inputs` is the domain, so that a network may normalise or embed its coordinates.
        """


class Sampler(ABC):
    name: ClassVar[str]

    @abstractmethod
    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        """`count` points of the domain, (count, domain.dimension)."""

    def redraw(
        self, domain: Box, points: Points, residuals: Points, generator: np.random.Generator
    ) -> Points:
        """As many points in place of `points`, whose residuals are (equations, points)."""
        return self.draw(domain, len(points), generator)


class Weighting(ABC):
    """Weights λ of the interior points; the loss is mean((λ r)²)."""

    name: ClassVar[str]
    static: ClassVar[bool] = False
    """True where `update` returns the weights as they are."""

    @abstractmethod
    def initial(self, count: int) -> Tensor:
        """Weights of `count` new points, (count,)."""

    @abstractmethod
    def update(self, weights: Tensor, residuals: Tensor) -> Tensor:
        """New weights from the current weights and residuals, both (equations, points), detached.

        Whatever broadcasts to (equations, points) may be returned.
        """

    def contributions(self, weights: Tensor, residuals: Tensor) -> Tensor:
        """What the loss is the mean of, (equations, points)."""
        return (weights * residuals) ** 2


class Optimizer(ABC):
    name: ClassVar[str]

    @abstractmethod
    def build(self, parameters: Iterable[Parameter]) -> TorchOptimizer: ...

    def learning_rate(self, step: int, steps: int) -> float | None:
        """The rate of step `step` = 0 … `steps` − 1 of the stage; None leaves it alone."""
        return None


class Analyzer(ABC):
    """A pure observer of training."""

    name: ClassVar[str]
    shows: ClassVar[str | None] = None
    """The quantity that the progress line shows."""

    @abstractmethod
    def measure(self, view: View) -> Mapping[str, Any]:
        """Quantities of this step, by name: numbers or arrays."""
