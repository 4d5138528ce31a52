"""Figures of every run: the loss, unknowns, and the solution beside its reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core.plots import Curves, Drawing
from pinn.core.records import Records
from pinn.engine.reporting.theme import number, power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]


def own_curves(records: Records) -> Iterator[Curves]:
    """What the training itself records."""
    yield loss_curves(records)
    yield from unknown_curves(records)


def loss_curves(records: Records) -> Curves:
    """The loss without its weights, with them, and term by term."""
    terms = [n for n in records.names if n.startswith("loss.") and n != "loss.unweighted"]
    return Curves(
        name="loss",
        title="Loss",
        quantities={
            "loss.unweighted": "unweighted",
            "loss": "weighted",
            **{name: name.removeprefix("loss.") for name in terms if len(terms) > 1},
        },
        ylabel="loss",
        caption="Mean squares. The optimizer lowers the weighted loss, the sum of its terms; the "
        "unweighted one compares from step to step, whatever the weights do.",
    )


def unknown_curves(records: Records) -> Iterator[Curves]:
    """What an inverse problem found, and how far off it is where the truth is known."""
    labels = {n: n.removeprefix("unknown.") for n in records.names if n.startswith("unknown.")}
    errors = {
        n: label.removesuffix(".error") for n, label in labels.items() if label.endswith(".error")
    }
    values = {n: label for n, label in labels.items() if n not in errors}
    for quantity, label in values.items():
        yield Curves(
            name=f"unknown-{label.replace('_', '-')}",
            title=f"Unknown {label}",
            quantities={quantity: label},
            ylabel=label,
            caption="A number in the equations that is found together with the solution.",
            log=False,
        )
    if errors:
        yield Curves(
            name="unknown-errors",
            title="Error of the unknowns",
            quantities=errors,
            ylabel="relative error",
            caption="|found − true| / |true|.",
        )


@frozen(eq=False)
class Solution:
    """One observable on the evaluation grid.

    Attributes:
        coordinates: {name: 1-D array}, in the order of the axes of the arrays.
    """

    name: str
    coordinates: Mapping[str, Array]
    network: Array
    reference: Array | None

    @property
    def error(self) -> Array | None:
        return None if self.reference is None else self.network - self.reference

    def slice(self) -> tuple[Solution, str]:
        """The plane of the first two coordinates in the middle of the others, and where it lies."""
        kept = list(self.coordinates)[:2]
        others = {n: c for n, c in self.coordinates.items() if n not in kept}
        middles = {name: len(c) // 2 for name, c in others.items()}
        index: Any = (..., *middles.values())
        place = ", ".join(f"{n} = {number(others[n][i])}" for n, i in middles.items())
        reference = None if self.reference is None else self.reference[index]
        plane = {name: self.coordinates[name] for name in kept}
        return Solution(self.name, plane, self.network[index], reference), place


def solutions(coordinates: list[str], arrays: Mapping[str, Array]) -> list[Solution]:
    """The observables in `predictions.npz`."""
    along = {name: arrays[name] for name in coordinates}
    made = {f"{name}_{kind}" for name in arrays for kind in ("reference", "error")}
    return [
        Solution(name, along, values, arrays.get(f"{name}_reference"))
        for name, values in arrays.items()
        if name not in along and name not in made
    ]


def solution_drawings(found: list[Solution]) -> Iterator[Drawing]:
    """A drawing per observable: network, reference, error. The first is called `solution`."""
    for i, solution in enumerate(found):
        plane, place = solution.slice() if len(solution.coordinates) > 2 else (solution, "")
        draw, height, alone = _lines, 3.2, 2.2
        if len(plane.coordinates) == 2:
            draw, height, alone = (
                (_stack, 4.4, 1.9) if "t" in plane.coordinates else (_square, 3.9, 2.8)
            )
        caption = "The network on the evaluation grid."
        if solution.reference is not None:
            caption = "Network and reference on the evaluation grid, and their difference."
        yield Drawing(
            name=f"solution-{solution.name}" if i else "solution",
            title=f"Solution {solution.name}" + (f" at {place}" if place else ""),
            draw=partial(draw, plane),
            caption=caption,
            height=alone if solution.reference is None else height,
        )


def _lines(solution: Solution, figure: Figure) -> None:
    """One coordinate: curves, and the error below."""
    ((name, places),) = solution.coordinates.items()
    rows = 1 if solution.error is None else 2
    axes = figure.subplots(rows, squeeze=False, sharex=True)[:, 0]
    axes[0].plot(places, solution.network, label="network")
    axes[0].set_ylabel(solution.name)
    if solution.error is not None:
        axes[0].plot(places, solution.reference, "--", label="reference")
        figure.legend(loc="outside upper left", ncols=2)
        scaled, unit = _scaled(solution.error)
        axes[1].plot(places, scaled)
        axes[1].set_ylabel(f"error{unit}")
    axes[-1].set_xlabel(name)


def _stack(solution: Solution, figure: Figure) -> None:
    """Time from left to right, and a coordinate: wide panels over each other."""
    rows = 1 if solution.error is None else 3
    axes = figure.subplots(rows, squeeze=False, sharex=True, sharey=True)[:, 0]
    _fill(solution, list(axes), bars=(10, 24))
    axes[-1].set_xlabel("t")


def _square(solution: Solution, figure: Figure) -> None:
    """Two coordinates of space: network and reference beside each other, the error below."""
    if solution.error is None:
        axes = [figure.subplots()]
    else:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 4)).flat
        axes = [*above.subplots(1, 2, sharey=True).flat, below.subplots()]
    across, up = solution.coordinates
    alike = 1 / 3 < np.ptp(solution.coordinates[across]) / np.ptp(solution.coordinates[up]) < 3
    for axis in axes:
        axis.set_xlabel(across)
        axis.set_aspect("equal" if alike else "auto")
    _fill(solution, axes, bars=(16, 12))


def _fill(solution: Solution, axes: list[Axes], bars: tuple[float, float]) -> None:
    """Network, reference and error in one or three axes; `bars` are the slendernesses of the colour
    bars of one axes and of two."""
    low, high = _range(solution.network if solution.reference is None else solution.reference)
    axes[0].set_title("network")
    image = _image(axes[0], solution, solution.network, "viridis", low, high)
    if solution.reference is None or solution.error is None:
        axes[0].figure.colorbar(image, ax=axes[0], aspect=bars[0])
        return
    axes[1].set_title("reference")
    _image(axes[1], solution, solution.reference, "viridis", low, high)
    axes[1].figure.colorbar(image, ax=axes[:2], aspect=bars[1])
    scaled, unit = _scaled(solution.error)
    most = max(map(abs, _range(scaled)))
    axes[2].set_title(f"network − reference{unit}")
    error = _image(axes[2], solution, scaled, "RdBu_r", -most, most)
    axes[2].figure.colorbar(error, ax=axes[2], aspect=bars[0])


def _image(
    axis: Axes, solution: Solution, values: Array, colours: str, low: float, high: float
) -> Any:
    """Time, where there is one, runs from left to right."""
    (across, x), (up, y) = solution.coordinates.items()
    if up == "t":
        across, x, up, y = up, y, across, x
    else:
        values = values.T
    if axis.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axis.set_ylabel(up)
    return axis.pcolormesh(x, y, values, cmap=colours, vmin=low, vmax=high, rasterized=True)


def _range(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        middle = float(finite[0]) if finite.size else 0.0
        return middle - 1, middle + 1
    return float(finite.min()), float(finite.max())


def _scaled(values: Array) -> tuple[Array, str]:
    """Values between 0.1 and 1,000, and the power of ten that they are in, as text."""
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max()) if finite.size else 0.0
    power = math.floor(math.log10(most)) if most > 0 else 0
    if -2 < power < 3:
        return values, ""
    return values / 10.0**power, f", in {power_of_ten(power)}"
