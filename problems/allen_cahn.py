"""The Allen-Cahn equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import pi, sqrt
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, Reference, above, option
from pinn.core.lazy import torch

RELAXATION = 0.02
NEAR = 0.4
"""Distance from x = ±1 within which the kink is known."""
SOON = 1e-14
"""A time at which the kink is 2 d to 1e-9, that nothing is divided by zero."""


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
        """u = e^(−t/τ) u₀ + (1 − e^(−t/τ)) N + χ (w − 2 e^(−t/τ) d), d the distance from x = ±1.

        u₀ continued periodically has a kink 2 d there, which no smooth periodic N can have. What becomes
        of it is known, w of `diffused_kink`; what else u₀ is fades within τ. χ = e^(−(d / 0.4)⁴).
        """
        if not self.hard:
            return {"u": q.u}
        fading = torch.exp(-q.t / RELAXATION)
        distance = 1 - abs(q.x)
        near = torch.exp(-((distance / NEAR) ** 4))
        kink = self.diffused_kink(distance, q.t) - fading * 2 * distance
        return {"u": fading * initial(q.x) + (1 - fading) * q.u + near * kink}

    def diffused_kink(self, distance: Any, t: Any) -> Any:
        """w = 2 e^(−2Rt) (d erf(d/s) + s e^(−d²/s²)/√π), s² = 4 D t; 2 d at t = 0.

        It solves w_t = D w_xx − 2 R w, the equation near u = −1, to first order in w.
        """
        width = torch.sqrt(4 * self.diffusivity * (t + SOON))
        along = distance / width
        smooth = distance * torch.erf(along) + width * torch.exp(-(along**2)) / sqrt(pi)
        return 2 * torch.exp(-2 * self.reaction * t) * smooth

    def reference(self) -> Reference:
        """See `allen_cahn_reference.py`; relative L2 accuracy 1.1e-11 as it stands."""
        from pinn.problems.allen_cahn_reference import solve

        x, t, u = solve(self.diffusivity, self.reaction)
        return Reference({"x": x, "t": t}, {"u": u})


def initial(x: Any) -> Any:
    return x**2 * torch.cos(pi * x)
