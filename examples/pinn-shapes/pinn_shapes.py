"""Problems on shapes: an L with its corner's singularity, and the flow past a cylinder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from pinn.core import Ball, Box, Condition, Problem, Reference, Unknown, hookimpl
from pinn.core.lazy import torch


@frozen
class LShape(Problem):
    """Δu = 0 on an L, u = r^(2/3) sin(2θ/3) on its boundary: the slope at its corner is infinite."""

    name = "l-shape"
    fields = ("u",)
    domain = Box(x=(-1, 1), y=(-1, 1)) - Box(x=(0, 1), y=(-1, 0))

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {"laplace": q.u_xx + q.u_yy}

    def conditions(self) -> Iterable[Condition]:
        yield Condition("edge", "boundary", lambda q: q.u - self.solution(q)["u"])

    def solution(self, q: Any) -> Mapping[str, torch.Tensor]:
        angle = torch.atan2(-q.x - q.y, q.y - q.x) + 3 * torch.pi / 4  # 0 to 3π/2 inside
        return {"u": (q.x**2 + q.y**2 + 1e-30) ** (1 / 3) * torch.sin(2 / 3 * angle)}


@frozen
class CylinderFlow(Problem):
    """Flow past a cylinder in a channel at Re = 20 (Schäfer & Turek 1996, case 2D-1).

    u = ψ_y, v = −ψ_x. Lengths are in diameters, velocities in the mean U of the inflow, the pressure in
    ρU²; drag and lift are the coefficients 2 F / (ρ U² D).
    """

    name = "cylinder-flow"
    fields = ("psi", "p")
    domain = Box(x=(0, 22), y=(0, 4.1)) - Ball(x=2, y=2, radius=0.5, name="cylinder")
    nu = 1 / 20

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        u, v = q.psi_y, -q.psi_x
        return {
            "along": u * q.psi_xy + v * q.psi_yy + q.p_x - self.nu * (q.psi_xxy + q.psi_yyy),
            "across": -u * q.psi_xx - v * q.psi_xy + q.p_y + self.nu * (q.psi_xxx + q.psi_xyy),
        }

    def conditions(self) -> Iterable[Condition]:
        yield Condition(
            "outlet", "x=22", lambda q: {"u": self.nu * q.psi_xy - q.p, "v": self.nu * q.psi_xx}
        )

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"below": Unknown(2.0)}  # the flux between the cylinder and the lower wall

    def ansatz(self, q: Any) -> Mapping[str, torch.Tensor]:
        """No slip and the inflow hold exactly: ψ = below + s (inflow − below + b N).

        a and b vanish with their slopes on the cylinder, and on the walls and the inlet, so that
        s = a / (a + b) is 0 on the former and 1 on the latter.
        """
        h = 4.1
        beyond = (q.x - 2) ** 2 + (q.y - 2) ** 2 - 0.25
        a = (beyond / (1 + beyond)) ** 2
        b = (4 / h**2 * q.y * (h - q.y) * q.x / (1 + q.x / 2)) ** 2
        inflow = 6 / h**2 * (h * q.y**2 / 2 - q.y**3 / 3)
        return {"psi": q.below + a / (a + b) * (inflow - q.below + b * q.psi), "p": q.p}

    def observables(self, q: Any) -> Mapping[str, torch.Tensor]:
        def force(component: int) -> torch.Tensor:
            found: torch.Tensor = q.integral(lambda p: self.traction(p)[component], over="cylinder")
            return 2 * found

        return {"drag": force(0), "lift": force(1), "u": q.psi_y, "v": -q.psi_x, "p": q.p}

    def traction(self, q: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the fluid on the cylinder, into which the normal points: p n − ν (∇u + ∇uᵀ) n."""
        stretch, shear = 2 * self.nu * q.psi_xy, self.nu * (q.psi_yy - q.psi_xx)
        return (
            (q.p - stretch) * q.n_x - shear * q.n_y,
            (q.p + stretch) * q.n_y - shear * q.n_x,
        )

    def reference(self) -> Reference:
        """The coefficients, by finite elements of high order (Nabh 1998, in John & Matthies 2001)."""
        grid = {"x": np.linspace(0, 22, 441), "y": np.linspace(0, 4.1, 83)}
        known = {"drag": 5.57953523384, "lift": 0.010618948146}
        return Reference(grid, {name: np.full((441, 83), value) for name, value in known.items()})


@hookimpl
def pinn_problems() -> Sequence[type[Problem]]:
    return [LShape, CylinderFlow]
