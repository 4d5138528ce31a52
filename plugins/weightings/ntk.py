"""Factors of the terms of a loss by the traces of their tangent kernels."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import Terms, at_least, between, option
from pinn.plugins.weightings.averaging import averaged, ratios
from pinn.plugins.weightings.vanilla import Vanilla


@frozen
class TangentKernel(Vanilla):
    """f_k ← (1 − α) f_k + α Σ_l T_l / T_k with T_k = mean_i ‖∂r_i/∂θ‖² of term k: all are learnt alike.

    T_k is the mean eigenvalue of the neural tangent kernel of the term, at which gradients lower its
    residuals. Every point counts the same. Wang, Yu & Perdikaris 2022, J. Comput. Phys. 449,
    arXiv 2007.14527, eq. 6.5, with means over the points, so that their number does not matter.
    """

    name = "ntk"

    alpha: float = option(0.1, "α, share of the new factor", between(0, 1))
    every: int = option(
        100, "steps between two balances, each of the cost of a Jacobian", at_least(1)
    )

    def balanced_every(self) -> int:
        return self.every

    def balance(self, terms: Terms) -> Mapping[str, float]:
        return averaged(terms, ratios(terms.names, terms.traces()), self.alpha)
