"""q and the combinations that it hands out, against plain tensor arithmetic."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from pinn.core import PinnError
from pinn.engine.derivatives.quantities import Combination, Forms, Quantities, named_tensors

COUNT = 4
GENERATOR = torch.Generator().manual_seed(0)


def numbers() -> Tensor:
    return torch.rand(COUNT, generator=GENERATOR, dtype=torch.float64) + 0.5


DERIVATIVES = {
    ("u", (0, 0)): numbers(),
    ("u", (1, 0)): numbers(),
    ("u", (0, 1)): numbers(),
    ("u", (2, 0)): numbers(),
    ("u", (1, 2)): numbers(),
    ("psi", (0, 0)): numbers(),
    ("psi", (1, 2)): numbers(),
    ("psi", (0, 1)): numbers(),
}
PLACES = {"x": numbers(), "t": numbers()}


class Recorder:
    """Resolves from the table above and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Forms] = []

    def __call__(self, forms: Forms) -> Tensor:
        self.asked.append(forms)
        total = torch.zeros(COUNT, dtype=torch.float64)
        for field, form in forms.items():
            for index, factor in form.items():
                total = total + factor * DERIVATIVES[field, index]
        return total


def make(**coordinates: Tensor) -> tuple[Any, Recorder]:
    recorder = Recorder()
    return Quantities(coordinates or PLACES, ("u", "psi"), recorder), recorder


# --- names


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("u", ("u", (0, 0))),
        ("u_x", ("u", (1, 0))),
        ("u_t", ("u", (0, 1))),
        ("u_xx", ("u", (2, 0))),
        ("u_xtt", ("u", (1, 2))),
        ("u_txt", ("u", (1, 2))),
        ("psi_ttx", ("psi", (1, 2))),
        ("psi", ("psi", (0, 0))),
    ],
)
def test_textbook_names(name: str, key: tuple[str, tuple[int, int]]) -> None:
    q, _ = make()
    assert torch.equal(getattr(q, name).tensor(), DERIVATIVES[key])


def test_coordinates_are_tensors() -> None:
    q, _ = make()
    assert q.x is PLACES["x"]
    assert q.t is PLACES["t"]


def test_coordinates_of_several_letters_are_differentiated_by_d() -> None:
    q, _ = make(theta=PLACES["x"], r=PLACES["t"])
    assert torch.equal(q.theta, PLACES["x"])
    assert torch.equal(q.d("u", "theta", "theta").tensor(), DERIVATIVES["u", (2, 0)])
    assert torch.equal(q.d("psi", "r", "theta", "r").tensor(), DERIVATIVES["psi", (1, 2)])
    assert torch.equal(q.d("u").tensor(), DERIVATIVES["u", (0, 0)])
    assert torch.equal(q.u_r.tensor(), DERIVATIVES["u", (0, 1)])


def test_the_longest_field_wins() -> None:
    seen = []
    q = Quantities(PLACES, ("u", "u_x"), lambda forms: seen.append(forms) or PLACES["x"])
    q.u_x.tensor(), q.u_xx.tensor(), q.u_x_t.tensor()
    assert seen == [{"u_x": {(0, 0): 1.0}}, {"u": {(2, 0): 1.0}}, {"u_x": {(0, 1): 1.0}}]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda q: q.psy, "asks? for 'psy' .did you mean 'psi'"),
        (lambda q: q.u_y, "'u_y'.*coordinates are t, x, fields are psi, u.*as in u_x"),
        (lambda q: q.u_, "'u_'"),
        (lambda q: q.u_x_t, "'u_x_t'"),
        (lambda q: q.xx, "'xx' .did you mean 'x'"),
        (lambda q: q.d("psj", "x"), "'psj' .did you mean 'psi'.*there are psi, u"),
        (lambda q: q.d("u", "y"), "'y'; there are t, x"),
    ],
)
def test_unknown_names_are_errors_that_name_what_exists(
    ask: Callable[[Any], Any], message: str
) -> None:
    q, _ = make()
    with pytest.raises(PinnError, match=message):
        ask(q)


def test_unknown_names_are_errors_where_there_are_no_fields() -> None:
    q = Quantities(PLACES, ())
    with pytest.raises(PinnError, match=r"'u'.*fields are none"):
        _ = q.u


def test_without_derivatives_only_fields_are_known() -> None:
    q = Quantities(PLACES, {"u": "the series of u"})
    assert q.u == "the series of u"
    with pytest.raises(PinnError, match="derivative of 'u' is not known here"):
        _ = q.u_x


# --- arithmetic

Expression = Callable[[dict[str, Any]], Any]

LEAVES = {name: ("u", i) for name, i in [("u", (0, 0)), ("u_x", (1, 0)), ("u_xx", (2, 0))]} | {
    "psi": ("psi", (0, 0)),
    "psi_t": ("psi", (0, 1)),
}
SCALARS = st.sampled_from([2, -1, 0.5, -3.0, 1e-4, np.float64(1.5), np.sqrt(2.0), 0])
BINARY = st.sampled_from([operator.add, operator.sub, operator.mul])
NONZERO = st.sampled_from([2, -0.5, np.float64(4.0)])


def leaf(name: str) -> Expression:
    return lambda env: env[name]


def binary(op: Callable[[Any, Any], Any], a: Expression, b: Expression) -> Expression:
    return lambda env: op(a(env), b(env))


def unary(number: int, a: Expression) -> Expression:
    return lambda env: FUNCTIONS[number](a(env))


def negated(a: Expression) -> Expression:
    return lambda env: -a(env)


def with_scalar(
    op: Callable[[Any, Any], Any], a: Expression, scalar: Any, reverse: bool
) -> Expression:
    return lambda env: op(scalar, a(env)) if reverse else op(a(env), scalar)


FUNCTIONS: list[Callable[[Any], Any]] = [
    operator.neg,
    abs,
    torch.sin,
    torch.tanh,
    lambda z: z**2,
    lambda z: 2.0 ** (0.1 * torch.tanh(z)),
    lambda z: 1 / (2 + torch.cos(z)),
    lambda z: z.square().mean() + z,
    lambda z: torch.where(z > 0, z, -2 * z),
    lambda z: torch.where(z <= 0.5, 1.0, z),
    lambda z: torch.stack([z, 2 * z]).sum(0),
    lambda z: torch.add(PLACES["x"], other=z),
    lambda z: z / PLACES["t"],
    lambda z: PLACES["t"] * z - z * PLACES["x"],
]
# By number, because hypothesis would print the functions at length.
UNARY = st.integers(0, len(FUNCTIONS) - 1)

LINEAR = st.recursive(
    st.sampled_from([*LEAVES]).map(leaf),
    lambda inner: (
        st.builds(binary, st.sampled_from([operator.add, operator.sub]), inner, inner)
        | st.builds(with_scalar, st.sampled_from([operator.mul]), inner, SCALARS, st.booleans())
        | st.builds(with_scalar, st.just(operator.truediv), inner, NONZERO, st.just(False))
        | st.builds(negated, inner)
    ),
    max_leaves=8,
)
ANY = st.recursive(
    LINEAR | st.sampled_from([*PLACES]).map(leaf),
    lambda inner: (
        st.builds(binary, BINARY, inner, inner)
        | st.builds(with_scalar, BINARY, inner, SCALARS, st.booleans())
        | st.builds(unary, UNARY, inner)
    ),
    max_leaves=10,
)


def both(expression: Expression) -> tuple[Any, Tensor, Recorder]:
    q, recorder = make()
    waiting = expression({name: getattr(q, name) for name in LEAVES} | PLACES)
    plain = expression({name: DERIVATIVES[key] for name, key in LEAVES.items()} | PLACES)
    return waiting, plain, recorder


@settings(max_examples=200)
@given(ANY)
def test_random_expressions_are_plain_tensor_arithmetic(expression: Expression) -> None:
    waiting, plain, _ = both(expression)
    (found,) = named_tensors({"r": waiting}, COUNT, "here").values()
    torch.testing.assert_close(found, plain, rtol=1e-10, atol=1e-10)


@settings(max_examples=100)
@given(LINEAR)
def test_linear_expressions_wait_and_are_asked_for_at_once(expression: Expression) -> None:
    waiting, plain, recorder = both(expression)
    assert isinstance(waiting, Combination)
    assert recorder.asked == []
    torch.testing.assert_close(waiting.tensor(), plain, rtol=1e-10, atol=1e-10)
    assert len(recorder.asked) == 1


def test_the_heat_equation_is_one_request() -> None:
    q, recorder = make()
    torch.sin(q.u_t - 0.1 * q.u_xx + q.x)
    assert recorder.asked == [{"u": {(0, 1): 1.0, (2, 0): -0.1}}]


@pytest.mark.parametrize("compare", ["gt", "lt", "ge", "le", "eq", "ne"])
def test_comparisons_are_those_of_tensors(compare: str) -> None:
    q, _ = make()
    op, u, x = getattr(operator, compare), DERIVATIVES["u", (0, 0)], DERIVATIVES["u", (1, 0)]
    assert torch.equal(op(q.u, 1.0), op(u, 1.0))
    assert torch.equal(op(q.u, q.u_x), op(u, x))
    assert torch.equal(op(u, q.u_x), op(u, x))


def test_a_combination_indexes_and_iterates_like_a_tensor() -> None:
    q, _ = make()
    u = DERIVATIVES["u", (0, 0)]
    assert torch.equal(q.u[1:3], u[1:3])
    assert len(q.u) == COUNT
    assert torch.equal(torch.stack(list(q.u)), u)
    assert q.u.shape == (COUNT,)
    assert isinstance(hash(q.u), int)
    with pytest.raises(AttributeError):
        _ = q.u.no_such_method


# --- what laws return


def test_a_bare_residual_needs_a_name() -> None:
    q, _ = make()
    assert [*named_tensors(q.u, COUNT, "here", single="walls")] == ["walls"]
    with pytest.raises(PinnError, match=r"here must return \{name: residual\}, not a tensor"):
        named_tensors(q.u, COUNT, "here")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "not NoneType"),
        ([torch.zeros(COUNT)], "not list"),
        ({}, "not an empty one"),
        ({"r": 1.0}, "'r' is float, not a tensor"),
        ({"r": torch.zeros(COUNT, 1)}, r"'r' has shape \(4, 1\) for 4 points.*\(4,\)"),
        ({"r": torch.zeros(())}, r"'r' has shape \(\)"),
        ({"a": torch.zeros(COUNT), "r": torch.zeros(3)}, r"'r' has shape \(3,\)"),
    ],
)
def test_wrong_residuals_are_named(found: Any, message: str) -> None:
    with pytest.raises(PinnError, match=f"the equations of heat.*{message}"):
        named_tensors(found, COUNT, "the equations of heat")


@pytest.mark.parametrize("one", [np.float64(2.0), np.float32(2.0), np.int64(2)])
@pytest.mark.parametrize(
    "apply", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
)
def test_numbers_of_numpy_stand_on_the_left(one: Any, apply: Any) -> None:
    q, _ = make()
    found, expected = (
        value.tensor() if isinstance(value, Combination) else value
        for value in (apply(one, q.u_x), apply(float(one), q.u_x))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("function", [np.sin, np.sqrt, math.sin, float])
def test_functions_that_know_no_derivatives_say_what_to_use(function: Any) -> None:
    q, _ = make()
    with pytest.raises(PinnError, match="use torch"):
        function(q.u)
