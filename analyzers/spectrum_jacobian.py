"""The derivative of the residuals by the parameters, some points at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

ResidualFunction = Callable[["tuple[Tensor, ...]", "Tensor"], "Tensor"]
"""(parameters, points (n, dimension)) → residuals (equations, n)."""

PIECE = 2**24
"""Numbers of a Jacobian that are computed at once."""


def jacobian(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> Iterator[list[Tensor]]:
    """J = ∂r/∂θ, some points at a time: (rows, numel), one tensor a parameter.

    Rows are points, and for each point its equations. As many points at a time as PIECE allows.
    """
    own = tuple(parameters)

    def of_point(point: Tensor) -> Any:
        return torch.func.jacrev(lambda p: residual_function(p, point[None])[:, 0])(own)

    equations = len(residual_function(own, points[:1]))
    size = equations * sum(p.numel() for p in own)
    for piece in points.split(max(PIECE // size, 1)):
        found = torch.func.vmap(of_point)(piece)
        yield [j.detach().reshape(-1, p.numel()) for j, p in zip(found, own, strict=True)]
