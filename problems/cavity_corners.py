"""The flow in the upper corners of a lid-driven cavity, where vorticity and pressure are infinite.

Under the end of a lid that moves along a wall at rest the flow is Stokes flow, ψ = r f(θ), whatever the
Reynolds number (Goodier 1934; Taylor 1962; Batchelor 1967, section 4.8), and the pressure rises like
1/r. A smooth network cannot follow it, so it is split off: O. Botella & R. Peyret, Comput. Fluids 27
(1998) 421.
"""

from __future__ import annotations

from math import pi
from typing import Any

from pinn.core.lazy import torch

# ψ = b s + θ (c x + d s) in the upper left corner, where s = 1 − y is the depth below the lid and θ the
# angle from the lid.
CORNER_B = -(pi**2) / (pi**2 - 4)
CORNER_C = 4 / (pi**2 - 4)
CORNER_D = 2 * pi / (pi**2 - 4)

TINY = 1e-17
"""How far beyond its walls a corner is taken to be, so that it has finite values: those of the lid."""

LEAST = 1e-18
"""Of a denominator that is zero in a corner alone; its square is a number in single precision, too."""


def streamfunction(x: Any, depth: Any) -> Any:
    """ψ = b s + θ (c x + d s) of the left corner: ψ = 0 on both walls, ψ_s = −1 on the lid, s = 0, and
    ψ_x = 0 on the wall, x = 0."""
    x = x + TINY
    angle = 2 * torch.atan(depth / (torch.sqrt(x**2 + depth**2) + x))
    return CORNER_B * depth + angle * (CORNER_C * x + CORNER_D * depth)


def pressure(x: Any, depth: Any, reynolds: float) -> Any:
    """p = −2 (c x + d s) / (Re r²) of the left corner."""
    return -2 / reynolds * (CORNER_C * x + CORNER_D * depth) / (x**2 + depth**2 + TINY**2)


def lifting(x: Any, y: Any) -> Any:
    """A ψ that meets no slip on all four walls and the lid of unit speed, with both corner flows.

    Each fades out towards the other walls, with three derivatives.
    """
    left, right = (streamfunction(distance, 1 - y) for distance in (x, 1 - x))
    fading = _step(x)
    return _step(y) * ((1 - fading) * left + fading * right)


def vanishing(x: Any, y: Any) -> Any:
    """A function that vanishes with its slope on all four walls: a smooth network is multiplied by it.

    With the depth s = 1 − y it is 3 y² / (1/x² + 1/(1 − x)² + 1/s²). Near an upper corner that goes like
    (r sin θ cos θ)², and inertia, the largest that is left of the flow there, is Re r² g(θ) with
    g / (sin θ cos θ)² from 0.029 to 0.038: the network has a finite value to learn; beside x² s² it
    would have to grow like 1/r². In the lower corners it goes like x² y², nearly as Moffatt's eddies do,
    r^3.74 (J. Fluid Mech. 18 (1964) 1). Walls joined so are Rvachev's: N. Sukumar & A. Srivastava,
    Comput. Methods Appl. Mech. Engrg. 389 (2022) 114333.
    """
    left, right, depth = x, 1 - x, 1 - y
    joined = (right * depth) ** 2 + (left * depth) ** 2 + (left * right) ** 2
    return 3 * (left * right * depth * y) ** 2 / (joined + LEAST)


def pressures(x: Any, y: Any, reynolds: float) -> Any:
    """What is infinite of the pressure, of both corners: the right one is the left one reflected, with
    the opposite sense."""
    return pressure(x, 1 - y, reynolds) - pressure(1 - x, 1 - y, reynolds)


def distance(x: Any, y: Any, width: float) -> Any:
    """r₁ r₂ / √((r₁² + w²)(r₂² + w²)): the distance from either corner, and 1 away from both."""
    product: Any = 1.0
    for along in (x, 1 - x):
        radius = _radius(along, 1 - y)
        product = product * radius / torch.sqrt(radius**2 + width**2)
    return product


def _radius(x: Any, depth: Any) -> Any:
    return torch.sqrt(x**2 + depth**2 + TINY**2)


def _step(x: Any) -> Any:
    """From 0 to 1 with three flat derivatives at both ends: ∫ t³ (1 − t)³ dt, normalised."""
    return x**4 * (35 - 84 * x + 70 * x**2 - 20 * x**3)
