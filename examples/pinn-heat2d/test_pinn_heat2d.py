from __future__ import annotations

from pinn_heat2d import Heat2d

from pinn.testing import check_problem


def test_it_is_a_sound_problem() -> None:
    """Among the rest: the waves satisfy the equation and all conditions."""
    check_problem(Heat2d(kappa=0.2))
