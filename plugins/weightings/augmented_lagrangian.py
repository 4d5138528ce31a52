"""Conditions as constraints, with a multiplier each."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import Terms, above, at_least, between, option
from pinn.core.lazy import torch
from pinn.plugins.weightings.vanilla import Vanilla


@frozen
class AugmentedLagrangian(Vanilla):
    """min L_eq subject to C_c = 0 of every condition c: f_c = λ_c + μ_c C_c.

    C_c is the condition's loss, without factor. L_eq + Σ_c (λ_c C_c + μ_c C_c² / 2) has the gradient of
    L_eq + Σ_c f_c C_c. At each balance v_c ← ζ v_c + (1 − ζ) C_c², μ_c = γ / (√v_c + ε) and
    λ_c ← λ_c + μ_c C_c: a multiplier grows by about γ for as long as its condition falls no more. Every
    point counts the same. Basir & Senocak 2023, arXiv 2306.04904.
    """

    name = "augmented-lagrangian"

    gamma: float = option(0.01, "γ, how fast the multipliers grow", above(0))
    zeta: float = option(0.99, "ζ, memory of the squares of the conditions", between(0, 1))
    epsilon: float = option(1e-8, "ε, keeps penalties finite where a condition holds", above(0))
    start: float = option(1.0, "λ of every condition before the first step", at_least(0))
    every: int = option(1, "steps between two balances", at_least(1))

    def balanced_every(self) -> int:
        return self.every

    def balance(self, terms: Terms) -> Mapping[str, float]:
        kept = self.remember(terms)
        factors = kept["multipliers"] + self._penalties(kept) * _constraints(terms)
        return dict(zip(terms.conditions, factors.tolist(), strict=True))

    def remember(self, terms: Terms) -> Mapping[str, torch.Tensor]:
        constraints = _constraints(terms)
        before = terms.memory.get("squares", torch.zeros_like(constraints))
        kept = {"squares": self.zeta * before + (1 - self.zeta) * constraints**2}
        start = torch.full_like(constraints, self.start)
        multipliers = terms.memory.get("multipliers", start)
        return kept | {"multipliers": multipliers + self._penalties(kept) * constraints}

    def _penalties(self, kept: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.gamma / (kept["squares"].sqrt() + self.epsilon)


def _constraints(terms: Terms) -> torch.Tensor:
    return terms.losses[len(terms.equations) :]
