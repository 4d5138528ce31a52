"""No weighting."""

from __future__ import annotations

from attrs import frozen

from pinn.core import Weighting
from pinn.core.lazy import torch


@frozen
class Vanilla(Weighting):
    """Every point counts the same."""

    name = "vanilla"
    static = True

    def initial(self, count: int) -> torch.Tensor:
        return torch.ones(count)

    def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        return weights
