"""The Helmholtz equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, option
from pinn.core.lazy import torch


@frozen
class Helmholtz(Problem):
    """u_xx + u_yy + k² u = q on [−1, 1]², u = 0 on the boundary; q makes sin a₁πx sin a₂πy exact."""

    name = "helmholtz"
    fields = ("u",)
    domain = Box(x=(-1, 1), y=(-1, 1))

    a1: int = option(6, "half waves in x per unit length")
    a2: int = option(6, "half waves in y per unit length")
    k: float = option(1.0, "wave number")
    hard: bool = option(False, "satisfy the boundary condition exactly")

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        strength = self.k**2 - (self.a1**2 + self.a2**2) * pi**2
        source = strength * self.solution(q)["u"]
        return {"helmholtz": q.u_xx + q.u_yy + self.k**2 * q.u - source}

    def conditions(self) -> Iterator[Condition]:
        if not self.hard:
            yield Condition("walls", on=("x=-1", "x=1", "y=-1", "y=1"), residual=lambda q: q.u)

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """u = (1 − x²) (1 − y²) N"""
        return {"u": (1 - q.x**2) * (1 - q.y**2) * q.u} if self.hard else {"u": q.u}

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"u": torch.sin(self.a1 * pi * q.x) * torch.sin(self.a2 * pi * q.y)}
