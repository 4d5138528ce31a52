"""Functions that are known by their values: everywhere that a function written in torch may stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from scipy.interpolate import CubicSpline

from pinn.core import Box, Condition, PinnError, Problem, Table, offered
from pinn.engine import parse_config, train
from pinn.engine.derivatives.quantities import Quantities
from pinn.testing import check_problem

X, T = np.linspace(0, 1, 21), np.linspace(0, 0.5, 9)


def at(table: Table, **places: Any) -> np.ndarray[Any, Any]:
    given = {name: torch.as_tensor(x, dtype=torch.float64) for name, x in places.items()}
    found: np.ndarray[Any, Any] = table(Quantities(given, ())).numpy()
    return found


def test_it_is_the_spline_through_its_values() -> None:
    x = np.linspace(0, 1, 50)
    expected = CubicSpline(X, np.sin(3 * X))(x)
    np.testing.assert_allclose(at(Table({"x": X}, np.sin(3 * X)), x=x), expected, atol=1e-14)


def test_on_a_grid_of_several_coordinates_in_any_order() -> None:
    values = np.exp(T)[:, None] * np.sin(3 * X)
    x, t = np.random.default_rng(0).uniform(0, 0.5, (2, 40))
    for table in (Table({"t": T, "x": X}, values), Table({"x": X[::-1], "t": T}, values.T[::-1])):
        np.testing.assert_allclose(at(table, x=x, t=t), np.exp(t) * np.sin(3 * x), atol=1e-5)


def test_beyond_its_ends_it_is_as_there_and_of_degree_one_it_has_no_waves() -> None:
    jump = Table({"x": [0, 1, 2, 3]}, [0.0, 0.0, 5.0, 5.0], degree=1)
    np.testing.assert_allclose(at(jump, x=[-1, 0.5, 1.5, 9]), [0, 0, 2.5, 5])
    np.testing.assert_allclose(at(Table({"x": [0, 2]}, [1, 3]), x=[1.0]), [2])


@pytest.mark.parametrize(
    ("coordinates", "values", "message"),
    [
        ({"x": [0, 1]}, [1, 2, 3], "the table has values of shape (3,)"),
        ({"x": [0, 0]}, [1, 2], "the table has a value of x twice"),
        ({"x": [0, 1]}, [1, math.nan], "the table has values that are not finite"),
        ({"x": [0, 1]}, ["a", "b"], "the table has values, which is no array of numbers"),
    ],
)
def test_what_is_no_table_is_refused(coordinates: Any, values: Any, message: str) -> None:
    with pytest.raises(PinnError) as caught:
        Table(coordinates, values)
    assert str(caught.value).startswith(message)


START = Table({"x": X}, X * (1 - X))
CONDUCTIVITY = Table({"u": np.linspace(-3, 3, 13)}, np.full(13, 0.1))
SOURCE = Table({"x": X, "t": T}, np.full((21, 9), 0.2))


@frozen
class Given(Problem):
    """(k(u) u_x)_x + s(x, t) = u_t from an initial value, a material and a source in tables."""

    name = "given"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 0.5))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.d(CONDUCTIVITY(q) * q.u_x, "x") - SOURCE(q)}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - START(q))

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"u": START(q) + q.t * q.x * (1 - q.x) * q.u}

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"u": q.x * (1 - q.x)}


def test_it_keeps_the_contract_of_a_problem() -> None:
    check_problem(Given)


@pytest.mark.parametrize(
    "optimizer", [{"name": "adam", "steps": 3}, {"name": "gauss-newton", "steps": 12}]
)
def test_it_trains(optimizer: Mapping[str, Any], tmp_path: Any, without_results: None) -> None:
    with offered(Given):
        run = train(
            parse_config(
                {
                    "run": {
                        "directory": str(tmp_path),
                        "precision": "float64",
                        "device": "cpu",
                        "compile": "never",
                    },
                    "problem": {"name": "given"},
                    "network": {"width": 8, "depth": 2},
                    "points": {"interior": 64, "conditions": 16},
                    "optimizers": [optimizer],
                    "analyzers": [{"name": "error"}],
                }
            )
        )
    assert optimizer["steps"] < 10 or run.metrics()["rel_l2"][1][-1] < 0.01
