"""Problems on shapes: an L with its corner's singularity, and the flow past a cylinder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from attrs import frozen

from pinn.core import Ball, Box, Condition, Problem, hookimpl
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

    Lengths are in units of 1 m, velocities in 0.3 m/s, the pressure over the density in 0.09 m²/s².
    """

    name = "cylinder-flow"
    fields = ("u", "v", "p")
    domain = Box(x=(0, 2.2), y=(0, 0.41)) - Ball(x=0.2, y=0.2, radius=0.05, name="cylinder")
    residual_scales: ClassVar = {"along": 10.0, "across": 10.0, "mass": 10.0}
    nu = 1e-3 / 0.3

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {
            "along": q.u * q.u_x + q.v * q.u_y + q.p_x - self.nu * (q.u_xx + q.u_yy),
            "across": q.u * q.v_x + q.v * q.v_y + q.p_y - self.nu * (q.v_xx + q.v_yy),
            "mass": q.u_x + q.v_y,
        }

    def conditions(self) -> Iterable[Condition]:
        yield Condition(
            "inlet", "x=0", lambda q: {"u": q.u - 4 * q.y * (0.41 - q.y) / 0.41**2, "v": q.v}
        )
        yield Condition("walls", ("y=0", "y=0.41", "cylinder"), lambda q: {"u": q.u, "v": q.v})
        yield Condition(
            "outlet",
            "x=2.2",
            lambda q: {"u": self.nu * q.d_n("u") - q.p, "v": self.nu * q.d_n("v")},
        )


@hookimpl
def pinn_problems() -> Sequence[type[Problem]]:
    return [LShape, CylinderFlow]
