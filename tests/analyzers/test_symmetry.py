"""Odd and even: closed forms, grids that reflections map to themselves, networks without biases."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from pinn.analyzers.symmetry import Symmetry, mirrored, odd_share
from pinn.core import Box, Reference, Unavailable
from pinn.core.records import Records
from pinn.engine import Config
from pinn.engine.training.ready import prepare

MakeConfig = Callable[..., Config]

FIELDS = arrays(np.float64, (5, 4), elements=st.integers(-50, 50).map(float))
AXES = st.sampled_from([(0,), (1,), (0, 1)])


@given(FIELDS, AXES)
def test_against_a_naive_loop(u: Any, axes: tuple[int, ...]) -> None:
    odd = whole = 0.0
    for i in range(5):
        for j in range(4):
            other = u[4 - i if 0 in axes else i, 3 - j if 1 in axes else j]
            odd += ((u[i, j] - other) / 2) ** 2
            whole += u[i, j] ** 2
    expected = odd / whole if whole else math.nan
    assert odd_share(u, axes) == pytest.approx(expected, nan_ok=True)


@given(FIELDS, AXES, st.sampled_from([2.0**-600, -3.0, 1e100]))
def test_bounds_and_parts(u: Any, axes: tuple[int, ...], scale: float) -> None:
    found, mirror = odd_share(u, axes), np.flip(u, axes)
    assert math.isnan(found) == (not u.any())
    assert math.isnan(found) or 0 <= found <= 1
    assert odd_share(scale * u, axes) == pytest.approx(found, nan_ok=True)
    assert odd_share(mirror, axes) == pytest.approx(found, nan_ok=True)
    if (u + mirror).any():
        assert odd_share(u + mirror, axes) == 0
    if (u - mirror).any():
        assert odd_share(u - mirror, axes) == 1
    if not math.isnan(found):
        even = float((((u + mirror) / 2) ** 2).sum() / (u**2).sum())
        assert found + even == pytest.approx(1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_gives_nan(bad: float) -> None:
    assert math.isnan(odd_share(np.array([[1.0, bad]]), (1,)))


WHOLE, BEHIND_FIRST, BEFORE_LAST = slice(None), slice(1, None), slice(None, -1)


@pytest.mark.parametrize(
    ("grid", "part"),
    [
        (np.linspace(-1, 3, 7), WHOLE),
        (np.linspace(-1, 3, 8, endpoint=False), BEHIND_FIRST),
        (np.linspace(-1, 3, 8, endpoint=False) + 0.5, BEFORE_LAST),
        (np.linspace(-1, 3, 8, endpoint=False) + 0.25, WHOLE),
        (-1 + 4 * np.sin(np.linspace(0, np.pi / 2, 9)) ** 2, WHOLE),
        (np.linspace(-1, 3, 7, dtype=np.float32), WHOLE),
        (np.geomspace(1, 4, 7) - 1, None),
        (np.linspace(-1, 2, 7), None),
        (np.array([1.0]), None),
        (np.array([]), None),
    ],
)
def test_the_part_of_a_grid_that_is_its_own_mirror_image(grid: Any, part: slice | None) -> None:
    assert mirrored(grid, (-1, 3)) == part


# the analyzer


def view_of(fields: dict[str, Any], prediction: dict[str, Any], **coordinates: Any) -> Any:
    ends = dict.fromkeys(coordinates, (-1.0, 1.0)) or {"x": (-1.0, 1.0)}
    return SimpleNamespace(
        problem=SimpleNamespace(domain=Box(**ends)),
        reference=Reference(coordinates, fields),
        prediction=prediction,
    )


def test_every_reflection_that_maps_the_grid_to_itself() -> None:
    x, t = np.linspace(-1, 1, 8, endpoint=False), np.linspace(-1, 1, 5)
    odd, even = x[:, None] + 0 * t, np.cos(x)[:, None] + 0 * t
    found = Symmetry().measure(view_of({"u": even}, {"u": odd}, x=x, t=t))
    assert found == pytest.approx(
        {
            "odd_share.x": 1, "odd_share.reference.x": 0,
            "odd_share.t": 0, "odd_share.reference.t": 0,
            "odd_share.all": 1, "odd_share.reference.all": 0,
        }
    )  # fmt: skip
    fields = {"u": even[:, :3]}, {"u": odd[:, :3]}
    lopsided = Symmetry().measure(view_of(*fields, x=x, t=np.array([0, 1, 3.0])))
    # t ends at 3 on [−1, 1] and has no mirror image: neither has the whole.
    assert lopsided.keys() == {"odd_share.x", "odd_share.reference.x"}


def test_one_coordinate_has_one_reflection() -> None:
    x = np.linspace(-1, 1, 5)
    found = Symmetry().measure(view_of({"u": x**2}, {"u": x}, x=x))
    assert found == {"odd_share.x": 1, "odd_share.reference.x": 0}


def test_the_headline_is_the_first_observable_that_the_reference_has() -> None:
    x = np.linspace(-1, 1, 5)
    view = view_of({"v": x, "w": x**2}, {"u": x, "w": x**2, "v": x}, x=x)
    assert Symmetry().measure(view) == {"odd_share.x": 0, "odd_share.reference.x": 0}


def test_at_scattered_points_it_says_what_it_needs() -> None:
    places = np.random.default_rng(0).uniform(-1, 1, (2, 9))
    u = places[0]
    with pytest.raises(Unavailable, match="needs the reference on a grid"):
        Symmetry().measure(view_of({"u": u}, {"u": u}, x=places[0], t=places[1]))


def test_what_is_not_known_is_left_out_with_its_mirror_image() -> None:
    even = np.array([[4.0, 1.0, 4.0], [7.0, 5.0, np.nan]])
    assert odd_share(even, (1,)) == 0
    assert odd_share(np.array([[-4.0, 0.0, 4.0], [7.0, 0.0, np.nan]]), (1,)) == 1


def test_without_a_reference_on_a_grid_nothing_is_measured() -> None:
    nothing: Any = SimpleNamespace(reference=None)
    assert Symmetry().measure(nothing) == {}
    x = np.linspace(-1, 1, 5)
    assert Symmetry().measure(view_of({"v": x}, {"u": x}, x=x)) == {}
    assert Symmetry().measure(view_of({"u": x}, {"u": x})) == {}  # at scattered points


def measured(make_config: MakeConfig, problem: dict[str, Any], **network: Any) -> Any:
    config = make_config(problem, network=network, run={"precision": "float64"})
    module, _, evaluator = prepare(config)
    view: Any = SimpleNamespace(
        problem=config.problem,
        reference=evaluator.reference,
        prediction=evaluator.on_grid(module),
    )
    return Symmetry().measure(view)


@pytest.mark.parametrize("a1", [1, 6])
def test_a_network_without_biases_is_odd_where_helmholtz_is_even(
    make_config: MakeConfig, a1: int
) -> None:
    found = measured(make_config, {"name": "helmholtz", "a1": a1, "a2": 4}, bias="zero")
    assert found["odd_share.all"] == pytest.approx(1)
    assert found["odd_share.reference.all"] == pytest.approx(0, abs=1e-12)
    for name in "xy":
        assert found[f"odd_share.reference.{name}"] == pytest.approx(1)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_solution_of_allen_cahn_is_even_in_x(make_config: MakeConfig, normalise: bool) -> None:
    """Its grid is that of a period, without x = 1; the middle of its domain is not the origin."""
    found = measured(make_config, {"name": "allen-cahn"}, normalise=normalise, bias="zero")
    assert found["odd_share.reference.x"] == pytest.approx(0, abs=1e-12)
    assert (found["odd_share.all"] == pytest.approx(1)) == normalise


def test_the_figure_shows_network_and_solution() -> None:
    records = Records(Path("never-written"))
    assert list(Symmetry().figures(records)) == []
    records.rows = [{"step": 1, "odd_share.x": 1.0, "odd_share.reference.x": 0.0}]
    (plot,) = Symmetry().figures(records)
    assert plot.quantities == {"odd_share.x": "network, x", "odd_share.reference.x": "solution, x"}
