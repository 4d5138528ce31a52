"""Residuals and weights over the domain, as pictures of chosen steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.grid_cells import cell_means, cell_numbers
from pinn.core import Analyzer, Drawing, Schedule, between, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from pinn.core import Plot, Records, View

RANGE = "map.range."
SHOWN = 4
PER_CELL, MOST = 4, 40
"""Points in a cell on average: few cells are empty then; cells in each coordinate."""
GATHERED = 5.0
"""Times the mean density: at four points a cell, chance alone makes hardly a cell of twenty."""
LONG = 3.0
"""Sides of a domain in space that are less unequal are drawn to one scale."""
DIGITS = 4
"""A picture needs no more, and the records stay small."""


@frozen
class Maps(Analyzer):
    """|r| and the weights over the domain at chosen steps, averaged in the cells of a grid.

    Beside them stands the density of the points. Over the first two coordinates; the rest is averaged.
    The quantities are arrays, one value a cell.
    """

    name = "maps"
    schedule = Schedule(
        every=0,
        early_every=0,
        early_steps=0,
        at=(10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000),
    )

    cells: int = option(
        0,
        "cells of the grid in each coordinate; 0: as many as hold 4 points, up to 40",
        between(0, 1000),
    )

    def measure(self, view: View) -> Mapping[str, Any]:
        domain = view.problem.domain
        plane = min(domain.dimension, 2)
        points = view.points.interior[:, :plane].double().cpu().numpy()
        cells = self.cells or max(min(MOST, int((len(points) / PER_CELL) ** (1 / plane))), 1)
        numbers = cell_numbers(points, domain.lower[:plane], domain.upper[:plane], cells)
        shape = (cells,) * plane

        def map_of(values: Tensor) -> NDArray[Any]:
            means = cell_means(values.double().cpu().numpy(), numbers, cells**plane)
            return _rounded(means).reshape(shape)

        return {
            "map.residuals": map_of(view.residuals.abs().sum(0)),
            "map.weights": map_of(view.weights.mean(0)),
            "map.density": _rounded(_density(numbers, cells**plane)).reshape(shape),
            **{f"{RANGE}{name}": domain.intervals[name] for name in domain.names[:plane]},
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        steps, _ = records.series("map.residuals")
        if len(steps):
            yield Drawing(
                name="maps",
                title="Where residuals and weights are large",
                draw=lambda figure: _draw(figure, records),
                caption="Means over the cells of a grid; white cells have no point. Colours run from "
                "0 to the largest value of each picture. Weights are shown where they differ; the "
                "density of points, 1 if they were spread evenly, where it does, or in their place.",
                height=1.45 * min(len(steps), SHOWN) + 0.3,
            )


def _density(numbers: NDArray[np.int64], cells: int) -> NDArray[np.float64]:
    """Points in each cell over those that it would have if all had the same."""
    return np.bincount(numbers, minlength=cells) * cells / len(numbers)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _draw(figure: Figure, records: Records) -> None:
    columns, weighted = {"map.residuals": "|r|"}, _weighted(records)
    if weighted:
        columns["map.weights"] = "weights λ"
    if not weighted or _gather(records):
        columns["map.density"] = "density"
    steps, _ = records.series("map.residuals")
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), SHOWN)).round().astype(int))
    first, second = _coordinates(records)
    time_across = second[0] == "t"
    (across, horizontal), (up, vertical) = (second, first) if time_across else (first, second)
    in_space = up and "t" not in (across, up)
    alike = in_space and 1 / LONG < np.ptp(horizontal) / np.ptp(vertical) < LONG
    axes = figure.subplots(len(chosen), len(columns), squeeze=False, sharex=True, sharey=True)
    for column, (name, label) in enumerate(columns.items()):
        _, maps = records.series(name)
        for row, place in enumerate(chosen):
            values = np.array(maps[place], dtype=float, ndmin=2)
            values = values if time_across or np.ndim(maps[place]) == 1 else values.T
            if name == "map.density":
                values[values == 0] = np.nan
            rows, cells = values.shape
            edges = np.linspace(*horizontal, cells + 1), np.linspace(*vertical, rows + 1)
            axis = axes[row, column]
            image = axis.pcolormesh(*edges, values, cmap="viridis", vmin=0, rasterized=True)
            axis.set_aspect("equal" if alike else "auto")
            figure.colorbar(image, ax=axis)
        axes[0, column].set_title(label)
        axes[-1, column].set_xlabel(across)
    for row, place in enumerate(chosen):
        axes[row, 0].set_ylabel(f"step {steps[place]:,}\n{up}".rstrip())


def _weighted(records: Records) -> bool:
    """Whether the weights of points differ; so it is taken where nothing else was recorded."""
    if "map.density" not in records:
        return True
    _, maps = records.series("map.weights")
    values = [np.array(each, dtype=float) for each in maps]
    return any(np.nanmax(each) > np.nanmin(each) for each in values)


def _gather(records: Records) -> bool:
    """Whether points are much denser somewhere than they would be by chance."""
    _, maps = records.series("map.density")
    return any(np.max(each) > GATHERED for each in maps)


def _coordinates(records: Records) -> list[tuple[str, tuple[float, float]]]:
    """Name and range of the two coordinates; a nameless one in place of what is not there."""
    row = next(row for row in reversed(records.rows) if "map.residuals" in row)
    named = {name.removeprefix(RANGE): row[name] for name in row if name.startswith(RANGE)}
    nameless = ("", (0.0, 1.0))
    return [*((name, (low, high)) for name, (low, high) in named.items()), nameless, nameless][:2]
