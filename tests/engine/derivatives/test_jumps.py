"""Coefficients of derivatives that jump are found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from attrs import frozen

from pinn.core import Ball, Box, Problem, Shape, Unknown
from pinn.engine.derivatives.jumps import jumps

SQUARE = Box(x=(0, 1), y=(0, 1))


def stated(law: Callable[[Any], Any], where: Shape = SQUARE) -> Problem:
    @frozen
    class Stated(Problem):
        """u and v under whatever equation."""

        name = "stated"
        fields = ("u", "v")
        domain = where

        def equations(self, q: Any) -> Mapping[str, Any]:
            return {"law": law(q), "other": q.u_x - q.v}

        def unknowns(self) -> Mapping[str, Unknown]:
            return {"k": Unknown(2.0)}

    return Stated()


def step(x: Any, at: float = 0.37) -> Any:
    return torch.where(x < at, 1.0, 4.0)


@pytest.mark.parametrize(
    "law",
    [
        lambda q: step(q.x) * q.u_xx,
        lambda q: q.d(step(q.x) * q.u_x, "x"),
        lambda q: q.u_y - torch.heaviside(q.x - 0.37, torch.ones(1).double()) * q.u_x,
        lambda q: q.u_xx + (1 + torch.sign(q.x - 0.37)) * q.u_yy * q.k,
    ],
    ids=["non-divergence", "divergence", "convection", "one-direction"],
)
def test_a_jump_is_found_where_it_is(law: Callable[[Any], Any]) -> None:
    (jump,) = jumps(stated(law))
    assert jump.equation == "law"
    assert jump.place[0] == pytest.approx(0.37, abs=1e-6)


@pytest.mark.parametrize(
    "law",
    [
        lambda q: q.u_xx - step(q.x),
        lambda q: q.u_xx + step(q.x) * q.u,
        lambda q: q.v / step(q.x) - q.u_x,
        lambda q: (1.5 + torch.tanh(2000 * (q.x - 0.5))) * q.u_xx,
        lambda q: (q.x - 0.5).abs() * q.u_xx,
        lambda q: torch.where(q.u > 0, q.u, 0) * q.u_x - q.u_yy / q.x,
        lambda q: q.integral("u", over="y") - q.u_x,
        lambda q: q.at(x=0.5).u_x * step(q.x) - q.u,
    ],
    ids=["source", "reaction", "flux", "steep", "kink", "upwind", "integral", "elsewhere"],
)
def test_what_is_no_jump_before_a_slope_is_not_told(law: Callable[[Any], Any]) -> None:
    assert not [*jumps(stated(law))]


def test_it_is_told_of_the_equation_that_has_it() -> None:
    """Which here is the second one, and a flux in a flux."""

    class Coupled(type(stated(lambda q: q.u))):  # type: ignore[misc]
        def equations(self, q: Any) -> Mapping[str, Any]:
            inner = q.d(step(q.x) * q.v_x, "x")
            return {"plain": q.d(q.u * q.u_y, "y"), "outer": q.u_x - q.d(q.u * inner, "y")}

    assert [jump.equation for jump in jumps(Coupled())] == ["outer"]


def test_on_a_shape() -> None:
    ring = Ball(x=0.5, y=0.5, radius=0.5) - Ball(x=0.5, y=0.5, radius=0.1)
    (jump,) = jumps(stated(lambda q: step(q.y) * (q.u_xx + q.u_yy), ring))
    assert jump.place[1] == pytest.approx(0.37, abs=1e-6)
