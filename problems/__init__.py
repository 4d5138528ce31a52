"""The benchmark problems."""

from collections.abc import Sequence

from pinn.core import Problem, hookimpl
from pinn.problems.allen_cahn import AllenCahn
from pinn.problems.burgers import Burgers
from pinn.problems.cavity import Cavity
from pinn.problems.helmholtz import Helmholtz


@hookimpl
def pinn_problems() -> Sequence[type[Problem]]:
    return [AllenCahn, Burgers, Cavity, Helmholtz]
