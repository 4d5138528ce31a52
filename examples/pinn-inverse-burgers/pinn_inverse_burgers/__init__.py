"""Burgers' equation with unknown coefficients: an example of learning them from noisy measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from pinn.core import Box, Measurements, Problem, Unknown, hookimpl, option
from pinn.core.lazy import torch

PACKAGED = Path(__file__).with_name("measurements.csv")

COLUMNS = ("x", "t", "u")

TRUE = {"advection": 1.0, "viscosity": 0.05}
FRONT = {"speed": 0.5, "height": 0.5, "start": -0.25}


def front(
    x: Any, t: Any, advection: Any, viscosity: Any, speed: Any, height: Any, start: Any
) -> Any:
    """u = c/λ − a tanh(aλ (x − x₀ − ct) / 2ν), which moves at speed c and solves u_t + λ u u_x = ν u_xx.

    With u = f(ξ), ξ = x − x₀ − ct, the equation is −c f' + λ f f' = ν f''. Once integrated it is
    ν f' = λ/2 ((f − c/λ)² − a²), which the tanh satisfies.
    """
    steepness = height * advection / (2 * viscosity)
    return speed / advection - height * torch.tanh(steepness * (x - start - speed * t))


@frozen
class InverseBurgers(Problem):
    """u_t + λ u u_x = ν u_xx on [−1, 1] × [0, 1]: finds λ and ν from values of u at scattered points.

    Nothing is known of the initial and boundary values, and λ may have either sign. After Raissi,
    Perdikaris & Karniadakis 2019, J. Comput. Phys. 378, doi 10.1016/j.jcp.2018.10.045. The packaged
    measurements are of a travelling front with λ = 1 and ν = 0.05, with noise of 1 %.
    """

    name = "inverse-burgers"
    fields = ("u",)
    domain = Box(x=(-1, 1), t=(0, 1))

    data: Path | None = option(None, "CSV file of measurements with columns x, t, u; default: ours")

    def unknowns(self) -> Mapping[str, Unknown]:
        true = TRUE if self.data is None else {}
        return {
            "advection": Unknown(start=0.5, true=true.get("advection")),
            "viscosity": Unknown(start=0.2, positive=True, true=true.get("viscosity")),
        }

    def equations(self, q: Any) -> Mapping[str, torch.Tensor]:
        return {"burgers": q.u_t + q.advection * q.u * q.u_x - q.viscosity * q.u_xx}

    def conditions(self) -> Iterator[Measurements]:
        yield Measurements.read("data", self.data or PACKAGED, at=("x", "t"), values=("u",))

    def solution(self, q: Any) -> Mapping[str, torch.Tensor] | None:
        """Of the packaged measurements, without their noise."""
        if self.data is not None:
            return None
        return {"u": front(q.x, q.t, q.advection, q.viscosity, **FRONT)}


@hookimpl
def pinn_problems() -> list[type[Problem]]:
    return [InverseBurgers]
