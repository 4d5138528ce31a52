"""q at other places: other values of a coordinate, integrals, normals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, settings, strategies as st
from torch import Tensor

from pinn.core import Ball, Box, PinnError, Problem, Shape
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.residuals import Residuals
from pinn.testing.problems.solutions import exact_residuals

SQUARE = Box(x=(0, 2), t=(-1, 1))
PLATE = (Box(x=(-1, 1), y=(-1, 1)) - Ball(x=0.2, y=0, radius=0.4, name="hole")) * Box(t=(0, 1))


def law(residual: Callable[[Any], Any], domain: Shape = SQUARE, exact: Any = None) -> Residuals:
    @frozen
    class Whatever(Problem):
        """Whatever the domain."""

        name = "any"
        fields = ("u",)

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.u}

        def solution(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": exact(q)}

    Whatever.domain = domain
    return residuals(Whatever(), residual, "the condition", "c", torch.float64)


def network(points: Any) -> Any:
    x, t = points[:, :1], points[:, 1:2]
    return torch.sin(x) * torch.exp(t) + x * t


@pytest.fixture
def points() -> Tensor:
    low, high = torch.tensor([SQUARE.lower, SQUARE.upper], dtype=torch.float64)
    return low + (high - low) * torch.rand(
        7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def test_other_values_of_a_coordinate(points: Tensor) -> None:
    found = law(lambda q: q.u_x - q.at(x=2).u_x)(network, points)[0]
    x, t = points.T
    expected = (torch.cos(x) - math.cos(2)) * torch.exp(t)
    assert torch.allclose(found, expected, atol=1e-12)


def test_the_same_field_elsewhere_is_another_quantity(points: Tensor) -> None:
    """u(x) − u(0) is no combination of one derivative that cancels."""
    found = law(lambda q: q.u - q.at(x=0).u)(network, points)[0]
    assert torch.allclose(found, network(points)[:, 0], atol=1e-12)


def test_a_delay(points: Tensor) -> None:
    found = law(lambda q: q.at(t=q.t - 0.5).u_t)(network, points)[0]
    x, t = points.T
    assert torch.allclose(found, torch.sin(x) * torch.exp(t - 0.5) + x, atol=1e-12)


@pytest.mark.parametrize(
    ("residual", "expected"),
    [
        (
            lambda q: q.integral("u", over="x"),
            lambda x, t: (1 - math.cos(2)) * torch.exp(t) + 2 * t,
        ),
        (
            lambda q: q.integral("u_t", over="x", high=q.x),
            lambda x, t: (1 - torch.cos(x)) * torch.exp(t) + x**2 / 2,
        ),
        (
            lambda q: q.integral(lambda p: p.u_x * p.x, over="x", low=1.0, nodes=20),
            lambda x, t: (
                (2 * math.sin(2) + math.cos(2) - math.sin(1) - math.cos(1)) * torch.exp(t) + 1.5 * t
            ),
        ),
    ],
    ids=["whole", "up-to-here", "of-an-expression"],
)
def test_integrals_along_a_coordinate(
    residual: Callable[[Any], Tensor], expected: Callable[..., Tensor], points: Tensor
) -> None:
    found = law(residual)(network, points)[0]
    assert torch.allclose(found, expected(*points.T), atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.data())
def test_quadrature_is_exact_for_polynomials(nodes: int, data: st.DataObject) -> None:
    """n nodes integrate powers up to 2 n − 1 exactly (Gauss)."""
    power = data.draw(st.integers(0, 2 * nodes - 1))
    found = law(lambda q: q.integral(lambda p: p.x**power, over="x", nodes=nodes))(
        network, torch.zeros(1, 2, dtype=torch.float64)
    )
    assert found.item() == pytest.approx(2.0 ** (power + 1) / (power + 1), rel=1e-12)


def test_the_flux_through_a_part_of_the_boundary() -> None:
    """∮ ∂u/∂n ds = ∫ Δu dA, with Δu = 6 x + 2 t, over a hole, into which the normal points."""
    flux = law(
        lambda q: q.integral(lambda p: p.d_n("u"), over="hole"),
        PLATE,
        lambda q: q.x**3 + q.t * q.y**2,
    )
    points = torch.tensor([[0.9, 0.9, 0.0], [-0.9, 0.5, 1.0]], dtype=torch.float64)
    area = math.pi * 0.4**2
    expected = -area * (6 * 0.2 + 2 * points[:, 2])
    assert torch.allclose(exact_residuals(flux, points)[0][0], expected, atol=1e-10)


def test_normals_are_columns_of_the_points() -> None:
    slope = law(lambda q: q.d_n("u") + q.n_t, PLATE, lambda q: q.x**2 * q.y)
    assert slope.normals
    points = torch.tensor([[0.6, 0.2, 0.3, 0.6, 0.8, 0.0]], dtype=torch.float64)
    expected = 2 * 0.6 * 0.2 * 0.6 + 0.6**2 * 0.8
    assert exact_residuals(slope, points)[0].item() == pytest.approx(expected)
    assert not law(lambda q: q.u_x, PLATE).normals


def test_a_field_called_n_keeps_its_slopes() -> None:
    @frozen
    class Density(Problem):
        """n_x is the slope of n."""

        name = "density"
        fields = ("n",)
        domain = Box(x=(0, 1))

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"n": q.n_x}

    found = residuals(Density(), Density().equations, "the equations", dtype=torch.float64)
    points = torch.rand(3, 1, dtype=torch.float64)
    assert torch.allclose(found(lambda p: p * p, points)[0], 2 * points[:, 0])


@pytest.mark.parametrize(
    ("residual", "message"),
    [
        (lambda q: q.at(z=1).u, r"there is no coordinate 'z'; there are"),
        (lambda q: q.integral("u", over="hole"), "over='hole' is no coordinate"),
        (lambda q: q.integral(lambda p: 1.0, over="x"), r"one number at each point, a tensor"),
        (lambda q: q.integral("v", over="x"), "ask for 'v'"),
        (lambda q: q.normal("z"), "there is no coordinate 'z'"),
    ],
)
def test_what_cannot_be_asked(residual: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(PinnError, match=message):
        law(residual)


def test_equations_have_no_normals() -> None:
    @frozen
    class Wrong(Problem):
        """Asks for a normal inside."""

        name = "wrong"
        fields = ("u",)
        domain = SQUARE

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.n_x * q.u_x}

    with pytest.raises(PinnError, match="known on faces and boundaries alone"):
        residuals(Wrong(), Wrong().equations, "the equations")


def test_on_a_shape_the_ends_of_a_coordinate_are_asked_for() -> None:
    with pytest.raises(PinnError, match="needs low and high"):
        law(lambda q: q.integral("u", over="x"), PLATE)
    over_time = law(lambda q: q.integral("u", over="t"), PLATE, lambda q: q.t * q.x)
    points = torch.tensor([[0.9, 0.9, 0.0]], dtype=torch.float64)
    assert exact_residuals(over_time, points)[0].item() == pytest.approx(0.45)


def test_nodes_on_a_cut_curve_lie_on_what_is_left() -> None:
    moon = (Ball(x=0, y=0, radius=1) - Ball(x=1, y=0, radius=1, name="bite")) * Box(t=(0, 1))
    length = law(lambda q: q.integral(lambda p: torch.ones_like(p.x), over="bite"), moon)
    found = length(lambda p: p[:, :1], torch.zeros(1, 3, dtype=torch.float64))
    assert found.item() == pytest.approx(2 * math.pi / 3, rel=1e-7)
    assert np.isfinite(found.numpy()).all()
