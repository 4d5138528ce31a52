"""No weighting."""

from __future__ import annotations

from attrs import frozen

from pinn.core import Weighting, option
from pinn.core.lazy import torch


@frozen
class Vanilla(Weighting):
    """Every point counts the same."""

    name = "vanilla"
    static = True

    joint: bool = option(False, "the loss takes Σ|r| of all equations as one residual")

    def initial(self, count: int) -> torch.Tensor:
        return torch.ones(count)

    def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        return weights

    def contributions(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        if self.joint:
            return weights**2 * jointly(residuals)
        return super().contributions(weights, residuals)


def jointly(residuals: torch.Tensor) -> torch.Tensor:
    """|r_k| Σ_l |r_l|, (equations, points): shares of (Σ_k |r_k|)², one for each equation.

    What the authors of arXiv 2403.18494 square in the lid-driven cavity.
    """
    size = residuals.abs()
    return size * size.sum(0)
