"""Checks for parts that others write. They need hypothesis: `pip install pinn-dynamics[test]`.

from pinn.testing import check_problem
from pinn_heat import Heat

def test_heat() -> None:
    check_problem(Heat)
"""

from pinn.testing.analyzers.checks import check_analyzer as check_analyzer
from pinn.testing.invariants import (
    arrays as arrays,
    check_agreement as check_agreement,
    check_bounds as check_bounds,
    check_invariant as check_invariant,
    duplicated as duplicated,
    permuted as permuted,
    scaled as scaled,
    shifted as shifted,
    sign_flipped as sign_flipped,
)
from pinn.testing.networks import check_network as check_network
from pinn.testing.optimizers import check_optimizer as check_optimizer
from pinn.testing.problems.checks import check_problem as check_problem
from pinn.testing.samplers import check_sampler as check_sampler
from pinn.testing.trial import Advice as Advice
from pinn.testing.weightings import check_weighting as check_weighting
