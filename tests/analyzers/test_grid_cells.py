"""Cells of a grid: numbers and means against a naive loop."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.analyzers.grid_cells import cell_means, cell_numbers

DIMENSIONS = st.integers(1, 3)
LOWER, UPPER = (-1.0, 0.0, 2.5), (1.0, 0.5, 9.0)


def points(count: int, dimension: int, seed: int) -> np.ndarray[Any, Any]:
    unit = np.random.default_rng(seed).uniform(size=(count, dimension))
    return np.array(LOWER[:dimension]) + unit * np.subtract(UPPER, LOWER)[:dimension]


@given(DIMENSIONS, st.integers(1, 7), st.integers(0, 40), st.integers(0, 99))
def test_numbers_against_a_naive_loop(dimension: int, cells: int, count: int, seed: int) -> None:
    chosen = points(count, dimension, seed)
    order = {place: i for i, place in enumerate(product(range(cells), repeat=dimension))}
    expected = []
    for point in chosen:
        place = []
        for x, low, high in zip(point, LOWER, UPPER, strict=False):
            edges = [low + k * (high - low) / cells for k in range(1, cells)]
            place.append(sum(x >= edge for edge in edges))
        expected.append(order[tuple(place)])
    found = cell_numbers(chosen, LOWER[:dimension], UPPER[:dimension], cells)
    assert found.tolist() == expected


@pytest.mark.parametrize("cells", [1, 2, 3, 10, 49])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_both_ends_of_the_domain_belong_to_a_cell(cells: int, dimension: int) -> None:
    ends = np.array([LOWER[:dimension], UPPER[:dimension]])
    rounded = ends.astype(np.float32).astype(float) * (1 + 1e-7)
    for chosen in (ends, rounded):
        found = cell_numbers(chosen, LOWER[:dimension], UPPER[:dimension], cells)
        assert found.tolist() == [0, cells**dimension - 1]


@given(st.integers(1, 7), st.lists(st.tuples(st.integers(0, 6), st.floats(-9, 9)), max_size=30))
def test_means_against_a_naive_loop(extra: int, placed: list[tuple[int, float]]) -> None:
    count = 6 + extra
    numbers = np.array([number for number, _ in placed], dtype=np.int64)
    values = np.array([value for _, value in placed])
    found = cell_means(values, numbers, count)
    assert found.shape == (count,)
    for cell in range(count):
        own = [value for number, value in placed if number == cell]
        if own:
            assert found[cell] == pytest.approx(math.fsum(own) / len(own), rel=1e-9, abs=1e-12)
        else:
            assert math.isnan(found[cell])


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))
def test_the_means_weighted_by_members_are_the_mean(count: int, cells: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    numbers = cell_numbers(points(count, 2, seed), LOWER[:2], UPPER[:2], cells)
    means = cell_means(values, numbers, cells**2)
    members = np.bincount(numbers, minlength=cells**2)
    assert np.nansum(means * members) == pytest.approx(values.sum(), abs=1e-9)
    assert (np.isnan(means) == (members == 0)).all()


def test_nan_stays_in_its_cell() -> None:
    found = cell_means(np.array([1.0, math.nan, 3.0]), np.array([0, 1, 0]), 3)
    assert found[0] == 2
    assert np.isnan(found[1:]).all()
