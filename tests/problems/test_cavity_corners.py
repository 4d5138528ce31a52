"""The flow that is split off in the corners of a lid-driven cavity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pinn.problems import cavity_corners as corners
from pinn.problems.cavity_reference import _corner


def slope(of: Tensor, by: Tensor) -> Tensor:
    return torch.autograd.grad(of.sum(), by, create_graph=True)[0]


def places(count: int = 50) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, generator=generator, dtype=torch.float64)


def laplacian(of: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return slope(slope(of, x), x) + slope(slope(of, y), y)


def test_the_flow_of_a_corner_is_stokes_flow() -> None:
    """∇p = ∇²(u, v) / Re, with (u, v) = (ψ_y, −ψ_x) and y = −depth."""
    reynolds = 7.0
    x, depth = (places(100).reshape(2, 50) + 0.05).requires_grad_().unbind()
    psi, p = corners.streamfunction(x, depth), corners.pressure(x, depth, reynolds)
    vorticity = laplacian(psi, x, depth)
    torch.testing.assert_close(slope(p, x), -slope(vorticity, depth) / reynolds)
    torch.testing.assert_close(-slope(p, depth), -slope(vorticity, x) / reynolds)


WALLS = {"lid": (None, 1.0), "floor": (None, 0.0), "left": (0.0, None), "right": (1.0, None)}


@pytest.mark.parametrize("wall", WALLS)
def test_the_lifting_meets_every_wall(wall: str) -> None:
    x, y = (
        (places() if at is None else torch.full((50,), at, dtype=torch.float64)).requires_grad_()
        for at in WALLS[wall]
    )
    psi = corners.lifting(x, y)
    none = torch.zeros_like(psi)
    torch.testing.assert_close(psi, none, atol=1e-10, rtol=0)
    torch.testing.assert_close(slope(psi, x), none, atol=1e-9, rtol=0)
    lid = torch.full_like(psi, wall == "lid")
    torch.testing.assert_close(slope(psi, y), lid, atol=1e-9, rtol=0)


@pytest.mark.parametrize("wall", WALLS)
def test_what_the_network_is_multiplied_by_vanishes_with_its_slope_on_every_wall(wall: str) -> None:
    x, y = (
        (places() if at is None else torch.full((50,), at, dtype=torch.float64)).requires_grad_()
        for at in WALLS[wall]
    )
    factor = corners.vanishing(x, y)
    for vanishes in (factor, slope(factor, x), slope(factor, y)):
        torch.testing.assert_close(vanishes, torch.zeros_like(vanishes), atol=1e-12, rtol=0)
    assert corners.vanishing(torch.tensor(0.5), torch.tensor(0.5)) > 0.05


def test_the_network_has_a_finite_value_to_learn_where_inertia_begins() -> None:
    """Of Re r² g(θ), what inertia first adds to the flow of a corner, it leaves 0.029 Re to 0.038 Re."""
    angle, radius = np.linspace(0.01, np.pi / 2 - 0.01, 40), 1e-4
    x, depth = radius * np.cos(angle), radius * np.sin(angle)
    inertial = _corner(x, 1 - depth, reynolds=1.0)(0, 0) - _corner(x, 1 - depth)(0, 0)
    factor = corners.vanishing(torch.tensor(x), torch.tensor(1 - depth)).numpy() / 3
    left = inertial / factor
    assert 0.029 < left.min() < left.max() < 0.038


def test_a_corner_has_the_speed_of_the_lid() -> None:
    x, y = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([0.0, 1.0], [1.0] * 2)
    )
    speed = slope(corners.lifting(x, y), y)
    torch.testing.assert_close(speed, torch.ones_like(speed))
    assert corners.pressures(x, y, 100.0).isfinite().all()


def test_equations_count_less_near_the_corners_alone() -> None:
    x, y = torch.tensor([0.01, 0.99, 0.5]), torch.tensor([0.99, 0.99, 0.5])
    found = corners.distance(x, y, 0.1)
    assert found[:2].max() < 0.2
    assert found[2] > 0.97
