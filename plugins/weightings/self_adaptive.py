"""Weights that are trained against the network."""

from __future__ import annotations

from attrs import frozen

from pinn.core import Weighting, above, at_least, option
from pinn.core.lazy import torch


@frozen
class SelfAdaptive(Weighting):
    """λ_i ← λ_i + ρ ∂/∂λ_i Σ_j (λ_j r_j)² = λ_i (1 + 2 ρ r_i²): a saddle point is sought.

    The network goes down the loss mean((λ r)²), the weights up: they grow for as long as a residual is
    there, the faster the larger it is, and never fall. McClenny & Braga-Neto 2023, J. Comput. Phys. 474,
    arXiv 2009.04544, with the mask m(λ) = λ².
    """

    name = "self-adaptive"

    rate: float = option(0.005, "ρ, how fast the weights grow", above(0))
    start: float = option(1.0, "weight of every point before the first step", above(0))
    most: float = option(1000.0, "no weight grows beyond this", at_least(1))

    def initial(self, count: int) -> torch.Tensor:
        return torch.full((count,), self.start, dtype=torch.float64)

    def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        return (weights * (1 + 2 * self.rate * residuals**2)).clamp_max(self.most)
