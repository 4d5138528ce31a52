"""A problem with measurements and an unknown number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

import numpy as np
import torch
from attrs import frozen

from pinn.core import Box, Condition, Measurements, Problem, Unknown


@frozen
class Rod(Problem):
    """u_t = κ u_xx, u = exp(−κπ²t) sin πx, measured at fifty places to find κ = 0.1."""

    name = "rod"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"kappa": Unknown(start=1.0, positive=True, true=0.1)}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.kappa * q.u_xx}

    def conditions(self) -> Iterator[Condition | Measurements]:
        x, t = np.random.default_rng(0).uniform(size=(2, 50))
        u = np.exp(-0.1 * pi**2 * t) * np.sin(pi * x)
        yield Measurements("sensors", at={"x": x, "t": t}, values={"u": u})
        yield Condition("ends", on=("x=0", "x=1"), residual=lambda q: q.u)

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"u": torch.exp(-q.kappa * pi**2 * q.t) * torch.sin(pi * q.x)}
