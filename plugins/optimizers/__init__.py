"""Optimizers with their learning-rate schedules."""

from collections.abc import Sequence

from pinn.core import Optimizer, hookimpl
from pinn.plugins.optimizers.adam import Adam
from pinn.plugins.optimizers.gauss_newton import GaussNewton
from pinn.plugins.optimizers.lbfgs import LBFGS
from pinn.plugins.optimizers.self_scaled import SelfScaledBFGS, SelfScaledBroyden
from pinn.plugins.optimizers.torch_class import TorchOptimizer


@hookimpl
def pinn_optimizers() -> Sequence[type[Optimizer]]:
    return [Adam, GaussNewton, LBFGS, SelfScaledBFGS, SelfScaledBroyden, TorchOptimizer]
