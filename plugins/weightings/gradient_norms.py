"""Factors of the terms of a loss by the size of their gradients."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import Terms, at_least, between, choice, option
from pinn.core.lazy import torch
from pinn.plugins.weightings.averaging import averaged, ratios
from pinn.plugins.weightings.vanilla import Vanilla

RULES = ("maximum", "running", "all")


@frozen
class GradientNorms(Vanilla):
    """f ← (1 − α) f + α f̂: no gradient is drowned by another. Every point counts the same.

    `maximum`: f̂_c = max|∇L_eq| / mean|∇L_c| of every condition c, where L_eq is the sum of the
    equations' losses, all losses are without factors, maximum and mean are over the parameters; Wang,
    Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5), arXiv 2001.04536, Algorithm 1. `running`: f̂_c =
    ‖∇L_eq‖ / ‖∇L_c‖ of running means with memory γ; Toscano et al. 2025, arXiv 2509.14198. `all`:
    f̂_k = Σ_l ‖∇L_l‖ / ‖∇L_k‖ of every equation and condition; Wang, Sankaran, Wang & Perdikaris 2023,
    arXiv 2308.08468.
    """

    name = "gradient-norms"

    rule: str = option("maximum", f"of f̂: {', '.join(RULES)}", choice(*RULES))
    alpha: float = option(0.1, "α, share of the new factor", between(0, 1))
    gamma: float = option(0.99, "γ, memory of the norms, of `running`", between(0, 1))
    every: int = option(10, "steps between two balances", at_least(1))

    def balanced_every(self) -> int:
        return self.every

    def balance(self, terms: Terms) -> Mapping[str, float]:
        if self.rule == "all":
            return averaged(terms, ratios(terms.names, terms.gradients.norm(dim=1)), self.alpha)
        norms = self._norms(terms)
        wanted = ratios(terms.conditions, norms[1:], norms[0])
        return averaged(terms, wanted, self.alpha)

    def remember(self, terms: Terms) -> Mapping[str, torch.Tensor]:
        return {"norms": self._norms(terms)} if self.rule == "running" else {}

    def _norms(self, terms: Terms) -> torch.Tensor:
        """The size of the equations' gradient, and of that of every condition."""
        count = len(terms.equations)
        equations, conditions = terms.gradients[:count].sum(0), terms.gradients[count:]
        if self.rule == "maximum":
            return torch.cat([equations.abs().max()[None], conditions.abs().mean(1)])
        now = torch.cat([equations.norm()[None], conditions.norm(dim=1)])
        before = terms.memory.get("norms", now)
        return self.gamma * before + (1 - self.gamma) * now
