"""The reference solution at arbitrary points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner
from hypothesis import given, strategies as st

from pinn.core import Box, Condition, PinnError, Problem, Reference, offered
from pinn.engine import check, parse_config, reference_solution, train
from pinn.engine.cli import commands
from pinn.engine.training.evaluation import Evaluator

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


X, T = line(0, 1), line(0, 2, 4)


def field(x: Any, t: Any) -> Any:
    """Values that tell its two coordinates apart."""
    return 1 + x + 10 * t


ON_GRID = field(*np.meshgrid(X, T, indexing="ij"))
PLACES = np.random.default_rng(0).uniform((0, 0), (1, 2), (50, 2))


@frozen
class Odd(Problem):
    """u_t = 0."""

    name = "odd"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 2))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"still": q.u_t}


def with_reference(found: Any, **methods: Any) -> type[Problem]:
    reference = {"reference": lambda self: found() if callable(found) else found}
    return frozen(type("Odd", (Odd,), {"__doc__": Odd.__doc__, **reference, **methods}))


def config_of(tmp_path: Path, *analyzers: str) -> Any:
    return parse_config(
        {
            "run": {"directory": str(tmp_path / "run")},
            "problem": {"name": "odd"},
            "network": {"width": 4, "depth": 1},
            "points": {"interior": 8},
            "optimizers": [{"name": "adam", "steps": 1}],
            "analyzers": [{"name": name} for name in analyzers],
        }
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reference({"x": X}, {"u": X}), "has the coordinates x; expected t, x"),
        (
            lambda: Reference({"x": X, "t": T}, {"u": ON_GRID.T}),
            r"has u of shape \(4, 3\).* x, t make",
        ),
        (lambda: Reference({"x": X, "t": T}, {"u": ON_GRID.ravel()}), r"u of shape \(12,\).* make"),
        (lambda: Reference({"x": X, "t": X}, {"u": np.ones((3, 2))}), r"has u of shape \(3, 2\)"),
        (lambda: Reference({"x": [0, 1, 0], "t": T}, {"u": ON_GRID}), "a value of x twice"),
        (lambda: Reference({"x": [0, 1, np.nan], "t": T}, {"u": ON_GRID}), "one that is no number"),
        (
            lambda: Reference({"x": ["a"], "t": T}, {"u": ON_GRID}),
            "has x, which is no array of numb",
        ),
        (
            lambda: Reference({"x": X, "t": T}, {"u": 1j * ON_GRID}),
            "has u, which is no array of numb",
        ),
        (
            lambda: Reference({"x": X, "t": 2 * T}, {"u": ON_GRID}),
            "has t from 0 to 4, outside of 0 to 2",
        ),
        (lambda: Reference({"x": X, "t": T}, {"w": ON_GRID}), "has w; expected one of u"),
        (lambda: Reference({"x": X, "t": T}, {"w": ON_GRID, "U": ON_GRID}), "expected one of u"),
        (lambda: Reference({"x": X, "t": T}, {}), "has none; expected one of u"),
        (
            lambda: Reference({"x": X, "t": T}, {"u": np.nan * ON_GRID}),
            "no value of u that is a number",
        ),
        (lambda: Reference({"x": X, "t": T}, {"u": ON_GRID / 0}), "has infinite values of u"),
        (
            lambda: Reference({"x": X, "t": T}, {"u": ON_GRID}, scattered=True),
            r"has scattered=True, and needs one number a point .* x \(3,\), t \(4,\)",
        ),
        ({"x": X}, "is a dict; return a pinn.core.Reference, or None"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_reference_that_does_not_fit_is_refused(make: Any, message: str, tmp_path: Path) -> None:
    with offered(with_reference(make)):
        for attempt in (check, train):
            with pytest.raises(PinnError, match=rf"the reference of problem 'odd'.* {message}"):
                attempt(config_of(tmp_path))


def test_an_observable_under_nearly_its_name_is_refused(tmp_path: Path) -> None:
    both = with_reference(
        lambda: Reference({"x": X, "t": T}, {"u": ON_GRID, "SPEED": ON_GRID}),
        observables=lambda self, q: {"u": q.u, "speed": q.u.abs()},
    )
    with (
        offered(both),
        pytest.raises(PinnError, match="'SPEED', and the observable is called 'speed'"),
    ):
        check(config_of(tmp_path))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reference({"x": X, "t": T}, {"u": ON_GRID}),
        lambda: Reference({"t": T, "x": X}, {"u": ON_GRID.T}),
        lambda: Reference({"x": X[::-1], "t": T[::-1]}, {"u": ON_GRID[::-1, ::-1]}),
        lambda: Reference({"x": X.tolist(), "t": T.tolist()}, {"u": ON_GRID.tolist()}),
        lambda: Reference(
            {"x": torch.tensor(X), "t": torch.tensor(T)},
            {"u": torch.tensor(ON_GRID, requires_grad=True)},
        ),
        lambda: Reference(
            dict(zip("tx", np.meshgrid(T, X), strict=True)), {"u": field(*np.meshgrid(T, X)[::-1])}
        ),
        lambda: Reference(
            dict(zip("xt", (c.ravel()[::-1] for c in np.meshgrid(X, T)), strict=True)),
            {"u": field(*np.meshgrid(X, T)).ravel()[::-1]},
        ),
    ],
    ids=["grid", "order", "falling", "lists", "tensors", "meshgrid", "points of a grid"],
)
def test_however_a_grid_is_written_it_is_the_same(make: Any) -> None:
    found = reference_solution(with_reference(make)())
    assert found is not None
    assert list(found.coordinates) == ["x", "t"]
    assert not found.scattered
    np.testing.assert_array_equal(found.coordinates["x"], X)
    np.testing.assert_array_equal(found.coordinates["t"], T)
    np.testing.assert_array_equal(found.fields["u"], ON_GRID)


def scattered() -> Reference:
    return Reference(dict(zip("tx", PLACES.T[::-1], strict=True)), {"u": field(*PLACES.T)})


def test_scattered_points_are_told_from_a_grid_by_the_shapes() -> None:
    found = reference_solution(with_reference(scattered)())
    assert found is not None
    assert (found.scattered, found.shape) == (True, (50,))
    np.testing.assert_array_equal(found.points(), PLACES)
    np.testing.assert_array_equal(found.fields["u"], field(*PLACES.T))
    corners = Reference({"x": X, "t": X}, {"u": np.ones((3, 3))})
    assert not corners.scattered
    grid_as_points = Reference(*_as_points(), scattered=True)
    assert (grid_as_points.scattered, grid_as_points.shape) == (True, (12,))
    twice = Reference({"x": [0.0, 0.5, 0.5]}, {"u": [1.0, 2.0, 4.0]}, scattered=True)
    assert twice.at(np.array([[0.25], [0.5], [0.7]]))["u"].tolist() == pytest.approx(
        [2, 3, math.nan], nan_ok=True
    )


def _as_points() -> tuple[dict[str, Any], dict[str, Any]]:
    x, t = (c.ravel() for c in np.meshgrid(X, T))
    return {"x": x, "t": t}, {"u": field(x, t)}


def test_between_scattered_points_it_is_linear_and_unknown_beyond() -> None:
    found = scattered().at(np.array([[1.0, 0.5], [1e9, 0.5]]))["u"]  # in the order t, x
    assert found[0] == pytest.approx(field(0.5, 1.0), rel=1e-12)
    assert math.isnan(found[1])
    line = Reference({"x": np.linspace(0, 1, 9), "t": np.full(9, 2.0)}, {"u": np.arange(9.0)})
    assert np.isnan(line.at(np.array([[0.5, 1.0]]))["u"]).all()
    four = dict(zip("xyzt", np.random.default_rng(1).uniform(size=(4, 30)), strict=True))
    with pytest.raises(PinnError, match="scattered points of 4 coordinates"):
        Reference(four, {"u": np.ones(30)}).at(np.ones((1, 4)))


def test_what_is_not_known_is_nan_there_and_nowhere_else() -> None:
    hole = ON_GRID.copy()
    hole[0, 0] = np.nan
    found = Reference({"x": X, "t": T}, {"u": hole}).at(np.array([[0.1, 0.1], [0.9, 1.9]]))["u"]
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(field(0.9, 1.9))
    early = Reference({"x": X, "t": T / 4}, {"u": ON_GRID})
    assert np.isnan(early.at(np.array([[0.5, 1.5]]))["u"]).all()
    once = Reference({"x": X, "t": [1.0]}, {"u": ON_GRID[:, :1]})
    found = once.at(np.array([[0.5, 1.0], [0.5, 0.9]]))["u"]
    assert found[0] == ON_GRID[1, 0]
    assert math.isnan(found[1])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Reference({"x": X, "t": T / 4}, {"u": ON_GRID}), ["t from 0 to 0.5 of 0 to 2"]),
        (
            lambda: Reference({"x": X, "t": [2.0]}, {"u": ON_GRID[:, :1]}),
            ["t from 2 to 2 of 0 to 2"],
        ),
        (lambda: Reference({"x": X[:-1], "t": T}, {"u": ON_GRID[:-1]}), []),
        (
            lambda: Reference({"x": X, "t": T}, {"u": ON_GRID, "p": ON_GRID}),
            ["has p, which no obser"],
        ),
        (scattered, []),
    ],
    ids=["early", "one time", "a period", "more", "scattered"],
)
def test_what_a_reference_leaves_out_is_said(make: Any, told: list[str], tmp_path: Path) -> None:
    problem = with_reference(make)
    evaluator = Evaluator(problem(), torch.float64, torch.device("cpu"))
    evaluator.check_reference()
    assert len(evaluator.notes) == len(told)
    for text, expected in zip(evaluator.notes, told, strict=True):
        assert expected in text
    file = tmp_path / "pinn.toml"
    with offered(problem):
        file.write_text(config_of(tmp_path).toml(), encoding="utf-8")
        shown = CliRunner().invoke(commands, ["check", str(file)])
    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if line.startswith("note: ")] == [
        f"note: {text}" for text in evaluator.notes
    ]


SQUARE = {"x": line(0, 1, 21), "t": line(0, 2, 21)}


@pytest.mark.parametrize(
    ("of", "broken"),
    [(lambda u: u, []), (lambda u: u.T, ["start", "left"]), (lambda u: 2 * u, ["left"])],
    ids=["as it is", "transposed", "in other units"],
)
def test_a_reference_that_breaks_the_conditions_is_told(of: Any, broken: list[str]) -> None:
    """A square array that is transposed fits its axes as well."""

    def conditions(_: Any) -> list[Condition]:
        return [
            Condition("start", "t=0", lambda q: q.u - field(q.x, q.t)),
            Condition("left", "x=0", lambda q: 3 * (field(q.x, q.t) - q.u)),
            Condition("slope", "x=1", lambda q: q.u_x - 1000),
        ]

    u = of(field(*np.meshgrid(*SQUARE.values(), indexing="ij")))
    problem = with_reference(lambda: Reference(SQUARE, {"u": u}), conditions=conditions)
    evaluator = Evaluator(problem(), torch.float64, torch.device("cpu"))
    evaluator.check_reference()
    assert len(evaluator.notes) == len(broken)
    for note, name in zip(evaluator.notes, broken, strict=True):
        assert f"the reference breaks condition {name!r}: there its u is off by" in note


class Triangle(Box):
    """The half of a box below its diagonal."""

    def inside(self, points: Any) -> Any:
        return super().inside(points) & (points.sum(1) <= 1)


def test_on_the_grid_nothing_is_known_outside_of_the_domain() -> None:
    exact = {"solution": lambda self, q: {"u": q.x + 2}, "domain": Triangle(x=(0, 1), t=(0, 1))}
    problem = with_reference(None, **exact, grid={"x": 5, "t": 3})()
    evaluator = Evaluator(problem, torch.float64, torch.device("cpu"))
    module = torch.nn.Linear(2, 1).double()
    found = evaluator.on_grid(module)["u"]
    x, t = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 3), indexing="ij")
    assert evaluator.reference is not None
    np.testing.assert_array_equal(np.isfinite(found), x + t <= 1)
    np.testing.assert_array_equal(
        evaluator.reference.fields["u"], np.where(x + t <= 1, x + 2, np.nan)
    )
    inside = evaluator.at(module, np.stack([x.ravel(), t.ravel()], 1))["u"].reshape(5, 3)
    np.testing.assert_allclose(found[x + t <= 1], inside[x + t <= 1], rtol=1e-14)


@pytest.mark.parametrize("make", [scattered, lambda: Reference({"x": X, "t": T}, {"u": ON_GRID})])
def test_a_run_leaves_its_predictions_where_the_reference_is(make: Any, tmp_path: Path) -> None:
    with offered(with_reference(make)):
        run = train(config_of(tmp_path, "error", "compression", "symmetry"))
        written = CliRunner().invoke(commands, ["reference", "odd", "-o", str(tmp_path / "r.npz")])
    arrays = dict(np.load(run.path / "predictions.npz"))
    reference = reference_solution(with_reference(make)())
    assert reference is not None
    expected = {**reference.coordinates, "u_reference": reference.fields["u"]}
    assert arrays.keys() == {*expected, "u", "u_error"}
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], values)
    np.testing.assert_array_equal(arrays["u_error"], arrays["u"] - arrays["u_reference"])
    size = np.linalg.norm(arrays["u_reference"])
    final = run.summary["final"]
    assert final["rel_l2"] == pytest.approx(np.linalg.norm(arrays["u_error"]) / size)
    assert final["information_y"] > 0
    failures = run.summary["failures"]
    assert ("symmetry" in failures) == reference.scattered
    assert all("needs the reference on a grid" in text for text in failures.get("symmetry", []))
    assert (run.path / "figures" / "solution.png").exists()
    assert "left out" not in (run.path / "report.html").read_text(encoding="utf-8")
    assert written.output.endswith("on 50 points\n" if reference.scattered else "on 3 x 4 points\n")
