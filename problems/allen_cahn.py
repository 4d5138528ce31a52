"""The Allen-Cahn equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, Reference, above, option
from pinn.core.lazy import torch

RELAXATION = 0.02


@frozen
class AllenCahn(Problem):
    """u_t = D u_xx − R (u³ − u) on [−1, 1] × [0, 1], u(x, 0) = x² cos πx, periodic in x.

    Periodicity is the network's: `periodic = ["x"]`. The paper's authors impose no condition in x
    (arXiv 2403.18494), which `periodic = []` reproduces.
    """

    name = "allen-cahn"
    fields = ("u",)
    domain = Box(x=(-1, 1), t=(0, 1))

    diffusivity: float = option(1e-4, "D", above(0))
    reaction: float = option(5.0, "R", above(0))
    hard: bool = option(False, "satisfy the initial condition exactly")

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        u = q.u
        return {"allen-cahn": q.u_t - self.diffusivity * q.u_xx + self.reaction * (u**3 - u)}

    def conditions(self) -> Iterator[Condition]:
        if not self.hard:
            yield Condition("initial", on="t=0", residual=lambda q: q.u - initial(q.x))

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """u = e^(−t/τ) u₀ + (1 − e^(−t/τ)) N.

        u₀ continued periodically has a kink at x = ±1. With u₀ + t N it would stay for all t, since a
        smooth periodic N cannot remove it; here it fades within τ, as it does in the solution.
        """
        if not self.hard:
            return {"u": q.u}
        fading = torch.exp(-q.t / RELAXATION)
        return {"u": fading * initial(q.x) + (1 - fading) * q.u}

    def reference(self) -> Reference:
        """See `allen_cahn_reference.py`; relative L2 accuracy 1e-8."""
        from pinn.problems.allen_cahn_reference import solve

        x, t, u = solve(self.diffusivity, self.reaction)
        return Reference({"x": x, "t": t}, {"u": u})


def initial(x: Any) -> Any:
    return x**2 * torch.cos(pi * x)
