"""The figures every run ends with: the solution beside its reference, and the history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn.core.problem import Reference
from pinn.core.records import Records

WIDTH = 7.2  # inches: a page of most journals


def draw(
    directory: Path,
    grid: Reference,
    predictions: dict[str, NDArray[Any]],
    records: Records,
    shown: Sequence[str],
) -> None:
    """Write `history.png` and, for two coordinates, `solution.png`.

    Args:
        shown: the quantities of the history, beside the loss.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if len(grid.coordinates) == 2:
        _solution(directory / "solution.png", grid, predictions)
    _history(directory / "history.png", records, shown)


def _solution(path: Path, grid: Reference, predictions: dict[str, NDArray[Any]]) -> None:
    """One row per observable: network, reference, error."""
    from matplotlib.figure import Figure

    (first, across), (second, up) = _time_across(grid)
    figure = Figure(figsize=(WIDTH, 2.1 * len(predictions)), layout="constrained")
    axes = figure.subplots(len(predictions), 3, squeeze=False, sharex=True, sharey=True)
    for row, (name, predicted) in zip(axes, predictions.items(), strict=True):
        reference = grid.fields.get(name)
        shown = [(f"{name}, network", predicted, "viridis")]
        if reference is not None:
            shown += [
                (f"{name}, reference", reference, "viridis"),
                ("network − reference", predicted - reference, "RdBu_r"),
            ]
        low, high = _range(predicted if reference is None else reference)
        for axis, (title, values, colours) in zip(row, shown, strict=False):
            if colours == "RdBu_r":
                high = float(np.max(np.abs(values))) or 1.0
                low = -high
            image = axis.pcolormesh(
                across,
                up,
                _oriented(values, grid, first),
                cmap=colours,
                vmin=low,
                vmax=high,
                rasterized=True,
            )
            axis.set_title(title, fontsize=9)
            figure.colorbar(image, ax=axis)
        for axis in row[len(shown) :]:
            axis.set_axis_off()
        row[0].set_ylabel(second)
    for axis in axes[-1]:
        axis.set_xlabel(first)
    figure.savefig(path, dpi=160)


def _time_across(grid: Reference) -> tuple[tuple[str, Any], tuple[str, Any]]:
    """Time, where there is one, runs from left to right."""
    items = list(grid.coordinates.items())
    return (items[1], items[0]) if items[1][0] == "t" else (items[0], items[1])


def _oriented(values: NDArray[Any], grid: Reference, across: str) -> NDArray[Any]:
    return values if next(iter(grid.coordinates)) != across else values.T


def _range(values: NDArray[Any]) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))


def _history(path: Path, records: Records, shown: Sequence[str]) -> None:
    """The loss and the number that each analyzer shows, over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 2, 2.6), layout="constrained")
    axis = figure.subplots()
    for name, label in {"loss.unweighted": "unweighted loss", **{n: n for n in shown}}.items():
        steps, values = records.series(name)
        axis.loglog(steps, values, label=label, linewidth=1.2)
    axis.set_xlabel("step")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=160)
