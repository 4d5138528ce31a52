"""Pictures over the domain: cell means of residuals and weights, and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, strategies as st
from matplotlib.figure import Figure

from pinn.analyzers.maps import SHOWN, Maps
from pinn.core import Box, Drawing
from pinn.core.domain import PointSet
from pinn.core.records import Records
from pinn.engine import Config, train
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]


def place(x: float, low: float, high: float, cells: int) -> int:
    return min(int((x - low) / (high - low) * cells), cells - 1)


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 50))
def test_maps_against_a_naive_loop(make_case: MakeCase, count: int, cells: int, seed: int) -> None:
    case = make_case(seed, count)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(2, count, dtype=torch.float64, generator=generator)
    found = Maps(cells=cells).measure(case.view(Vanilla(), weights))
    r = case.residuals(case.points.interior).detach().abs().sum(0)
    for name, values in (("map.residuals", r), ("map.weights", weights.mean(0))):
        assert found[name].shape == (cells, cells)
        for i in range(cells):
            for j in range(cells):
                own = [
                    float(v)
                    for v, (x, t) in zip(values, case.points.interior.tolist(), strict=True)
                    if (place(x, -1, 1, cells), place(t, 0, 2, cells)) == (i, j)
                ]
                mean = math.fsum(own) / len(own) if own else math.nan
                assert found[name][i, j] == pytest.approx(mean, rel=1e-3, nan_ok=True)


@frozen
class Seen:
    """What the analyzer looks at, in any number of dimensions."""

    problem: Any
    points: PointSet
    residuals: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, domain: Box, points: list[list[float]]) -> Any:
        problem = type("Named", (), {"domain": domain})
        count = len(points)
        residuals = torch.arange(1.0, count + 1)[None] * torch.tensor([[1.0], [-1.0]])
        return cls(problem, PointSet(torch.tensor(points), {}), residuals, torch.ones(2, count))


def test_in_one_dimension_a_map_is_a_row() -> None:
    found = Maps(cells=4).measure(Seen.of(Box(x=(0, 1)), [[0.1], [0.2], [1.0]]))
    expected = [3.0, math.nan, math.nan, 6.0]
    np.testing.assert_array_equal(found["map.residuals"], expected)


def test_in_three_dimensions_the_third_is_averaged() -> None:
    box = Box(x=(0, 1), y=(0, 1), t=(0, 5))
    found = Maps(cells=2).measure(Seen.of(box, [[0.1, 0.9, 0.0], [0.2, 0.8, 5.0]]))
    expected = [[math.nan, 3.0], [math.nan, math.nan]]
    np.testing.assert_array_equal(found["map.residuals"], expected)


@pytest.mark.parametrize(("points", "cells"), [(1, 1), (15, 1), (16, 2), (400, 10), (10**4, 40)])
def test_left_to_itself_it_takes_cells_that_hold_some_points(points: int, cells: int) -> None:
    box = Box(x=(-1, 1), t=(0, 5))
    found = Maps().measure(Seen.of(box, [[0.0, 0.0]] * points))
    assert found["map.residuals"].shape == (cells, cells)
    assert (found["map.range.x"], found["map.range.t"]) == ((-1, 1), (0, 5))


def test_time_runs_from_left_to_right(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    seen = Seen.of(Box(x=(-1, 1), t=(0, 5)), [[-0.9, 4.9], [0.9, 0.1]])
    records.append(1, Maps(cells=2).measure(seen))
    (drawing,) = Maps().figures(records)
    figure = Figure()
    drawing.draw(figure)
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("t", "step 1\nx")
    assert axis.get_xlim() == (0, 5)
    assert axis.get_ylim() == (-1, 1)
    (mesh,) = axis.collections
    np.testing.assert_array_equal(mesh.get_array().filled(np.nan), [[np.nan, 2], [4, np.nan]])


def test_records_have_few_digits() -> None:
    seen = Seen.of(Box(x=(0, 1)), [[0.1], [0.2], [0.3]])
    seen.residuals[:] = math.pi
    assert Maps(cells=2).measure(seen)["map.residuals"][0] == 6.283


@pytest.mark.usefixtures("without_results")
def test_a_run_has_maps_of_its_chosen_steps_and_the_last(
    make_config: Callable[..., Config],
) -> None:
    config = make_config(
        {"name": "helmholtz"},
        optimizers=[{"name": "adam", "steps": 12}],
        analyzers=[{"name": "maps", "cells": 5}],
    )
    run = train(config)
    steps, maps = run.metrics()["map.residuals"]
    assert steps.tolist() == [10, 12]
    assert maps.shape == (2, 5, 5)


# figures


@pytest.mark.parametrize("rows", [0, 1, 2, SHOWN, 9])
@pytest.mark.parametrize("shape", [(3,), (3, 3)])
def test_as_many_pictures_as_there_is_room_for(
    rows: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    for step in range(1, rows + 1):
        values = np.full(shape, float(step))
        values[0] = math.nan
        records.append(step, {"map.residuals": values, "map.weights": values})
    drawings = list(Maps().figures(records))
    assert len(drawings) == (rows > 0)
    for drawing in drawings:
        assert isinstance(drawing, Drawing)
        figure = Figure()
        drawing.draw(figure)
        figure.draw_without_rendering()
        titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
        assert titles == ["|r|", "weights λ"]
        named = [axis.get_ylabel() for axis in figure.axes if "step" in axis.get_ylabel()]
        assert (len(named), named[0], named[-1]) == (min(rows, SHOWN), "step 1", f"step {rows}")


@pytest.mark.parametrize(("y", "alike"), [("y", 1.0), ("t", "auto")])
def test_space_is_drawn_to_one_scale(y: str, alike: Any, tmp_path: Path) -> None:
    """And so is no cell without a point: it is white."""
    records = Records(tmp_path / "metrics.jsonl")
    seen = Seen.of(Box(**{"x": (0, 1), y: (0, 2)}), [[0.1, 0.1]] * 3)
    records.append(1, Maps(cells=2).measure(seen))
    figure = Figure()
    (drawing,) = Maps().figures(records)
    drawing.draw(figure)
    assert figure.axes[0].get_aspect() == alike
    density = figure.axes[1].collections[0].get_array()
    assert density.mask.sum() == 3


def labels(measured: Any, folder: Path) -> list[str]:
    records = Records(folder / "metrics.jsonl")
    records.append(1, measured)
    figure = Figure()
    (drawing,) = Maps().figures(records)
    drawing.draw(figure)
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_density_is_one_on_average(tmp_path: Path) -> None:
    points = [[0.1, 0.9]] * 30 + [[0.9, 0.1]]
    density = Maps(cells=4).measure(Seen.of(Box(x=(0, 1), y=(0, 1)), points))["map.density"]
    assert density.mean() == pytest.approx(1, rel=1e-3)
    assert density[0, 3] == pytest.approx(30 * 16 / 31, rel=1e-3)


@pytest.mark.parametrize("gather", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_shown_differs(gather: bool, weighted: bool, tmp_path: Path) -> None:
    box = Box(x=(0, 1), y=(0, 1))
    evenly = [[x, y] for x in (0.1, 0.3, 0.6, 0.9) for y in (0.1, 0.3, 0.6, 0.9)]
    seen = Seen.of(box, evenly + [[0.1, 0.9]] * 30 * gather)
    if weighted:
        seen.weights[:, :4] = 3.0
    shown = labels(Maps(cells=4).measure(seen), tmp_path)
    expected = ["|r|"] + ["weights λ"] * weighted
    expected += ["density"] * (gather or not weighted)
    assert shown == expected
