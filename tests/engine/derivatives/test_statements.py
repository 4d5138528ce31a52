"""What a problem may be made of: every wrong statement is one sentence, and constants are fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, PinnError, Problem, Unknown
from pinn.engine import check, parse_config
from pinn.testing import check_problem

MakeConfig = Callable[..., Any]
Offer = Callable[..., None]
Try = Callable[..., None]


@frozen
class Heat(Problem):
    """u_t = u_xx, u = 1 at first."""

    name = "stated"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.u_xx}

    def conditions(self) -> Any:
        return [Condition("initial", "t=0", lambda q: q.u - 1)]


def stated(**members: Any) -> type[Problem]:
    """The problem with other methods and attributes."""
    own = {"name": "stated", "__doc__": "Stated.", **members}
    made: type[Problem] = frozen(type("Stated", (Heat,), own))
    return made


@pytest.fixture
def attempt(make_config: MakeConfig, offer: Offer) -> Try:
    def attempted(**members: Any) -> None:
        offer(stated(**members))
        check(make_config({"name": "stated"}, points={"interior": 4, "conditions": 4}))

    return attempted


EQUATIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "none": (lambda q: None, "must return {name: residual}, not NoneType; as in return {'heat'"),
    "list": (lambda q: [q.u_t], "must return {name: residual}, not list"),
    "tensor": (lambda q: q.u_t, "must return {name: residual}, not a tensor"),
    "number": (lambda q: {"e": 1.0}, "'e' is float, not a tensor with a number at each point"),
    "nothing": (lambda q: {"e": None}, "'e' is NoneType, not a tensor"),
    "NumPy": (lambda q: {"e": np.zeros(3)}, "'e' is ndarray, not a tensor"),
    "bool": (lambda q: {"e": q.u > 0}, "'e' has numbers of type bool, which have no slope"),
    "int": (lambda q: {"e": (q.u > 0).long()}, "'e' has numbers of type int64"),
    "column": (lambda q: {"e": q.u[:, None]}, "(3, 1) for 3 points; expected one residual a point"),
    "mean": (lambda q: {"e": q.u.mean()}, "sums and means over points are not residuals"),
    "no field": (lambda q: {"e": q.x - 1}, "'e' contains no field, so that nothing can make it"),
    "detached": (lambda q: {"e": q.u.detach()}, "'e' contains no field"),
    "math": (lambda q: {"e": q.u - math.sin(q.x)}, "write torch.sin, not math.sin"),
    "math of a field": (lambda q: {"e": q.x * math.sin(q.u)}, "use torch.sqrt, not math.sqrt"),
    "if": (
        lambda q: {"e": q.u_t if q.x < 0.5 else q.u_x},
        "write torch.where(q.x < 0.5, …, …) for if",
    ),
    "if of a field": (
        lambda q: {"e": q.u_t if q.u else q.u_x},
        "a quantity is not true or false; it",
    ),
    "and": (lambda q: {"e": q.u_t - (q.u and q.x)}, "write torch.where(q.x < 0.5, …, …) for if"),
    "max": (lambda q: {"e": q.u_t - max(q.u, 0.0)}, "torch.maximum and torch.minimum for max"),
    "between": (lambda q: {"e": q.u_t * (0 < q.x < 1)}, "(q.x > 0.2) & (q.x < 0.4) for and"),
    "NumPy's sine": (lambda q: {"e": q.u - np.sin(q.x)}, "write torch.sin, not np.sin"),
    "autograd": (
        lambda q: {"e": torch.autograd.grad(q.u.sum(), q.x)[0]},
        'q.d(expression, "x")',
    ),
    "index": (lambda q: {"e": q["u"]}, "q['u']: quantities are attributes: write q.u"),
    "dot": (lambda q: {"e": q.u.x}, "a derivative is written with an underscore, as in q.u_x"),
    "missing underscore": (lambda q: {"e": q.uxx}, "'uxx' (did you mean 'u_xx'?)"),
    "twice a letter": (lambda q: {"e": q.d("u", "xx")}, "write q.d('u', 'x', 'x')"),
    "order": (lambda q: {"e": q.d("u", "x", 2)}, "as in q.d('u', 'x', 'x')"),
    "parts twice": (
        lambda q: {"e": torch.complex(q.u_t, q.u_x), "e_re": q.u_t},
        "'e_re' is there twice",
    ),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_an_equation_that_is_none_is_one_sentence(name: str, attempt: Try) -> None:
    equations, message = EQUATIONS[name]
    with pytest.raises(PinnError) as caught:
        attempt(equations=lambda self, q: equations(q))
    assert message in str(caught.value)
    assert "the equations of stated" in str(caught.value)
    assert "\n" not in str(caught.value)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "no conditions": ({"conditions": lambda self: None}, "conditions() returned nothing: yield"),
    "no function": (
        {"conditions": lambda self: [Condition("i", "t=0", 0.0)]},  # type: ignore[arg-type]
        "condition 'i': its residual is 0.0, no function of q",
    ),
    "a number as unknown": (
        {"unknowns": lambda self: {"k": 1.0}},
        "unknowns() of stated: 'k' is 1.0; write Unknown(1.0)",
    ),
    "no unknowns": ({"unknowns": lambda self: None}, "unknowns() of stated returned nothing"),
    "an array as unknown": (
        {"unknowns": lambda self: {"k": Unknown(np.ones(3))}},  # type: ignore[arg-type]
        "expected a finite number",
    ),
    "NumPy in the ansatz": (
        {"ansatz": lambda self, q: {"u": np.sin(q.x) * q.u}},
        "the ansatz of stated: np.sin knows no derivatives: use torch's, such as torch.sin",
    ),
    "math in the ansatz": (
        {"ansatz": lambda self, q: {"u": math.sin(q.x) * q.u}},
        "the ansatz of stated: a quantity has a value at each point, not one",
    ),
    "a derivative in the ansatz": (
        {"ansatz": lambda self, q: {"u": q.u_x}},
        "the derivative of 'u' is not known here, only 'u': an ansatz is made of the fields",
    ),
    "an ansatz of another shape": (
        {"ansatz": lambda self, q: {"u": q.u[:, None]}},
        "the ansatz of stated returns 'u' of shape",
    ),
    "an ansatz of None": (
        {"ansatz": lambda self, q: {"u": None}},
        "the ansatz of stated returns 'u' as NoneType; expected a number at each point",
    ),
    "no mapping as ansatz": (
        {"ansatz": lambda self, q: q.u},
        "the ansatz of stated must return the fields u, not a Series",
    ),
    "nothing to train": (
        {"ansatz": lambda self, q: {"u": 1.0}},
        "no equation and no condition depends on the network: its ansatz fixes every field",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_wrong_statements_are_one_sentence(name: str, attempt: Try) -> None:
    members, message = OTHERS[name]
    with pytest.raises(PinnError) as caught:
        attempt(**members)
    assert message in str(caught.value)
    assert "stated" in str(caught.value) or "Unknown" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box([0, 1]), "each by its name, as in Box"),
        (lambda: Box(x=0), "x = 0 is no interval: write its two ends"),
        (lambda: Box(x=("a", 1)), r"x = \('a', 1\) is no interval"),
        (lambda: Box(x=(0, 1, 2)), r"x = \(0, 1, 2\) is no interval"),
    ],
)
def test_a_box_that_is_none_is_one_sentence(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(PinnError, match=message):
        make()


def test_a_single_condition_need_not_be_in_a_list(attempt: Try) -> None:
    attempt(conditions=lambda self: Condition("initial", "t=0", lambda q: q.u))


def test_coordinates_of_several_letters_are_concatenated(attempt: Try) -> None:
    attempt(
        domain=Box(rad=(0, 1), x1=(0, 1), x2=(0, 1)),
        equations=lambda self, q: {"e": q.u_rad + q.u_x1x2 - q.u_radx1x1},
        conditions=lambda self: [],
    )


def test_two_readings_of_a_derivative_are_refused(attempt: Try) -> None:
    with pytest.raises(
        PinnError, match=r"write q\.d\('u', 'ab'\) or q\.d\('u', 'a', 'b'\)"
    ) as told:
        attempt(
            domain=Box(a=(0, 1), b=(0, 1), ab=(0, 1)),
            equations=lambda self, q: {"e": q.u_ab},
            conditions=lambda self: [],
        )
    assert "may mean more than one derivative" in str(told.value)


CONSTANTS: list[Callable[[Any], Any]] = [
    lambda q: 1.0,
    lambda q: 1,
    lambda q: torch.tensor(1.0),
    lambda q: q.x * 0 + 1,
    lambda q: torch.ones_like(q.x),
]


@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_is_a_field(constant: Callable[[Any], Any], attempt: Try) -> None:
    attempt(
        fields=("u", "v"),
        equations=lambda self, q: {"e": q.u_t - q.v * q.u_xx, "v": q.v_x + q.u},
        ansatz=lambda self, q: {"u": q.u, "v": constant(q)},
        solution=lambda self, q: {"u": 0 * q.x, "v": constant(q)},
    )


def test_a_constant_solution_is_checked() -> None:
    check_problem(stated(solution=lambda self, q: {"u": 1.0}))
    with pytest.raises(AssertionError, match="does not satisfy condition 'initial'"):
        check_problem(stated(solution=lambda self, q: {"u": 2}))


def test_a_table_without_a_file_says_the_same(offer: Offer) -> None:
    offer(stated(conditions=lambda self: None))
    with pytest.raises(PinnError, match=r"conditions\(\) returned nothing"):
        parse_config({"problem": {"name": "stated"}, "optimizers": [{"name": "adam", "steps": 1}]})
