"""A soliton of the nonlinear Schrödinger equation: an example of a coupled system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from pinn.core import Box, Condition, Problem, above, hookimpl, option
from pinn.core.lazy import torch


@frozen
class Schroedinger(Problem):
    """i ψ_t + ½ ψ_xx + |ψ|² ψ = 0 on [−4, 6] × [0, 2], ψ = u + iv: a wave that keeps its shape.

    Its real and imaginary part are ½ u_xx − v_t + (u² + v²) u = 0 and u_t + ½ v_xx + (u² + v²) v = 0.
    Exact is the bright soliton ψ = A sech(A (x − ct)) exp(i (cx + (A² − c²) t / 2)), whose values are
    given at t = 0 and at both ends (Zakharov & Shabat 1972, Sov. Phys. JETP 34, 62).
    """

    name = "schroedinger"
    fields = ("u", "v")
    domain = Box(x=(-4, 6), t=(0, 2))

    amplitude: float = option(1.5, "A, height of the soliton and inverse of its width", above(0))
    speed: float = option(1.0, "c, at which it moves; its phase turns c times per unit of x")

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        density = q.u**2 + q.v**2
        return {
            "real": 0.5 * q.u_xx - q.v_t + density * q.u,
            "imaginary": q.u_t + 0.5 * q.v_xx + density * q.v,
        }

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=self._departure)
        yield Condition("ends", on=("x=-4", "x=6"), residual=self._departure)

    def observables(self, q: Any) -> Mapping[str, torch.Tensor]:
        """|ψ| first: it is what the soliton keeps."""
        return {"modulus": torch.sqrt(q.u**2 + q.v**2), "u": q.u, "v": q.v}

    def solution(self, q: Any) -> Mapping[str, torch.Tensor]:
        a, c = self.amplitude, self.speed
        modulus = a / torch.cosh(a * (q.x - c * q.t))
        phase = c * q.x + (a**2 - c**2) / 2 * q.t
        return {
            "modulus": modulus,
            "u": modulus * torch.cos(phase),
            "v": modulus * torch.sin(phase),
        }

    def _departure(self, q: Any) -> Mapping[str, torch.Tensor]:
        exact = self.solution(q)
        return {"u": q.u - exact["u"], "v": q.v - exact["v"]}


@hookimpl
def pinn_problems() -> list[type[Problem]]:
    return [Schroedinger]
