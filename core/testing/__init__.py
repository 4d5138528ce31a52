"""Checks for parts that others write. They need hypothesis: `pip install pinn-dynamics[test]`.

from pinn.core.testing import check_problem
from pinn_heat import Heat

def test_heat() -> None:
    check_problem(Heat)
"""

from pinn.core.testing.analyzers import check_analyzer
from pinn.core.testing.invariants import (
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
from pinn.core.testing.networks import check_network
from pinn.core.testing.optimizers import check_optimizer
from pinn.core.testing.problems import check_problem
from pinn.core.testing.samplers import check_sampler
from pinn.core.testing.trial import Advice
from pinn.core.testing.weightings import check_weighting

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
