"""The points of a watched loop, and their weights, as they are now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import PinnError

Points = Any
"""(n, dimension): a tensor, or what becomes one."""


@frozen(eq=False)
class Sources:
    """Each a tensor, or a function that gives the current one; tensors come out like `like`."""

    points: Points | Callable[[], Points]
    weights: Any
    like: Tensor

    @property
    def points_move(self) -> bool:
        return callable(self.points)

    def current_points(self) -> Tensor:
        """(n, dimension)

        Raises:
            PinnError: they are of another shape.
        """
        found = self._tensor(self.points)
        if found.ndim != 2 or not found.numel():
            raise PinnError(
                f"points= has shape {tuple(found.shape)}; expected (n, dimension), at least one point"
            )
        return found

    def current_weights(self, equations: int, count: int) -> Tensor:
        """λ, (equations, n); 1 where none are given.

        Raises:
            PinnError: they do not fit the points.
        """
        found = self._tensor(1.0 if self.weights is None else self.weights)
        try:
            return found.expand(equations, count)
        except RuntimeError:
            raise PinnError(
                f"weights= has shape {tuple(found.shape)} for {equations} equations at {count} points; "
                f"expected ({count},) or ({equations}, {count})"
            ) from None

    def _tensor(self, given: Any) -> Tensor:
        found = torch.as_tensor(given() if callable(given) else given)
        return found.detach().as_subclass(Tensor).to(self.like)
