from __future__ import annotations

import pytest
from pinn_shapes import CylinderFlow, LShape

from pinn.testing import check_problem


@pytest.mark.parametrize("problem", [LShape, CylinderFlow])
def test_they_are_sound_problems(problem: type) -> None:
    """Among the rest: the singular function satisfies its equation and condition."""
    check_problem(problem)
