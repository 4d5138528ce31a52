"""Fields as they were, `q.earlier`, and steps in pseudo-time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor

from pinn.core import Box, Condition, PinnError, Problem, Unknown, offered
from pinn.engine import Config, check, train
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.objective import Objective
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state
from pinn.plugins.weightings.vanilla import Vanilla
from pinn.testing.small_runs import Killed, Killing
from tests.conftest import MakeConfig

pytestmark = pytest.mark.usefixtures("without_results")


@frozen
class Relaxed(Problem):
    """u'' = u³, in which the slope is held near what it was."""

    name = "relaxed"
    domain = Box(x=(0, 1))
    fields = ("u",)

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"relaxed": q.u_xx - q.u**3 + 2 * (q.u_x - q.earlier.u_x)}

    def conditions(self) -> Any:
        yield Condition("ends", on=("x=0", "x=1"), residual=lambda q: q.u - q.x)


@frozen
class Steady(Problem):
    """k u'' = −1, whose k is not known."""

    name = "steady"
    domain = Box(x=(0, 1))
    fields = ("u",)

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"k": Unknown(start=2.0)}

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"other": q.u - q.u_x, "steady": -q.k * q.u_xx - 1}

    def observables(self, q: Any) -> Mapping[str, Tensor]:
        return {"square": q.u**2}

    def conditions(self) -> Any:
        yield Condition("ends", on=("x=0", "x=1"), residual=lambda q: q.u)


@pytest.fixture
def objective(make_config: MakeConfig) -> Callable[..., Any]:
    def make(problem: Problem, advances: Mapping[str, str] | None = None, chunk: int = 0) -> Any:
        with offered(type(problem)):
            config = make_config({"name": problem.name}, run={"precision": "float64"})
            module, first, _ = prepare(config)
            state = initial_state(config, module, len(first.equations.names))
        return Objective(problem, module, Vanilla(), {}, chunk, advances), state

    return make


def moved(objective: Objective, by: float = 0.05) -> dict[str, Tensor]:
    """Other parameters, by name."""
    generator = torch.Generator().manual_seed(1)
    named = zip(objective.parameter_names, objective.parameters, strict=True)
    return {
        name: p.detach() + by * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for name, p in named
    }


def values(objective: Objective, points: Tensor, parameters: Any) -> list[Tensor]:
    """u, u_x and u_xx, by autograd alone."""
    named = dict(zip(objective.parameter_names, parameters, strict=True))
    x = points.clone().requires_grad_()
    found = [torch.func.functional_call(objective.module, named, (x,))[:, 0]]
    for _ in range(2):
        found.append(torch.autograd.grad(found[-1].sum(), x, create_graph=True)[0][:, 0])
    return [each.detach() for each in found]


def test_earlier_fields_are_those_of_earlier_parameters(objective: Any) -> None:
    loss, state = objective(Relaxed())
    assert loss.remembers
    earlier = moved(loss)
    loss.remember(earlier, torch.zeros(0))
    points = state.points.interior
    u, u_x, u_xx = values(loss, points, loss.parameters)
    _, before, _ = values(loss, points, earlier.values())
    found = loss.interior_residuals(loss.parameters, points)[0]
    torch.testing.assert_close(found.detach(), u_xx - u**3 + 2 * (u_x - before))


def test_they_are_numbers_to_the_gradient(objective: Any) -> None:
    """As the parameters are, so they were: the term is zero, and its gradient is not."""
    loss, state = objective(Relaxed())
    points, weights = state.points, state.weights
    found = loss.evaluate(loss.parameters, points, weights)
    leaves = [p.detach().requires_grad_() for p in loss.parameters]
    named = dict(zip(loss.parameter_names, leaves, strict=True))
    x = points.interior.clone().requires_grad_()
    u = torch.func.functional_call(loss.module, named, (x,))[:, 0]
    u_x = torch.autograd.grad(u.sum(), x, create_graph=True)[0][:, 0]
    u_xx = torch.autograd.grad(u_x.sum(), x, create_graph=True)[0][:, 0]
    ends = torch.func.functional_call(loss.module, named, (points.conditions["ends"],))
    equation = (u_xx - u**3 + 2 * (u_x - u_x.detach())).square().mean()
    whole = equation + (ends - points.conditions["ends"]).square().mean()
    torch.testing.assert_close(found.loss, whole.detach())
    torch.testing.assert_close(
        found.gradient, torch.autograd.grad(whole, leaves), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("what", ["u", "square", "u_x"])
def test_a_step_in_pseudo_time_is_added(what: str, objective: Any) -> None:
    loss, state = objective(Steady(), {"steady": what})
    plain, _ = objective(Steady())
    earlier = moved(loss)
    loss.remember(earlier, torch.tensor([0.3]))
    points = state.points.interior
    u, u_x, _ = values(loss, points, loss.parameters)
    then, then_x, _ = values(loss, points, earlier.values())
    change = {"u": u - then, "square": u**2 - then**2, "u_x": u_x - then_x}[what]
    expected = plain.interior_residuals(loss.parameters, points).detach()
    expected[1] += 0.3 * change
    found = loss.interior_residuals(loss.parameters, points).detach()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("chunk", [0, 7])
def test_the_rate_is_how_residuals_change_with_what_advances(chunk: int, objective: Any) -> None:
    loss, state = objective(Steady(), {"steady": "u"}, chunk)
    plain, _ = objective(Steady())
    earlier, points = moved(loss), state.points.interior
    loss.remember(earlier, torch.tensor([5.0]))
    now, then = (
        plain.interior_residuals(tuple(each), points)[1].detach()
        for each in (loss.parameters, earlier.values())
    )
    u, before = (values(loss, points, each)[0] for each in (loss.parameters, earlier.values()))
    expected = (now - then).norm() / (u - before).norm()
    assert loss.rates_of_change(points).tolist() == pytest.approx([float(expected)])
    same = {n: p.detach() for n, p in zip(loss.parameter_names, loss.parameters, strict=True)}
    loss.remember(same, torch.tensor([5.0]))
    assert loss.rates_of_change(points).tolist() == [0.0]


def test_compiled_it_is_the_same(objective: Any) -> None:
    loss, state = objective(Steady(), {"steady": "u"})
    eager, _ = objective(Steady(), {"steady": "u"})
    loss.compiled(compile_lazily)
    for by in (0.05, 0.2):
        for each in (loss, eager):
            each.remember(moved(loss, by), torch.tensor([by]))
        found, expected = (
            each.evaluate(loss.parameters, state.points, state.weights) for each in (loss, eager)
        )
        torch.testing.assert_close(found.terms, expected.terms)
        torch.testing.assert_close(found.gradient, expected.gradient)


BOTH, ONE = {"momentum_x": "u", "momentum_y": "v"}, {"momentum_x": "u"}
STAGES = [
    {"name": "adam", "steps": 7, "pseudo_time": BOTH, "renew": 2},
    {"name": "gauss-newton", "steps": 4, "pseudo_time": ONE, "renew": 3, "time_step": 0.5},
    {"name": "adam", "steps": 2},
]


@pytest.fixture
def cavity(make_config: MakeConfig, tmp_path: Path) -> Callable[[str], Config]:
    def make(name: str) -> Config:
        return make_config(
            {"name": "cavity", "reynolds": 100, "hard": True},
            run={
                "directory": str(tmp_path / name),
                "record": 1,
                "precision": "float64",
                "checkpoint": 1,
            },
            points={"interior": 20},
            optimizers=STAGES,
            analyzers=[{"name": "error", "at": [1]}],
        )

    return make


@pytest.mark.parametrize("killed", [3, 8])
def test_it_goes_on_as_if_it_had_not_been_killed(
    killed: int, cavity: Callable[[str], Config]
) -> None:
    whole = train(cavity("whole"))
    with pytest.raises(Killed):
        train(cavity("killed"), Killing(killed))
    again = train(cavity("killed"))
    for name in ("loss", "loss.momentum_x", "time_step.momentum_x"):
        one, other = whole.metrics()[name], again.metrics()[name]
        assert list(one[0]) == list(other[0])
        assert list(one[1]) == list(other[1])


def test_the_steps_are_recorded(cavity: Callable[[str], Config]) -> None:
    """Measured ones from the first renewal on, of both; then the one that is given, of one."""
    metrics = train(cavity("run")).metrics()
    steps, sizes = metrics["time_step.momentum_x"]
    assert list(steps) == list(range(3, 12))
    assert list(sizes[5:]) == pytest.approx([0.5] * 4)
    assert all(0 < size < math.inf for size in sizes)
    assert list(metrics["time_step.momentum_y"][0]) == list(range(3, 8))


@pytest.mark.parametrize(
    ("advances", "message"),
    [
        (
            {"momentumx": "u"},
            r"\[\[optimizers\]\] 1 pseudo_time: no equation is called 'momentumx'",
        ),
        ({"momentum_x": "w"}, r"\[\[optimizers\]\] 1 .*'w'"),
    ],
)
def test_what_cannot_advance_is_refused(
    advances: dict[str, str], message: str, make_config: MakeConfig
) -> None:
    stage = {"name": "adam", "steps": 2, "pseudo_time": advances}
    with pytest.raises(PinnError, match=message):
        check(make_config({"name": "cavity"}, optimizers=[stage]))
