"""Integrals over the inside of a shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, settings, strategies as st
from torch import Tensor

from pinn.core import Ball, Box, PinnError, Polygon, Problem, Shape
from pinn.engine.derivatives.inner_quadrature import inner_quadrature
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.residuals import Residuals
from pinn.testing.problems.solutions import exact_residuals

SQUARE = Box(x=(-1, 1), y=(-1, 1))
DISK = Ball(x=0.2, y=0, radius=0.4, name="hole")
LENS = 0.5 * math.acos(0.5) - 0.25 * math.sqrt(0.75)
CORNERS = np.linspace(0, 2 * math.pi, 12, endpoint=False)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (DISK, math.pi * 0.16),
        (SQUARE - DISK, 4 - math.pi * 0.16),
        (SQUARE - Box(x=(0, 1), y=(-1, 0)), 3),
        (Ball(x=0, y=0, radius=0.5) | Ball(x=0.5, y=0, radius=0.5), math.pi / 2 - LENS),
        (Ball(x=0, y=0, radius=0.5) & Ball(x=0.5, y=0, radius=0.5), LENS),
        (Polygon(x=[0, 2, 0], y=[0, 0, 1]), 1),
        (Polygon(x=list(np.cos(CORNERS)), y=list(np.sin(CORNERS))), 3),
    ],
    ids=["disk", "hole", "L", "union", "lens", "triangle", "dodecagon"],
)
def test_areas_to_rounding(shape: Shape, area: float) -> None:
    points, weights = inner_quadrature(shape, 24)
    assert weights.sum() == pytest.approx(area, rel=1e-12)
    assert (weights > 0).all()
    assert shape.inside(points).all()


def test_the_volume_of_a_ball() -> None:
    _, weights = inner_quadrature(Ball(x=0, y=0, z=1, radius=0.5), 4)
    assert weights.sum() == pytest.approx(math.pi / 6, rel=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.floats(0.1, 0.9))
def test_the_hole_and_the_rest_are_the_whole(i: int, j: int, radius: float) -> None:
    hole = Ball(x=0, y=0, radius=radius)
    (p, v), (r, w) = inner_quadrature(hole, 24), inner_quadrature(SQUARE - hole, 32)
    found = (v * p[:, 0] ** i * p[:, 1] ** j).sum() + (w * r[:, 0] ** i * r[:, 1] ** j).sum()
    whole = (1 - (-1) ** (i + 1)) / (i + 1) * (1 - (-1) ** (j + 1)) / (j + 1)
    assert found == pytest.approx(whole, abs=1e-8)


def law(over: Any, domain: Shape, **ends: float) -> Residuals:
    @frozen
    class Whatever(Problem):
        """With u = x² + y + t."""

        name = "any"
        fields = ("u",)

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.u}

        def solution(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.x**2 + q.y + q.t}

    Whatever.domain = domain
    function = lambda q: q.integral("u", over=over, nodes=24, **ends)  # noqa: E731
    return residuals(Whatever(), function, "the condition", "c", torch.float64)


@pytest.mark.parametrize(
    ("over", "domain", "expected"),
    [
        (("x", "y"), DISK * Box(t=(0, 2)), math.pi * 0.16 * (0.04 + 0.04 + 1.5)),
        (("y", "x"), SQUARE * Box(t=(0, 2)), 4 * (1 / 3 + 1.5)),
        (("t", "x"), SQUARE * Box(t=(0, 2)), 4 * (1 / 3 + 0.3 + 1)),
        (("t", "x", "y"), DISK * Box(t=(0, 2)), 2 * math.pi * 0.16 * (0.04 + 0.04 + 1)),
    ],
)
def test_the_other_coordinates_are_the_points(over: Any, domain: Shape, expected: float) -> None:
    """At x = 0, y = 0.3, t = 1.5."""
    points = torch.tensor([[0.0, 0.3, 1.5]], dtype=torch.float64)
    assert exact_residuals(law(over, domain), points)[0].item() == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("over", [("x", "y"), "hole"])
def test_what_is_the_same_everywhere_is_found_once(over: Any) -> None:
    """Of ∫ u over all coordinates the network sees the nodes, however many points ask."""
    seen: list[int] = []

    @frozen
    class Whole(Problem):
        """u is its integral."""

        name = "whole"
        fields = ("u",)
        domain = SQUARE - DISK

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.u - q.integral(lambda p: seen.append(len(p.x)) or p.u, over=over)}

    asked = residuals(Whole(), Whole().equations, "the equations", dtype=torch.float64)
    seen.clear()
    points = torch.rand(500, 2, dtype=torch.float64)
    found = asked(lambda p: p[:, :1] ** 2, points)[0]
    assert {*seen} == {max(seen)}
    whole = asked(lambda p: p[:, :1] ** 2, points[:1])[0]
    assert torch.allclose(found - points[:, 0] ** 2, whole - points[:1, 0] ** 2)
    assert len({*seen}) == 1


@pytest.mark.parametrize(
    ("over", "ends", "message"),
    [
        (("x", "t"), {}, r"has some of x, y, which bound the shape together"),
        (("x", "z"), {}, "should be coordinates; there are"),
        (("x", "x"), {}, "should be coordinates"),
        (("x", "y"), {"low": 0.0}, "low and high go with a single coordinate"),
    ],
)
def test_what_cannot_be_integrated_over(over: Any, ends: Any, message: str) -> None:
    with pytest.raises(PinnError, match=message):
        law(over, DISK * Box(t=(0, 2)), **ends)
