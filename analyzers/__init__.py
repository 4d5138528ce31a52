"""The built-in analyzers: what they measure as pure functions, and the parts that feed them."""

from collections.abc import Sequence

import click

from pinn.analyzers.adam_snr import AdamSignalToNoise
from pinn.analyzers.balance import Balance
from pinn.analyzers.compression import Compression
from pinn.analyzers.curvature import Curvature
from pinn.analyzers.equilibrium import Equilibrium
from pinn.analyzers.error import Error
from pinn.analyzers.fresh import Fresh
from pinn.analyzers.homogeneity import Homogeneity
from pinn.analyzers.maps import Maps
from pinn.analyzers.phases import PhasesOfLearning
from pinn.analyzers.phases_command import phases
from pinn.analyzers.rounding import Rounding
from pinn.analyzers.search import Search
from pinn.analyzers.sensitivity import Sensitivity
from pinn.analyzers.snr import SignalToNoise
from pinn.analyzers.spectrum import Spectrum
from pinn.analyzers.stagnation import Stagnation
from pinn.analyzers.symmetry import Symmetry
from pinn.core import Analyzer, hookimpl


@hookimpl
def pinn_analyzers() -> Sequence[type[Analyzer]]:
    return [
        Error,
        SignalToNoise,
        AdamSignalToNoise,
        Equilibrium,
        Balance,
        Homogeneity,
        PhasesOfLearning,
        Compression,
        Spectrum,
        Curvature,
        Search,
        Maps,
        Sensitivity,
        Stagnation,
        Fresh,
        Rounding,
        Symmetry,
    ]


@hookimpl
def pinn_commands() -> Sequence[click.Command]:
    return [phases]
