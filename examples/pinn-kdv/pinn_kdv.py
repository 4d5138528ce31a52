"""Waves of the Korteweg-de Vries equation: an example that marches in windows of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Box, Condition, Problem, Reference, above, hookimpl, option
from pinn.core.lazy import torch

Array = NDArray[np.float64]

MODES, STEPS = 512, 10_000
"""Of the reference: points in x, and steps in a unit of time."""
SHOWN = 201
"""Instants of the reference."""


@frozen
class KortewegDeVries(Problem):
    """u_t + u u_x + δ² u_xxx = 0 on [−1, 1], periodic, u = cos πx at first: a wave breaks into solitons.

    With δ = 0.022 this is the experiment of Zabusky & Kruskal 1965 (Phys. Rev. Lett. 15, 240): the slope
    becomes steep at t = 1/π, and then eight solitons run through each other.
    """

    name = "kdv"
    fields = ("u",)

    delta: float = option(0.022, "δ, dispersion", above(0))
    end: float = option(1.0, "the last instant", above(0))
    hard: bool = option(True, "begin with cos πx exactly: u = cos πx + t N")

    @property
    def domain(self) -> Box:  # type: ignore[override]
        return Box(x=(-1, 1), t=(0, self.end))

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {"kdv": q.u_t + q.u * q.u_x + self.delta**2 * q.u_xxx}

    def conditions(self) -> Iterator[Condition]:
        if not self.hard:
            yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.cos(torch.pi * q.x))

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"u": torch.cos(torch.pi * q.x) + q.t * q.u} if self.hard else super().ansatz(q)

    def reference(self) -> Reference:
        """See `evolve`; with twice the points and steps it changes by less than 1e-7."""
        times, u = evolve(self.delta, self.end)
        x = np.linspace(-1, 1, MODES + 1)
        return Reference({"x": x, "t": times}, {"u": np.hstack([u, u[:, :1]]).T})


def evolve(delta: float, end: float, modes: int = MODES, steps: int = STEPS) -> tuple[Array, Array]:
    """u (instants, modes) at x = −1, −1 + 2/modes, … from cos πx on: (instants,), and u there.

    Fourier modes û of which the linear part is exact, v = exp(−i δ² k³ t) û, and the rest is advanced by
    classical Runge-Kutta steps of fourth order (integrating factor; Trefethen 2000, Spectral Methods in
    MATLAB, program 27).
    """
    each = max(round(steps * end / (SHOWN - 1)), 1)
    step = end / (SHOWN - 1) / each
    k = np.pi * np.fft.rfftfreq(modes, 1 / modes)
    half, slope = np.exp(0.5j * delta**2 * k**3 * step), -0.5j * k * (k < 2 / 3 * k[-1])

    def turned(v: Any) -> Any:
        return slope * np.fft.rfft(np.fft.irfft(v, modes) ** 2)

    u = np.cos(np.pi * np.linspace(-1, 1, modes, endpoint=False))
    v, found = np.fft.rfft(u), [u]
    for _ in range(SHOWN - 1):
        for _ in range(each):
            a = step * turned(v)
            b = step * turned(half * (v + a / 2))
            c = step * turned(half * v + b / 2)
            d = step * turned(half**2 * v + half * c)
            v = half**2 * v + (half**2 * a + 2 * half * (b + c) + d) / 6
        found.append(np.fft.irfft(v, modes))
    return np.linspace(0, end, SHOWN), np.array(found)


@hookimpl
def pinn_problems() -> list[type[Problem]]:
    return [KortewegDeVries]
