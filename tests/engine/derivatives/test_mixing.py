"""Residuals that mix points are found, and sound ones are let alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor

from pinn.core import Box, Condition, PinnError, Problem
from pinn.engine import check
from pinn.engine.derivatives.mixing import check_points_stay_apart
from pinn.engine.derivatives.probing import residuals
from pinn.problems.cavity import Cavity
from pinn.testing import check_problem

Law = Callable[[Any], Any]
Offer = Callable[..., None]
MakeConfig = Callable[..., Any]


@frozen
class Wave(Problem):
    """u_tt = u_xx."""

    name = "wave"
    fields = ("u",)
    domain = Box(x=(0, 2), t=(0, 1e3))

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"wave": q.u_tt - q.u_xx}

    def conditions(self) -> Any:
        yield Condition("ends", ("x=0", "x=2"), lambda q: q.u)


def look(law: Law) -> None:
    check_points_stay_apart([residuals(Wave(), law, "the equations of wave")])


MIXING: dict[str, Law] = {
    "mean": lambda q: 8 * q.u.mean() - q.u,
    "expanded mean": lambda q: (8 * q.u.mean() - 1).expand(q.x.shape),
    "largest": lambda q: (q.u_tt - q.u_xx) / q.u.abs().max(),
    "largest coordinate": lambda q: q.u * q.x / q.x.max(),
    "sum": lambda q: q.u - torch.softmax(q.u_x, 0),
    "order": lambda q: q.u - torch.sort(q.u_x).values,
    "difference": lambda q: q.u - torch.cat([q.u[:1] * 0, torch.diff(q.u * 1.0)]),
    "the first point": lambda q: q.u - q.u[0],
    "a fixed place": lambda q: q.u - q.u[6] if len(q.x) > 5 else q.u,
    "running sum": lambda q: torch.cumsum(q.u, 0),
    "standard deviation": lambda q: q.u / q.u.std(),
    "number of points": lambda q: q.u / len(q.x),
    "in a derivative": lambda q: q.d(q.u**2 / (q.u**2).mean(), "x"),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_points_is_refused(name: str) -> None:
    with pytest.raises(PinnError, match="the equations of wave: mixed at a point depends on which"):
        look(lambda q: {"sound": q.u_t, "mixed": MIXING[name](q)})


SOUND: dict[str, Law] = {
    "the equation": lambda q: q.u_tt - q.u_xx,
    "nothing left": lambda q: q.u_tx - q.u_xt,
    "nearly nothing left": lambda q: 1e6 * ((q.u + 1.0) ** 2 - q.u**2 - 2 * q.u - 1.0),
    "random numbers": lambda q: q.u + torch.rand(len(q.x)),
    "not defined": lambda q: q.u + torch.sqrt(-1 - q.x),
    "without end": lambda q: q.u_t / (0 * q.x),
    "branches": lambda q: torch.where(q.x > 0.7, q.u, q.u_x),
    "large and small": lambda q: 1e12 * q.u_xx - torch.exp(q.u * 1e-3),
    "a constant tensor": lambda q: q.u * torch.tensor(0.3) + torch.tensor([1.0]),
    "an expression's derivative": lambda q: q.d(torch.exp(q.u) * q.u_x, "x"),
    "complex": lambda q: torch.complex(q.u_t, q.u * q.u_xx),
    "of two points": lambda q: q.u[: len(q.x)] - 0.0,
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_sound_is_let_alone(name: str) -> None:
    look(lambda q: {"sound": SOUND[name](q)})


@pytest.mark.parametrize(
    "problem", [Cavity(), Cavity(hard=True), Cavity(formulation="velocity")], ids=str
)
def test_problems_with_several_fields_are_let_alone(problem: Cavity) -> None:
    check_points_stay_apart([residuals(problem, problem.equations, "the equations")])


@frozen
class Mixing(Wave):
    """In a condition."""

    name = "mixing"

    def conditions(self) -> Any:
        yield Condition("ends", ("x=0", "x=2"), lambda q: q.u - q.u.mean())


@frozen
class MixingAnsatz(Wave):
    """In the ansatz."""

    name = "mixing-ansatz"

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"u": q.u / q.u.abs().mean()}


@pytest.mark.parametrize(
    ("cls", "what"), [(Mixing, "condition 'ends'"), (MixingAnsatz, "equations")]
)
def test_check_and_kit_refuse_it(
    cls: type[Problem], what: str, make_config: MakeConfig, offer: Offer
) -> None:
    offer(cls)
    with pytest.raises(PinnError, match=f"{what}.*depends on which other points"):
        check(make_config({"name": cls.name}))
    with pytest.raises(AssertionError, match=f"{what}.*depends on which other points"):
        check_problem(cls)
