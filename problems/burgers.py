"""The viscous Burgers equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, Reference, at_least, option
from pinn.core.lazy import torch


@frozen
class Burgers(Problem):
    """u_t + u u_x = ν u_xx on [−1, 1] × [0, 1], u(x, 0) = −sin πx, u(±1, t) = 0."""

    name = "burgers"
    fields = ("u",)
    domain = Box(x=(-1, 1), t=(0, 1))

    viscosity: float = option(0.01 / pi, "ν", at_least(1e-3))
    hard: bool = option(False, "satisfy initial and boundary conditions exactly")
    hard_walls: bool = option(
        True,
        "with hard, the walls as well; without, they are a term of the loss, zero to rounding for a "
        "network that is odd and periodic in x",
    )

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {"burgers": q.u_t + q.u * q.u_x - self.viscosity * q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        if not self.hard:
            yield Condition("initial", on="t=0", residual=lambda q: q.u + torch.sin(pi * q.x))
        if not (self.hard and self.hard_walls):
            yield Condition("walls", on=("x=-1", "x=1"), residual=lambda q: q.u)

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """u = −sin πx + t (1 − x²) N, without the second factor unless `hard_walls`."""
        if not self.hard:
            return {"u": q.u}
        free = (1 - q.x**2) * q.u if self.hard_walls else q.u
        return {"u": q.t * free - torch.sin(pi * q.x)}

    def reference(self) -> Reference:
        """See `burgers_reference.py`; absolute accuracy 1e-13 for ν ≥ 1e-3."""
        from pinn.problems.burgers_reference import solve

        x, t, u = solve(self.viscosity)
        return Reference({"x": x, "t": t}, {"u": u})
