"""Ways to draw collocation points."""

from collections.abc import Sequence

from pinn.core import Sampler, hookimpl
from pinn.plugins.samplers.grid import Grid
from pinn.plugins.samplers.lhs import LatinHypercube
from pinn.plugins.samplers.pool import AttentionPool
from pinn.plugins.samplers.r3 import RetainResampleRelease
from pinn.plugins.samplers.rad import ResidualAdaptiveDistribution
from pinn.plugins.samplers.sobol import Sobol
from pinn.plugins.samplers.uniform import Uniform


@hookimpl
def pinn_samplers() -> Sequence[type[Sampler]]:
    return [
        AttentionPool,
        Grid,
        LatinHypercube,
        ResidualAdaptiveDistribution,
        RetainResampleRelease,
        Sobol,
        Uniform,
    ]
