"""An ansatz of what the network puts out at other places: slopes and ends that hold exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, PinnError, Problem, offered
from pinn.engine import check, parse_config, train
from pinn.engine.derivatives.probing import residuals
from pinn.testing import check_problem


@frozen
class Insulated(Problem):
    """Heat with u = 0 at x = 0 and no flux at x = 1, both exactly."""

    name = "insulated"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - torch.sin(math.pi * q.x / 2))

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """The network in a coordinate that turns round at x = 1, minus what it is at x = 0."""
        return {"u": q.at(x=1 - (1 - q.x) ** 2).u - q.at(x=0).u}

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"u": torch.exp(-(math.pi**2) / 4 * q.t) * torch.sin(math.pi * q.x / 2)}


@frozen
class InsulatedToo(Insulated):
    """The same with a conductivity of time."""

    name = "insulated-too"
    fields: ClassVar = {"c": ("t",), "u": ("x", "t")}  # type: ignore[misc]

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.c * q.u_xx}

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {**Insulated.ansatz(self, q), "c": q.c}

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {**Insulated.solution(self, q), "c": 1.0}


@pytest.mark.parametrize("problem", [Insulated, InsulatedToo])
def test_it_keeps_the_contract_of_a_problem(problem: type[Problem]) -> None:
    check_problem(problem)


def test_derivatives_are_those_of_the_composition() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
    network = torch.nn.Sequential(*layers).double()
    points = torch.rand(9, 2, dtype=torch.float64, requires_grad=True)
    x, t = points.T

    def at(x: torch.Tensor) -> torch.Tensor:
        return network(torch.stack([x, t], 1))[:, 0]

    u = at(1 - (1 - x) ** 2) - at(torch.zeros_like(x))
    (slopes,) = torch.autograd.grad(u.sum(), points, create_graph=True)
    (curved,) = torch.autograd.grad(slopes[:, 0].sum(), points)
    problem = Insulated()
    law = residuals(problem, problem.equations, "the equations")
    (found,) = law(network, points.detach()).detach()
    torch.testing.assert_close(found, (slopes[:, 1] - curved[:, 0]).detach())


def table(problem: type[Problem], folder: Path) -> dict[str, Any]:
    return {
        "run": {"directory": str(folder), "device": "cpu", "precision": "float64"},
        "problem": {"name": problem.name},
        "network": {"width": 8, "depth": 1},
        "points": {"interior": 32, "conditions": 8},
        "optimizers": [{"name": "adam", "steps": 2}],
    }


def test_what_is_exact_stays_so_in_other_programs(tmp_path: Path, without_results: None) -> None:
    with offered(Insulated):
        run = train(parse_config(table(Insulated, tmp_path / "run")))
    run.export(tmp_path / "run.pt2")
    program = torch.export.load(tmp_path / "run.pt2").module()
    points = np.random.default_rng(0).uniform(size=(6, 2))
    found = program(torch.as_tensor(points))[:, 0]
    np.testing.assert_allclose(found, run.predict(points)["u"], rtol=1e-12)
    assert run.predict(x=0.0, t=[0.2, 0.7])["u"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("ansatz", "message"),
    [
        (lambda q: q.u - q.integral("u", over="x"), "q.integral is not known in an ansatz"),
        (lambda q: q.at(y=0).u, "there is no coordinate 'y'"),
        (lambda q: q.at(x=1).u_x, "the derivative of 'u' is not known here"),
    ],
)
def test_what_it_cannot_ask_for(ansatz: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    @frozen
    class Asking(Insulated):
        """It asks for too much."""

        name = "asking"

        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"u": ansatz(q)}

    with offered(Asking), pytest.raises(PinnError, match=message):
        check(parse_config(table(Asking, tmp_path / "run")))
