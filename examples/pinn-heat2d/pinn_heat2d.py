"""Heat conduction in a square plate: an example of a PDE in two dimensions and time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, above, hookimpl, option
from pinn.core.lazy import torch

WAVES = ((1, 1, 1.0), (3, 2, 0.5))
"""Half waves along x and y, and their height at t = 0: a broad one, and a fine one that fades sooner."""


@frozen
class Heat2d(Problem):
    """u_t = κ (u_xx + u_yy) on [0, 1]² × [0, 1], u = 0 at the edges.

    Exact, by separation of variables: u = Σ a exp(−κ π² (m² + n²) t) sin mπx sin nπy over the waves
    sin πx sin πy + ½ sin 3πx sin 2πy that u begins with.
    """

    name = "heat2d"
    fields = ("u",)
    domain = Box(x=(0, 1), y=(0, 1), t=(0, 1))
    grid = {"x": 41, "y": 41, "t": 11}  # noqa: RUF012

    kappa: float = option(0.05, "κ, thermal diffusivity", above(0))

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {"heat": q.u_t - self.kappa * (q.u_xx + q.u_yy)}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - self.solution(q)["u"])
        yield Condition("edges", on=("x=0", "x=1", "y=0", "y=1"), residual=lambda q: q.u)

    def solution(self, q: Any) -> Mapping[str, torch.Tensor]:
        def wave(m: int, n: int, height: float) -> torch.Tensor:
            fading = torch.exp(-self.kappa * pi**2 * (m**2 + n**2) * q.t)
            return height * fading * torch.sin(m * pi * q.x) * torch.sin(n * pi * q.y)

        broad, fine = (wave(*each) for each in WAVES)
        return {"u": broad + fine}


@hookimpl
def pinn_problems() -> list[type[Problem]]:
    return [Heat2d]
