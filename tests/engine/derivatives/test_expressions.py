"""Derivatives of expressions, q.d(k(u) u_x, "x"), against nested autograd and against written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from attrs import frozen
from hypothesis import given, settings, strategies as st
from torch import Tensor

from pinn.core import Box, Condition, PinnError, Problem, Unknown
from pinn.core.domain import PointSet
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import start_values
from pinn.engine.training.objective import Objective
from pinn.plugins.weightings.vanilla import Vanilla
from pinn.testing import check_problem
from pinn.testing.probes.nested import nested_residuals
from pinn.testing.probes.tracing import traced
from pinn.testing.problems.laws import random_network

Law = Callable[[Any], Any]


@frozen
class Two(Problem):
    name = "two"
    fields = ("u", "v")
    domain = Box(x=(0.2, 1), y=(0.2, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"first": q.u}


def points(count: int = 9, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.2 + 0.8 * torch.rand(count, 3, dtype=torch.float64, generator=generator)


def law_of(func: Law) -> Residuals:
    return residuals(Two(), func, "the law", "r", torch.float64)


def check(func: Law, close: Callable[..., None], seed: int = 0) -> Residuals:
    law, network = law_of(func), random_network(Two(), seed)
    close(law(network, points()).detach(), nested_residuals(law, network, points()))
    return law


LAWS: dict[str, tuple[Law, int]] = {
    "flux": (lambda q: q.d(torch.exp(q.u) * q.u_x, "x"), 3),
    "divergence": (lambda q: q.d(q.v**2 * q.u_x, "x") + q.d(q.v**2 * q.u_y, "y"), 5),
    "mixed": (lambda q: q.d(q.u * q.v * q.x, "x", "y"), 4),
    "nested": (lambda q: q.d(q.x * q.d(q.u**2 * q.y, "x") / torch.cosh(q.v), "x") + q.v, 3),
    "thrice": (lambda q: q.d(q.u * q.d(q.v * q.d(q.u * q.u_x, "x"), "x"), "x"), 5),
    "in time": (lambda q: q.d(torch.tanh(q.u) * q.x, "t") + q.u_xx, 4),
    "branches": (lambda q: q.d(torch.where(q.u > 0, q.u_x * q.u, q.u_x**3), "x"), 3),
    "a gradient's size": (lambda q: q.d((1 + q.u_x**2 + q.u_y**2) ** 0.25 * q.u_x, "x"), 5),
    "coordinates alone": (lambda q: q.d(torch.sin(q.x) * q.y, "x") + q.u, 1),
    "linear": (lambda q: q.d(q.u_x + 2 * q.v, "x"), 3),
    "linear and not": (lambda q: q.d(q.u_x + 2 * q.v + q.x**3 * q.y, "x"), 3),
    "a number": (lambda q: q.d(3.0, "x") + q.u, 1),
    "itself": (lambda q: q.d(q.u * q.v), 1),
    "series before a field": (lambda q: q.d(q.x * q.u, "x") - q.u + 2.0 * q.v - q.x * q.u, 2),
    "joined": (lambda q: q.d(torch.stack([q.x * q.u, q.v]).sum(0), "x"), 2),
}


@pytest.mark.parametrize("name", LAWS)
def test_it_is_nested_autograd_for_what_written_out_would_carry(
    name: str, close: Callable[..., None]
) -> None:
    func, channels = LAWS[name]
    assert len(check(func, close).jets.monomials) == channels


ATOMS = st.sampled_from(
    [
        lambda q: q.u,
        lambda q: q.v,
        lambda q: q.u_x,
        lambda q: q.v_yt,
        lambda q: q.x,
        lambda q: q.u_x - 2 * q.v_y,
        lambda q: 1.5,
    ]
)


def grown(smaller: st.SearchStrategy[Law]) -> st.SearchStrategy[Law]:
    def one(func: Callable[[Any], Any]) -> st.SearchStrategy[Law]:
        return smaller.map(lambda a: lambda q: func(a(q)))

    def two(func: Callable[[Any, Any], Any]) -> st.SearchStrategy[Law]:
        return st.tuples(smaller, smaller).map(lambda ab: lambda q: func(ab[0](q), ab[1](q)))

    differentiated = st.tuples(smaller, st.sampled_from("xyt")).map(
        lambda given: lambda q: q.d(given[0](q), given[1])
    )
    return st.one_of(
        two(lambda a, b: a + b),
        two(lambda a, b: a - b),
        two(lambda a, b: a * b),
        two(lambda a, b: a / (2 + b * b)),
        one(lambda a: torch.tanh(a * 1.0) if not isinstance(a, float) else a),
        one(lambda a: (1 + a**2) ** 0.5),
        one(lambda a: -a),
        differentiated,
    )


@settings(max_examples=60)
@given(st.recursive(ATOMS, grown, max_leaves=6), st.integers(0, 3))
def test_any_expression_is_what_nested_autograd_makes_of_it(
    close: Callable[..., None], expression: Law, seed: int
) -> None:
    check(lambda q: q.d(q.u * expression(q), "x") + q.u, close, seed)


def test_it_is_the_residual_written_out(close: Callable[..., None]) -> None:
    network = random_network(Two())
    short = law_of(lambda q: q.d(torch.exp(q.u) * q.u_x, "x"))
    long = law_of(lambda q: torch.exp(q.u) * (q.u_xx + q.u_x**2))
    assert short.jets == long.jets
    close(short(network, points()).detach(), long(network, points()).detach(), 1e-13)


def test_laws_without_it_run_on_plain_numbers() -> None:
    assert law_of(lambda q: q.d(q.u_x + q.v, "x") + q.u * q.d("u", "x")).expansion is None


def test_detached_factors_are_expanded_but_not_trained() -> None:
    network = random_network(Two())
    lagged = law_of(lambda q: q.d(torch.exp(q.u).detach() * q.u_x, "x"))
    plain = law_of(lambda q: q.d(torch.exp(q.u) * q.u_x, "x"))
    found, expected = (law(network, points()) for law in (lagged, plain))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    slopes = [
        torch.autograd.grad(r.sum(), next(network.parameters()))[0] for r in (found, expected)
    ]
    assert not torch.allclose(*slopes)


def test_what_cannot_be_differentiated_is_told() -> None:
    with pytest.raises(PinnError, match=r"the law: q\.d differentiates a field by its name or an"):
        law_of(lambda q: q.d(["u"], "x"))
    with pytest.raises(PinnError, match="higher order than 12"):
        law_of(lambda q: q.d(q.u * q.v, *"x" * 13))


@frozen
class Conductor(Problem):
    """(e^T T')' = 0, with a flux of one at the right: T = log(1 + x)."""

    name = "conductor"
    fields = ("T",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"heat": q.d(torch.exp(q.T) * q.T_x, "x")}

    def conditions(self) -> Any:
        yield Condition("left", "x=0", lambda q: q.T)
        yield Condition("right", "x=1", lambda q: q.d(torch.exp(q.T), "x") - 1)

    def solution(self, q: Any) -> Mapping[str, Tensor]:
        return {"T": torch.log(1 + q.x)}


def test_equations_and_conditions_keep_what_every_problem_must() -> None:
    check_problem(Conductor)


def objective() -> tuple[Objective, PointSet]:
    module = random_network(Conductor())
    inside = torch.rand(7, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = {"left": inside.new_zeros(1, 1), "right": inside.new_ones(1, 1)}
    return Objective(Conductor(), module, Vanilla(), {}), PointSet(inside, ends)


def test_the_jacobian_belongs_to_the_gradient() -> None:
    loss, located = objective()
    weights = torch.ones(1, 7, dtype=torch.float64)
    evaluation = loss.evaluate(loss.parameters, located, weights)
    blocks = [*loss.jacobian(loss.parameters, located, weights, 3)]
    rho, slopes = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    gradient = torch.cat([g.flatten() for g in evaluation.gradient])
    torch.testing.assert_close(2 * slopes.T @ rho, gradient, rtol=1e-9, atol=1e-12)


def test_a_traced_step_computes_the_same_elsewhere() -> None:
    loss, located = objective()
    weights = torch.ones(1, 7, dtype=torch.float64)
    expected = loss.evaluate([2 * p for p in loss.parameters], located, weights)
    loss.compiled(traced)
    loss.evaluate(loss.parameters, located, weights)
    found = loss.evaluate([2 * p for p in loss.parameters], located, weights)
    torch.testing.assert_close(found.terms, expected.terms, rtol=1e-12, atol=1e-12)


def test_unknowns_may_be_part_of_it(close: Callable[..., None]) -> None:
    @frozen
    class Inverse(Two):
        name = "inverse"

        def unknowns(self) -> Mapping[str, Unknown]:
            return {"k": Unknown(0.5)}

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"first": q.d((q.k + q.u**2) * q.u_x, "x")}

    problem = Inverse()
    law = residuals(problem, problem.equations, "the law", dtype=torch.float64)
    network, at = random_network(problem), points()
    found = law(network, at, start_values(problem, at)).detach()
    close(found, nested_residuals(law, network, at))
