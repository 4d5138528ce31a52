"""Factors of the conditions by the size of gradients."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import Terms, at_least, between, option
from pinn.plugins.weightings.vanilla import Vanilla


@frozen
class GradientNorms(Vanilla):
    """f_c ← (1 − α) f_c + α max|∇L_eq| / mean|∇L_c|: the equations drown no condition's gradient.

    L_eq is the sum of the equations' losses and L_c the loss of a condition, without factors; maximum
    and mean are over the parameters. Every point counts the same. Wang, Teng & Perdikaris 2021, SIAM J.
    Sci. Comput. 43(5), arXiv 2001.04536, Algorithm 1.
    """

    name = "gradient-norms"

    alpha: float = option(0.1, "α, share of the new factor", between(0, 1))
    every: int = option(10, "steps between two balances", at_least(1))

    def balanced_every(self) -> int:
        return self.every

    def balance(self, terms: Terms) -> Mapping[str, float]:
        count = len(terms.equations)
        largest = float(terms.gradients[:count].sum(0).abs().max())
        found = {}
        for name, gradient in zip(terms.conditions, terms.gradients[count:], strict=True):
            mean = float(gradient.abs().mean())
            if mean > 0 and largest > 0:
                found[name] = (1 - self.alpha) * terms.factors[name] + self.alpha * largest / mean
        return found
