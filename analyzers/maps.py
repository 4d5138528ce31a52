"""Residuals and weights over the domain, as pictures of chosen steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.cells import cell_means, cell_numbers
from pinn.core import Analyzer, Drawing, Schedule, at_least, option

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pinn.core import Plot, Records, View

SHOWN = 4
DIGITS = 4
"""A picture needs no more, and the records stay small."""


@frozen
class Maps(Analyzer):
    """|r| and the weights over the domain at chosen steps, averaged in the cells of a grid.

    Over the first two coordinates; the rest is averaged. The quantities are arrays, one value a cell.
    """

    name = "maps"
    schedule = Schedule(
        every=0,
        early_every=0,
        early_steps=0,
        at=(10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000),
    )

    cells: int = option(40, "cells of the grid in each coordinate", at_least(2))

    def measure(self, view: View) -> Mapping[str, Any]:
        domain = view.problem.domain
        plane = min(domain.dimension, 2)
        points = view.points.interior[:, :plane].double().cpu().numpy()
        numbers = cell_numbers(points, domain.lower[:plane], domain.upper[:plane], self.cells)
        return {
            name: self._map(values.double().cpu().numpy(), numbers, plane)
            for name, values in {
                "map.residuals": view.residuals.abs().sum(0),
                "map.weights": view.weights.mean(0),
            }.items()
        }

    def _map(self, values: NDArray[Any], numbers: NDArray[Any], plane: int) -> NDArray[Any]:
        means = cell_means(values, numbers, self.cells**plane)
        return _rounded(means).reshape((self.cells,) * plane)

    def figures(self, records: Records) -> Iterable[Plot]:
        steps, _ = records.series("map.residuals")
        if len(steps):
            yield Drawing(
                name="maps",
                title="Where the residuals and the weights are large",
                draw=lambda figure: _draw(figure, records),
                caption="Means over the cells of a grid; white cells have no point. Colours run from "
                "0 to the largest value of each picture.",
                height=1.45 * min(len(steps), SHOWN) + 0.3,
            )


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _draw(figure: Figure, records: Records) -> None:
    columns = {"map.residuals": "|r|", "map.weights": "weights λ"}
    steps, _ = records.series("map.residuals")
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), SHOWN)).round().astype(int))
    axes = figure.subplots(len(chosen), 2, squeeze=False, sharex=True, sharey=True)
    for column, (name, label) in enumerate(columns.items()):
        _, maps = records.series(name)
        for row, place in enumerate(chosen):
            axis = axes[row, column]
            values = np.atleast_2d(np.asarray(maps[place], float))
            image = axis.pcolormesh(values.T, cmap="viridis", vmin=0, rasterized=True)
            axis.set_xticks([])
            axis.set_yticks([])
            figure.colorbar(image, ax=axis)
            axis.set_title(f"{label}, step {steps[place]:,}")
