"""Residuals of a problem: what laws ask for, what they get, and what is wrong with bad ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor, nn

from pinn.core import Box, PinnError, Problem
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.residuals import quantities

Close = Callable[..., None]


@frozen
class Heat(Problem):
    name = "heat"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = 0.1

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"heat": q.u_t - self.kappa * q.u_xx}

    def solution(self, q: Any) -> Mapping[str, Tensor] | None:
        return {"u": torch.exp(-self.kappa * pi**2 * q.t) * torch.sin(pi * q.x)}


WHAT = "the equations of heat"


def points(count: int = 7) -> Tensor:
    return torch.rand(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def law(func: Callable[[Any], Any], problem: Problem | None = None) -> Any:
    return residuals(problem or Heat(), func, WHAT)


def linear(weight: list[list[float]]) -> nn.Linear:
    module = nn.Linear(2, len(weight), bias=False, dtype=torch.float64)
    module.weight.data = torch.tensor(weight, dtype=torch.float64)
    return module


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (lambda q: None, r"must return \{name: residual\}, not NoneType"),
        (lambda q: [q.u], "not list"),
        (lambda q: q.u_t, "not a tensor"),
        (lambda q: {}, "not an empty one"),
        (lambda q: {"r": 0.0}, "'r' is float, not a tensor"),
        (lambda q: {"r": q.u.mean()}, r"'r' has shape \(\) for 3 points"),
        (lambda q: {"r": q.u[:, None]}, r"'r' has shape \(3, 1\)"),
        (lambda q: {"r": q.u[1:]}, r"'r' has shape \(2,\)"),
        (lambda q: {"r": q.u_xy}, "ask for 'u_xy'.*as in u_x"),
        (lambda q: {"r": q.w}, "ask for 'w'"),
        (lambda q: {"r": q.u + undefined}, "fail: NameError: name 'undefined'"),  # noqa: F821
        (lambda q: {"r": q.u / 0}, "fail: ZeroDivisionError"),
        (lambda q: {"r": q.u + torch.zeros(2)}, "fail: RuntimeError"),
        (lambda q: {"r": q.u.no_such_method()}, "fail: AttributeError.*no_such_method"),
    ],
)
def test_a_wrong_law_is_one_error_that_names_it(func: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(PinnError, match=message) as caught:
        law(func)
    text = str(caught.value)
    assert text.count(WHAT) == 1
    assert "\n" not in text


@pytest.mark.parametrize(
    ("func", "channels"),
    [
        (lambda q: {"r": q.u}, 1),
        (lambda q: {"r": q.x}, 1),
        (lambda q: {"r": q.u_t - 0.1 * q.u_xx}, 3),
        (lambda q: {"r": q.u_t - q.u * q.u_xx}, 4),
        (lambda q: {"r": q.u_xx + q.u_tt}, 4),
        (lambda q: {"r": q.u_xx, "s": q.u_tt}, 5),
        (lambda q: {"r": q.u_xx - q.u_xx + q.u_t}, 2),
    ],
)
def test_what_a_law_asks_for_is_carried_and_no_more(
    func: Callable[[Any], Any], channels: int
) -> None:
    assert len(law(func).jets.monomials) == channels


def test_derivatives_of_a_network_are_read_by_name() -> None:
    module = linear([[2.0, -3.0]])
    found = law(lambda q: {"x": q.u_x + q.x, "t": q.u_t, "both": q.u_x * q.u_t, "u": q.u})
    at = points()
    x_part, t_part, both, u = found(module, at)
    assert found.names == ("x", "t", "both", "u")
    torch.testing.assert_close(x_part, 2 + at[:, 0])
    torch.testing.assert_close(t_part, torch.full_like(u, -3))
    torch.testing.assert_close(both, torch.full_like(u, -6))
    torch.testing.assert_close(u, 2 * at[:, 0] - 3 * at[:, 1])


def test_a_law_without_fields_is_allowed() -> None:
    at = points()
    assert torch.equal(
        law(lambda q: {"r": q.x - q.t})(linear([[1.0, 1.0]]), at)[0], at @ at.new_tensor([1, -1])
    )


def test_the_ansatz_is_differentiated_too() -> None:
    @frozen
    class Hard(Heat):
        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"u": torch.where(q.x > 0.5, q.t, 2 * q.t) * q.u + q.x**2}

    problem = Hard()
    found = residuals(problem, lambda q: {"t": q.u_t, "xx": q.u_xx}, WHAT)
    at = points(20)
    u_t, u_xx = found(linear([[0.0, 1.0]]), at)  # the network is t, so u = (1 or 2) t² + x²
    slope = torch.where(at[:, 0] > 0.5, 2 * at[:, 1], 4 * at[:, 1])
    torch.testing.assert_close(u_t, slope)
    torch.testing.assert_close(u_xx, torch.full_like(u_xx, 2))


@pytest.mark.parametrize("returned", [{}, {"v": None}, {"u": None, "v": None}])
def test_an_ansatz_for_other_fields_is_an_error(returned: dict[str, Any]) -> None:
    @frozen
    class Wrong(Heat):
        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return returned

    problem = Wrong()
    with pytest.raises(PinnError, match="ansatz of heat must return the fields u, not"):
        residuals(problem, problem.equations, WHAT)(linear([[1.0, 1.0]]), points())


def test_an_ansatz_may_make_a_field_constant() -> None:
    @frozen
    class Zero(Heat):
        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"u": torch.ones_like(q.x)}

    problem = Zero()
    r = residuals(problem, lambda q: {"r": q.u + q.u_x}, WHAT)(linear([[1.0, 1.0]]), points())
    assert torch.equal(r, torch.ones_like(r))


def test_fields_are_the_columns_of_the_network_in_order(close: Close) -> None:
    @frozen
    class Two(Heat):
        fields = ("b", "a")

    module, at = linear([[1.0, 2.0], [3.0, 4.0]]), points()
    problem = Two()
    found = residuals(problem, lambda q: {"b": q.b, "a": q.a}, WHAT)
    close(found(module, at).detach(), module(at).T.detach())
    q = quantities(problem, module, at, found.jets)
    close(q.b.tensor().detach(), module(at)[:, 0].detach())
