"""The contract of every registered sampler, and what each promises beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.core import Box, PinnError
from pinn.core.discovery import registry
from pinn.plugins.samplers.grid import Grid
from pinn.plugins.samplers.lhs import LatinHypercube
from pinn.plugins.samplers.sobol import Sobol
from pinn.plugins.samplers.uniform import Uniform
from pinn.testing import check_sampler

SAMPLERS = [part.cls for part in registry().parts("sampler")]
INTERVALS = st.tuples(st.floats(-100, 100), st.floats(1e-3, 50)).map(lambda i: (i[0], sum(i)))
BOXES = st.lists(INTERVALS, min_size=1, max_size=4).map(
    lambda intervals: Box(**{f"x{i}": interval for i, interval in enumerate(intervals)})
)


def test_the_built_in_samplers_are_registered() -> None:
    assert {Grid, LatinHypercube, Sobol, Uniform} <= set(SAMPLERS)


@pytest.mark.parametrize("cls", SAMPLERS, ids=lambda cls: cls.name)
def test_every_sampler_keeps_its_contract(cls: type[Any]) -> None:
    check_sampler(cls)


@pytest.mark.parametrize("cls", [c for c in SAMPLERS if c is not Grid], ids=lambda cls: cls.name)
def test_random_points_depend_on_the_generator_and_use_the_whole_box(cls: type[Any]) -> None:
    box = Box(x=(-1, 1), t=(0, 10))
    points = cls().draw(box, 256, np.random.default_rng(0))
    assert not np.array_equal(points, cls().draw(box, 256, np.random.default_rng(1)))
    unit = (points - box.lower) / (np.array(box.upper) - box.lower)
    # 256 uniform points: the mean is 0.5 ± 0.018 (one deviation), the ends are reached within 0.03.
    np.testing.assert_allclose(unit.mean(0), 0.5, atol=0.09)
    np.testing.assert_allclose(unit.std(0), 12**-0.5, atol=0.05)
    assert (unit.min(0) < 0.05).all()
    assert (unit.max(0) > 0.95).all()


@given(box=BOXES, count=st.integers(1, 60), seed=st.integers(0, 1000))
def test_latin_hypercubes_have_one_point_in_each_slice(box: Box, count: int, seed: int) -> None:
    points = LatinHypercube().draw(box, count, np.random.default_rng(seed))
    unit = (points - box.lower) / (np.array(box.upper) - box.lower)
    for column in unit.T:
        # Rounding may move a point at an edge of its slice by one.
        np.testing.assert_array_equal(np.sort(column) * count > np.arange(count) - 1e-6, True)
        np.testing.assert_array_equal(np.sort(column) * count < np.arange(count) + 1 + 1e-6, True)


@pytest.mark.parametrize("power", [1, 4, 6])
def test_sobol_points_are_balanced_in_every_half(power: int) -> None:
    unit = Sobol().draw(Box(x=(0, 1), y=(0, 1), z=(0, 1)), 2**power, np.random.default_rng(0))
    np.testing.assert_array_equal((unit < 0.5).sum(0), 2 ** (power - 1))


@pytest.mark.filterwarnings("error")
def test_sobol_does_not_warn_about_other_counts() -> None:
    assert Sobol().draw(Box(x=(0, 1)), 100, np.random.default_rng(0)).shape == (100, 1)


def test_grid_points_are_cell_centres() -> None:
    points = Grid().draw(Box(x=(0, 4), t=(-1, 1)), 4, np.random.default_rng(0))
    np.testing.assert_allclose(points, [[1, -0.5], [1, 0.5], [3, -0.5], [3, 0.5]])


@pytest.mark.parametrize(("dimension", "count", "offered"), [(2, 10, 9), (3, 26, 27), (2, 2, 1)])
def test_the_grid_refuses_a_count_that_is_no_power(
    dimension: int, count: int, offered: int
) -> None:
    box = Box(**{f"x{i}": (0, 1) for i in range(dimension)})
    with pytest.raises(PinnError, match=rf"power of {dimension}, such as {offered}, or nodes"):
        Grid().draw(box, count, np.random.default_rng(0))


@pytest.mark.parametrize("side", [3, 10, 47, 100])
def test_the_grid_takes_every_power(side: int) -> None:
    for dimension in (1, 2, 3):
        box = Box(**{f"x{i}": (0, 1) for i in range(dimension)})
        assert len(Grid().draw(box, side**dimension, np.random.default_rng(0))) == side**dimension


def test_a_grid_may_have_one_end_or_both() -> None:
    box, generator = Box(x=(-1, 1)), np.random.default_rng(0)
    lower = Grid(ends="lower").draw(box, 512, generator)[:, 0]
    assert (lower[0], lower[-1]) == (-1, 0.99609375)
    np.testing.assert_allclose(np.diff(lower), 2 / 512)
    both = Grid(ends="both").draw(box, 5, generator)[:, 0]
    np.testing.assert_allclose(both, [-1, -0.5, 0, 0.5, 1])


@given(count=st.integers(1, 36), seed=st.integers(0, 1000))
def test_points_drawn_of_a_grid_are_nodes_none_twice(count: int, seed: int) -> None:
    box = Box(x=(0, 5), y=(0, 5))
    points = Grid(ends="both", nodes=6).draw(box, count, np.random.default_rng(seed))
    assert len({tuple(point) for point in points.tolist()}) == count
    np.testing.assert_allclose(points, points.round(), atol=1e-12)


def test_a_grid_has_no_more_points_than_nodes() -> None:
    with pytest.raises(PinnError, match="cannot draw 10 points, none twice, from the 9 nodes"):
        Grid(nodes=3).draw(Box(x=(0, 1), y=(0, 1)), 10, np.random.default_rng(0))
