"""The sizes of fields, measured from conditions and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import torch
from attrs import frozen
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core import Box, Condition, Measurements, PinnError, Problem, Unknown
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.scales import measured_scales


@frozen
class Stated(Problem):
    """u, v and w over x and t, under whatever conditions."""

    name = "stated"
    fields = ("u", "v", "w")
    domain = Box(x=(0, 2), t=(0, 1))

    given: Any = ()

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"all": q.u_t + q.v_x + q.w_x}

    def conditions(self) -> Iterable[Any]:
        return [
            each if isinstance(each, Measurements) else Condition(f"c{n}", *each)
            for n, each in enumerate(self.given)
        ]

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"k": Unknown(3.0)}


@pytest.mark.parametrize(
    ("on", "law", "expected"),
    [
        ("t=0", lambda q: q.u - 310, {"u": (310, 310)}),
        ("t=0", lambda q: 5 * (7 - q.u), {"u": (7, 7)}),
        ("x=0", lambda q: {"a": q.u + 40, "b": q.v - 0.5}, {"u": (-40, 40), "v": (0.5, 0.5)}),
        ("x=0, t=0", lambda q: q.v - 2, {"v": (2, 2)}),
        ("t=0", lambda q: {"a": q.u - 8, "b": q.u_x}, {"u": (8, 8)}),
        ("t=0", lambda q: q.u_x - 8, {}),
        ("t=0", lambda q: q.d_n("u") - 8, {}),
        ("t=0", lambda q: q.u - q.v, {}),
        ("t=0", lambda q: q.u - q.k, {}),
        ("t=0", lambda q: q.u**2 - 9, {}),
        ("t=0", lambda q: q.u, {}),
        ("x=0", lambda q: q.u - q.at(x=2).u, {}),
    ],
    ids=["value", "scaled", "two", "point", "beside-a-slope", "slope", "normal", "of-two-fields",
         "of-an-unknown", "not-linear", "zero", "periodic"],
)  # fmt: skip
def test_what_conditions_say(on: str, law: Callable[[Any], Any], expected: Any) -> None:
    assert measured_scales(Stated([(on, law)])) == {
        k: pytest.approx(v) for k, v in expected.items()
    }


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_they_hold_all_values_that_are_known(low: float, width: float) -> None:
    """All outputs that the data need are between −1 and 1, whatever the units."""
    high = low + width
    data = Measurements("m", {"x": [0, 1], "t": [0.0, 0.0]}, {"u": [low, high]})
    middle, size = measured_scales(Stated([data]))["u"]
    assert max(abs(low - middle), abs(high - middle)) <= size * (1 + 1e-12)


def test_conditions_and_data_together() -> None:
    problem = Stated(
        [
            ("t=0", lambda q: q.u - 10 * q.x),
            Measurements("m", {"x": [0.5], "t": [0.5]}, {"u": [-10.0], "u_x": [900.0]}),
            Measurements("n", {"x": [0.5], "t": [0.5]}, {"v": [70.0]}, of=lambda q: q.v + q.w),
        ]
    )
    middle, size = measured_scales(problem)["u"]
    assert (middle, size) == pytest.approx((5, 15), rel=0.02)
    assert measured_scales(problem).keys() == {"u"}


def test_an_ansatz_asks_for_stated_ones() -> None:
    class Hard(Stated):
        scales = "measured"

        def ansatz(self, q: Any) -> Mapping[str, Any]:
            return {"u": q.t * q.u, "v": q.v, "w": q.w}

    with pytest.raises(PinnError, match='scales = "measured" and an ansatz'):
        residuals(Hard(), Hard().equations, "the equations", dtype=torch.float64)


def test_a_word_that_is_no_scale() -> None:
    class Odd(Stated):
        scales = "automatic"

    with pytest.raises(PinnError, match=r"scales = .automatic.; expected \{name: a finite number"):
        residuals(Odd(), Odd().equations, "the equations", dtype=torch.float64)
