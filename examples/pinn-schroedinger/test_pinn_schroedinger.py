from __future__ import annotations

import numpy as np
import pytest
from pinn_schroedinger import Schroedinger

from pinn.engine.training.evaluation import reference_solution
from pinn.testing import check_problem


@pytest.mark.parametrize(("amplitude", "speed"), [(1.5, 1.0), (2.0, -0.5)])
def test_it_is_a_sound_problem(amplitude: float, speed: float) -> None:
    """Among the rest: the soliton satisfies both equations and all conditions."""
    check_problem(Schroedinger(amplitude=amplitude, speed=speed))


def test_the_soliton_keeps_its_mass() -> None:
    """∫ |ψ|² dx = 2A over the whole line."""
    soliton = reference_solution(Schroedinger(amplitude=3.0, speed=0.5))
    assert soliton is not None
    x = soliton.coordinates["x"]
    mass = np.trapezoid(soliton.fields["modulus"] ** 2, x, axis=0)
    np.testing.assert_allclose(mass, 6.0, rtol=1e-6)
