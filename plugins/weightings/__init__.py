"""Weights of collocation points, and factors of the terms of a loss."""

from collections.abc import Sequence

from pinn.core import Weighting, hookimpl
from pinn.plugins.weightings.augmented_lagrangian import AugmentedLagrangian
from pinn.plugins.weightings.causal import Causal
from pinn.plugins.weightings.gradient_norms import GradientNorms
from pinn.plugins.weightings.ntk import TangentKernel
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.relobralo import RelativeLossBalancing
from pinn.plugins.weightings.self_adaptive import SelfAdaptive
from pinn.plugins.weightings.vanilla import Vanilla
from pinn.plugins.weightings.vrba import VariationalAttention


@hookimpl
def pinn_weightings() -> Sequence[type[Weighting]]:
    return [
        AugmentedLagrangian,
        Causal,
        GradientNorms,
        RelativeLossBalancing,
        ResidualBasedAttention,
        SelfAdaptive,
        TangentKernel,
        Vanilla,
        VariationalAttention,
    ]
