"""Variational residual-based attention: weights by the slope of a convex potential."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import frozen

from pinn.core import Weighting, above, at_least, between, choice, option
from pinn.core.lazy import torch

POTENTIALS = ("quadratic", "power", "exponential", "logarithmic")


@frozen
class VariationalAttention(Weighting):
    """λ ← γ λ + η (φ q/max q + 1 − φ), q = Φ'(|r|) the slope of a potential Φ; loss mean((λ r)²).

    `quadratic`: q = |r|, which makes the weights of `rba`; `power`: |r|^(p − 1); `exponential`:
    exp(|r|/ε), ε = c max|r| / ln(k + 2) after k steps, ever more for the largest residuals;
    `logarithmic`: ln(|r|/ε + 1), ε = mean|r| / (e − 1). Of several equations each has its own weights.

    Toscano et al. 2025, arXiv 2509.14198.
    """

    name = "vrba"

    potential: str = option("exponential", f"Φ: {', '.join(POTENTIALS)}", choice(*POTENTIALS))
    eta: float = option(0.01, "learning rate η of the weights", above(0))
    gamma: float = option(0.999, "memory γ of the weights", between(0, 1))
    phi: float = option(1.0, "φ, the share of the weights that look at residuals", between(0, 1))
    start: float = option(0.1, "weight of every point before the first step", at_least(0))
    p: float = option(4.0, "of `power`", above(1))
    c: float = option(1.0, "of `exponential`: the larger, the more points count", above(0))

    def initial(self, count: int) -> torch.Tensor:
        return torch.full((count,), self.start, dtype=torch.float64)

    def update_at(
        self,
        points: Mapping[str, torch.Tensor],
        weights: torch.Tensor,
        residuals: torch.Tensor,
        step: torch.Tensor,
    ) -> torch.Tensor:
        slope = self._slope(residuals.abs(), step)
        attention = self.phi * slope + 1 - self.phi
        return self.gamma * weights + self.eta * attention

    def _slope(self, size: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """q / max q of each equation, in [0, 1]; 0 where every residual is."""
        largest = size.amax(1, keepdim=True)
        share = torch.where(largest > 0, size / largest, 0.0)
        if self.potential == "exponential":
            q = torch.exp((share - 1) * torch.log(step + 2) / self.c)
            return torch.where(largest > 0, q, 0.0)
        if self.potential == "logarithmic":
            mean = share.mean(1, keepdim=True) / (math.e - 1)
            q = torch.where(mean > 0, torch.log1p(share / mean), 0.0)
            return torch.where(largest > 0, q / q.amax(1, keepdim=True), 0.0)
        return share ** (self.p - 1 if self.potential == "power" else 1)
