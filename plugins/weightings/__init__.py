"""Weights of collocation points."""

from collections.abc import Sequence

from pinn.core import Weighting, hookimpl
from pinn.plugins.weightings.causal import Causal
from pinn.plugins.weightings.gradient_norms import GradientNorms
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla


@hookimpl
def pinn_weightings() -> Sequence[type[Weighting]]:
    return [Causal, GradientNorms, ResidualBasedAttention, Vanilla]
