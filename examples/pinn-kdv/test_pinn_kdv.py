from __future__ import annotations

import numpy as np
from pinn_kdv import KortewegDeVries, evolve

from pinn.testing import check_problem


def test_it_is_a_sound_problem() -> None:
    """Among the rest: the reference satisfies the initial condition."""
    check_problem(KortewegDeVries(end=0.4, hard=False))


def test_the_reference_has_converged() -> None:
    _, u = evolve(0.022, 1.0)
    _, finer = evolve(0.022, 1.0, modes=1024, steps=20_000)
    np.testing.assert_allclose(u, finer[:, ::2], rtol=0, atol=1e-7)


def test_the_reference_keeps_mass_and_energy() -> None:
    """∫ u dx and ∫ u² dx stay as they are."""
    _, u = evolve(0.022, 1.0)
    np.testing.assert_allclose(u.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose((u**2).mean(1), 0.5, rtol=1e-6)
