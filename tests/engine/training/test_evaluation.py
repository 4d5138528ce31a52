"""The reference solution at arbitrary points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.core import Box, PinnError, Problem, Reference, offered
from pinn.engine import check, parse_config, train

SHAPES = st.lists(st.integers(2, 5), min_size=1, max_size=3)


def grid(shape: list[int], seed: int) -> tuple[dict[str, np.ndarray], np.random.Generator]:
    """Coordinates that are not equally spaced."""
    generator = np.random.default_rng(seed)
    steps = [generator.uniform(0.1, 1, n) for n in shape]
    return {f"x{i}": np.cumsum(s) for i, s in enumerate(steps)}, generator


def inside(coordinates: dict[str, np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """20 points of the box, corners among them."""
    lower, upper = (np.array([c[end] for c in coordinates.values()]) for end in (0, -1))
    share = generator.uniform(0, 1, (20, len(coordinates)))
    share[0], share[1] = 0, 1
    return lower + share * (upper - lower)


@given(SHAPES, st.integers(0, 99))
def test_at_the_grid_points_it_is_the_fields(shape: list[int], seed: int) -> None:
    coordinates, generator = grid(shape, seed)
    fields = {name: generator.normal(size=shape) for name in ("u", "v")}
    reference = Reference(coordinates, fields)
    found = reference.at(reference.points())
    assert list(found) == ["u", "v"]
    for name, values in fields.items():
        np.testing.assert_allclose(found[name], values.ravel(), rtol=1e-12, atol=1e-12)


@given(SHAPES, st.integers(0, 99))
def test_a_linear_field_is_exact(shape: list[int], seed: int) -> None:
    coordinates, generator = grid(shape, seed)
    slopes = generator.normal(size=len(shape))
    grids = np.meshgrid(*coordinates.values(), indexing="ij")
    field = 3 + sum(a * g for a, g in zip(slopes, grids, strict=True))
    points = inside(coordinates, generator)
    found = Reference(coordinates, {"u": field}).at(points)["u"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 3 + points @ slopes, rtol=1e-10, atol=1e-10)


@given(SHAPES, st.integers(0, 99))
def test_it_stays_between_the_least_and_the_largest_value(shape: list[int], seed: int) -> None:
    coordinates, generator = grid(shape, seed)
    field = generator.normal(size=shape)
    found = Reference(coordinates, {"u": field}).at(inside(coordinates, generator))["u"]
    assert found.shape == (20,)
    assert (found >= field.min() - 1e-12).all()
    assert (found <= field.max() + 1e-12).all()


def test_in_one_dimension_it_is_what_numpy_interpolates() -> None:
    x, u = np.array([0.0, 0.3, 1.0]), np.array([1.0, -2.0, 5.0])
    points = np.linspace(0, 1, 17)
    found = Reference({"x": x}, {"u": u}).at(points[:, None])["u"]
    np.testing.assert_allclose(found, np.interp(points, x, u), atol=1e-12)


@pytest.mark.parametrize("excess", [1e-7, 1.0])
def test_what_lies_outside_has_the_value_at_the_edge(excess: float) -> None:
    """Points in float32 may lie outside by rounding, and the last grid point may fall short."""
    reference = Reference({"x": np.array([0.0, 1.0])}, {"u": np.array([2.0, 7.0])})
    assert reference.at(np.array([[-excess], [1 + excess]]))["u"].tolist() == [2, 7]


def test_whole_numbers_and_no_points() -> None:
    reference = Reference({"x": np.arange(3)}, {"u": np.array([0, 1, 4], dtype=np.float32)})
    assert reference.at(np.array([[1.5]]))["u"].tolist() == [2.5]
    assert reference.at(np.empty((0, 1)))["u"].shape == (0,)


def line(low: float, high: float, count: int = 3) -> np.ndarray:
    return np.linspace(low, high, count)


@pytest.mark.parametrize(
    ("coordinates", "shape", "name", "message"),
    [
        (
            {"t": line(0, 2), "x": line(0, 1)},
            (3, 3),
            "u",
            "has the coordinates t, x; expected x, t",
        ),
        ({"x": line(0, 1)}, (3,), "u", "has the coordinates x; expected x, t"),
        ({"x": line(0, 1), "t": line(2, 0)}, (3, 3), "u", "values of t that do not rise"),
        ({"x": np.zeros((3, 3)), "t": line(0, 2)}, (3, 3), "u", "values of x that do not rise"),
        (
            {"x": line(0, 1.1), "t": line(0, 2)},
            (3, 3),
            "u",
            "has x from 0 to 1.1, outside of 0 to 1",
        ),
        ({"x": line(0, 1), "t": line(0, 2, 4)}, (4, 3), "u", r"shape \(4, 3\); .* make \(3, 4\)"),
        ({"x": line(0, 1), "t": line(0, 2)}, (9,), "u", r"has u of shape \(9,\)"),
        ({"x": line(0, 1), "t": line(0, 2)}, (3, 3), "w", "has w; expected one of u"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(
    coordinates: dict[str, np.ndarray],
    shape: tuple[int, ...],
    name: str,
    message: str,
    tmp_path: Path,
) -> None:
    @frozen
    class Odd(Problem):
        """u_t = 0."""

        name = "odd"
        fields = ("u",)
        domain = Box(x=(0, 1), t=(0, 2))

        def equations(self, q: Any) -> dict[str, Any]:
            return {"still": q.u_t}

        def reference(self) -> Reference:
            return Reference(coordinates, {name: np.zeros(shape)})

    with offered(Odd):
        config = parse_config(
            {
                "run": {"directory": str(tmp_path)},
                "problem": {"name": "odd"},
                "optimizers": [{"name": "adam", "steps": 1}],
            }
        )
        for attempt in (check, train):
            with pytest.raises(PinnError, match=rf"the reference of problem 'odd'.* {message}"):
                attempt(config)
