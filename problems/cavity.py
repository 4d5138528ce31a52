"""The lid-driven cavity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen

from pinn.core import Box, Condition, Problem, Reference, above, choice, option
from pinn.core.lazy import torch
from pinn.problems import cavity_corners as corners

CORNER = 0.1
CORNER_REYNOLDS = 20.0
"""Distance from the lid's corners within which equations count less: at most, and times Re."""


@frozen
class Cavity(Problem):
    """Steady incompressible Navier-Stokes in the unit square, driven by its lid at y = 1.

    u·∇u = −∇p + ∇²u / Re, ∇·u = 0; no slip; on the lid (u, v) = (1, 0), or regularised
    u = 16 x² (1 − x)², which is smooth at the corners.
    """

    name = "cavity"
    domain = Box(x=(0, 1), y=(0, 1))

    reynolds: float = option(1000.0, "Re", above(0))
    lid: str = option("constant", "constant or regularised", choice("constant", "regularised"))
    formulation: str = option(
        "streamfunction",
        "streamfunction (ψ, p) or velocity (u, v, p)",
        choice("streamfunction", "velocity"),
    )
    hard: bool = option(False, "satisfy no slip exactly; streamfunction only")
    boundary: str = option(
        "faces",
        "faces: a loss of the walls and one of the lid; joint: the mean of (|Δu| + |Δv|)² over all",
        choice("faces", "joint"),
    )
    gauge: bool = option(True, "hold the constants of ψ and p in a corner; without, they are free")

    def __attrs_post_init__(self) -> None:
        if self.hard and self.formulation != "streamfunction":
            raise ValueError(
                'hard = true needs formulation = "streamfunction": it makes the flow free of '
                "divergence, too"
            )
        if self.hard and self.boundary == "joint":
            raise ValueError('hard = true needs boundary = "faces": nothing is left to enforce')

    @property
    def splits_corners(self) -> bool:
        return self.hard and self.lid == "constant"

    @property
    def fields(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("psi", "p") if self.formulation == "streamfunction" else ("u", "v", "p")

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        nu = 1 / self.reynolds
        u, v = self.velocity(q)
        if self.formulation == "velocity":
            return {
                "momentum_x": u * q.u_x + v * q.u_y + q.p_x - nu * (q.u_xx + q.u_yy),
                "momentum_y": u * q.v_x + v * q.v_y + q.p_y - nu * (q.v_xx + q.v_yy),
                "continuity": q.u_x + q.v_y,
            }
        momentum = {
            "momentum_x": u * q.psi_xy + v * q.psi_yy + q.p_x - nu * (q.psi_xxy + q.psi_yyy),
            "momentum_y": q.p_y + nu * (q.psi_xxx + q.psi_xyy) - u * q.psi_xx - v * q.psi_xy,
        }
        if not self.splits_corners:
            return momentum
        near = corners.distance(q.x, q.y, min(CORNER, CORNER_REYNOLDS / self.reynolds))
        return {name: near * residual for name, residual in momentum.items()}

    def conditions(self) -> Iterator[Condition]:
        def walls(q: Any) -> dict[str, Any]:
            u, v = self.velocity(q)
            return {"u": u, "v": v}

        def lid(q: Any) -> dict[str, Any]:
            u, v = self.velocity(q)
            return {"u": u - self.lid_velocity(q.x), "v": v}

        def joint(q: Any) -> Any:
            u, v = self.velocity(q)
            return (u - self.lid_velocity(q.x) * (q.y == 1)).abs() + v.abs()

        def corner(q: Any) -> dict[str, Any]:
            return {name: getattr(q, name) for name in self.fields if name in ("psi", "p")}

        if self.boundary == "joint":
            yield Condition("boundary", on=("x=0", "x=1", "y=0", "y=1"), residual=joint)
        elif not self.hard:
            yield Condition("walls", on=("x=0", "x=1", "y=0"), residual=walls)
            yield Condition("lid", on="y=1", residual=lid)
        if self.gauge:
            yield Condition("corner", on="x=0, y=0", residual=corner)

    def velocity(self, q: Any) -> tuple[Any, Any]:
        return (q.u, q.v) if self.formulation == "velocity" else (q.psi_y, -q.psi_x)

    def lid_velocity(self, x: Any) -> Any:
        return 16 * (x * (1 - x)) ** 2 if self.lid == "regularised" else 1.0

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """ψ = (x (1 − x) y (1 − y))² N + u_lid(x) y² (y − 1); with a constant lid the flows in its
        corners stand in place of the second term, a factor that fits them in place of the first, and
        their pressure beside that of the network."""
        if not self.hard:
            return super().ansatz(q)
        x, y = q.x, q.y
        if not self.splits_corners:
            free = (x * (1 - x) * y * (1 - y)) ** 2 * q.psi
            return {"psi": free + self.lid_velocity(x) * y**2 * (y - 1), "p": q.p}
        return {
            "psi": corners.vanishing(x, y) * q.psi + corners.lifting(x, y),
            "p": q.p + corners.pressures(x, y, self.reynolds),
        }

    def observables(self, q: Any) -> Mapping[str, torch.Tensor]:
        """Speed first: the paper's error is that of √(u² + v²)."""
        u, v = self.velocity(q)
        shown = {"speed": torch.sqrt(u**2 + v**2), "u": u, "v": v, "p": q.p}
        return shown if self.formulation == "velocity" else {**shown, "psi": q.psi}

    def reference(self) -> Reference:
        """See `cavity_reference.py`; relative L2 accuracy of the speed 1e-6 (Re 100) to 5e-5."""
        from pinn.problems.cavity_reference import load

        x, y, fields = load(self.reynolds, self.lid)  # type: ignore[arg-type]
        speed = np.hypot(fields["u"], fields["v"])
        return Reference({"x": x, "y": y}, {"speed": speed, **fields})
