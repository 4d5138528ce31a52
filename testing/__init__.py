"""Checks for parts that others write. They need hypothesis: `pip install pinn-dynamics[test]`.

from pinn.testing import check_problem
from pinn_heat import Heat

def test_heat() -> None:
    check_problem(Heat)
"""

from pinn.testing.analyzers.checks import check_analyzer
from pinn.testing.invariants import (
    arrays,
    check_agreement,
    check_bounds,
    check_invariant,
    duplicated,
    permuted,
    scaled,
    shifted,
    sign_flipped,
)
from pinn.testing.networks import check_network
from pinn.testing.optimizers import check_optimizer
from pinn.testing.problems.checks import check_problem
from pinn.testing.samplers import check_sampler
from pinn.testing.trial import Advice
from pinn.testing.weightings import check_weighting

__all__ = [
    "Advice",
    "arrays",
    "check_agreement",
    "check_analyzer",
    "check_bounds",
    "check_invariant",
    "check_network",
    "check_optimizer",
    "check_problem",
    "check_sampler",
    "check_weighting",
    "duplicated",
    "permuted",
    "scaled",
    "shifted",
    "sign_flipped",
]
