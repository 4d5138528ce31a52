"""Residual-based attention."""

from __future__ import annotations

from attrs import frozen
from attrs.validators import optional

from pinn.core import Weighting, above, at_least, between, choice, option
from pinn.core.lazy import torch
from pinn.plugins.weightings.vanilla import jointly


@frozen
class ResidualBasedAttention(Weighting):
    """λ ← γ λ + η |r| / max|r|, bounded by η / (1 − γ).

    Anagnostopoulos, Toscano, Stergiopulos & Karniadakis 2024, CMAME 421, arXiv 2307.00379.
    """

    name = "rba"

    eta: float = option(0.001, "learning rate η of the weights", above(0))
    gamma: float = option(0.999, "memory γ of the weights", between(0, 1))
    start: float = option(0.0, "weight of every point before the first step", at_least(0))
    first_eta: float | None = option(
        None, "η of the first step alone; 1 is the paper's mode 2", optional(above(0))
    )
    normalisation: str = option("max", "of |r|: max, or min-max", choice("max", "min-max"))
    loss: str = option(
        "(weight*residual)^2",
        "(weight*residual)^2 or weight*residual^2",
        choice("(weight*residual)^2", "weight*residual^2"),
    )
    shared: bool = option(True, "one weight a point, on Σ|r| of all equations; false: one each")
    joint: bool = option(
        False, "the loss takes Σ|r| of all equations as one residual; needs shared"
    )

    def __attrs_post_init__(self) -> None:
        if self.joint and not self.shared:
            raise ValueError("joint = true needs shared = true: one residual has one weight")

    def initial(self, count: int) -> torch.Tensor:
        return torch.full((count,), self.start, dtype=torch.float64)

    def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        size = residuals.abs()
        if self.shared:
            size = size.sum(0, keepdim=True)
        return self.gamma * weights + self._eta(weights) * self._normalised(size)

    def contributions(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        linear = self.loss == "weight*residual^2"
        if self.joint:
            return (weights if linear else weights**2) * jointly(residuals)
        return weights * residuals**2 if linear else (weights * residuals) ** 2

    def _eta(self, weights: torch.Tensor) -> float | torch.Tensor:
        if self.first_eta is None:
            return self.eta
        first = (weights == self.start).all()
        return torch.where(first, weights.new_full((), self.first_eta), self.eta)

    def _normalised(self, size: torch.Tensor) -> torch.Tensor:
        """In [0, 1] for each row; 0 where the row has no largest value to divide by."""
        low = size.amin(1, keepdim=True) if self.normalisation == "min-max" else 0.0
        extent = size.amax(1, keepdim=True) - low
        return torch.where(extent > 0, (size - low) / extent, 0.0)
