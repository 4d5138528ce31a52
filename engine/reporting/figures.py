"""Figures of every run: the loss, unknowns, and the solution beside its reference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

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


MARKS = 10_000
"""Square points that the marks of scattered points take together, about."""
TIMES, PLACES = (1 / 3, 2 / 3, 1.0), (0.25, 0.5, 0.75)
"""Of an interval: where several planes of three or more coordinates are shown."""


def own_curves(records: Records) -> Iterator[Curves]:
    """What the training itself records."""
    yield loss_curves(records)
    yield from factor_curves(records)
    yield from time_step_curves(records)
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
        "unweighted one compares from step to step, whatever weights and factors do.",
    )


def _labels(records: Records, prefix: str) -> dict[str, str]:
    """The quantities that begin so, and what follows in the name of each."""
    return {name: name.removeprefix(prefix) for name in records.names if name.startswith(prefix)}


def factor_curves(records: Records) -> Iterator[Curves]:
    """What a weighting that balances the terms of the loss multiplied them with."""
    if factors := _labels(records, "factor."):
        yield Curves(
            name="factors",
            title="Factors of the terms of the loss",
            quantities=factors,
            ylabel="factor",
            caption="What the weighting multiplies each term of the loss with, besides fixed factors.",
        )


def time_step_curves(records: Records) -> Iterator[Curves]:
    """How far a step in pseudo-time goes."""
    if steps := _labels(records, "time_step."):
        yield Curves(
            name="time-steps",
            title="Steps in pseudo-time",
            quantities=steps,
            ylabel="τ",
            caption="The residual is r + (w − w before) / τ: the smaller τ, the nearer fields are held "
            "to what they were.",
        )


def unknown_curves(records: Records) -> Iterator[Curves]:
    """What an inverse problem found, and how far off it is where the truth is known."""
    labels = _labels(records, "unknown.")
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
    """One observable on the evaluation grid, or at the points of a scattered reference.

    Attributes:
        coordinates: {name: 1-D array}, in the order of the axes of the arrays; or one number a point.
    """

    name: str
    coordinates: Mapping[str, Array]
    network: Array
    reference: Array | None

    @property
    def is_number(self) -> bool:
        """Whether the network's values are alike everywhere, and so are the reference's."""
        values = [self.network] if self.reference is None else [self.network, self.reference]
        known = [each[~np.isnan(each)] for each in values]
        return all(each.size and each.min() == each.max() for each in known)

    @property
    def scattered(self) -> bool:
        return self.network.ndim < len(self.coordinates)

    @property
    def error(self) -> Array | None:
        return None if self.reference is None else self.network - self.reference

    def at(self, **places: int) -> tuple[Solution, str]:
        """Where some coordinates of a grid, by number, stay the same; and where that is."""
        index = tuple(places.get(name, slice(None)) for name in self.coordinates)
        kept = {name: c for name, c in self.coordinates.items() if name not in places}
        where = ", ".join(f"{n} = {number(self.coordinates[n][i])}" for n, i in places.items())
        reference = None if self.reference is None else self.reference[index]
        return Solution(self.name, kept, self.network[index], reference), where

    def planes(self) -> tuple[list[tuple[Solution, str]], str]:
        """Planes of two coordinates at several times, or places of the last coordinate, in the middle of
        all others; and where that is."""
        times = "t" in self.coordinates
        varied = "t" if times else [*self.coordinates][-1]
        others = [name for name in self.coordinates if name != varied][2:]
        middle, where = self.at(**{name: len(self.coordinates[name]) // 2 for name in others})
        last = len(self.coordinates[varied]) - 1
        shares = TIMES if times else PLACES
        chosen = sorted({round(share * last) for share in shares})
        return [middle.at(**{varied: place}) for place in chosen], where


WIDE, LONG = 3, 10
"""Width by height from which panels stand over each other, and from which they are not to scale."""


def coordinates_of(arrays: Mapping[str, Array]) -> list[str]:
    """The coordinates in `predictions.npz`, which stand first, where no problem says them."""
    names = [*arrays]
    compared = [place for place, name in enumerate(names) if f"{name}_reference" in arrays]
    count = max((values.ndim for values in arrays.values()), default=1)
    return names[: count if count > 1 or not compared else compared[0]]


def solutions(coordinates: list[str], arrays: Mapping[str, Array]) -> list[Solution]:
    """The observables in `predictions.npz`, but for numbers, which are the same everywhere."""
    along = {name: arrays[name] for name in coordinates}
    made = {f"{name}_{kind}" for name in arrays for kind in ("reference", "error")}
    found = [
        Solution(name, along, values, arrays.get(f"{name}_reference"))
        for name, values in arrays.items()
        if name not in along and name not in made
    ]
    return [solution for solution in found if not solution.is_number]


def solution_drawings(found: list[Solution]) -> Iterator[Drawing]:
    """A drawing per observable: network, reference, error. The first is called `solution`."""
    for i, solution in enumerate(found):
        place = ""
        if not solution.scattered:
            single = {n: 0 for n, c in solution.coordinates.items() if len(c) == 1}
            if len(single) < len(solution.coordinates):
                solution, place = solution.at(**single)
        draw, height, alone = _lines, 3.2, 2.2
        caption = "The network on the evaluation grid."
        if solution.reference is not None:
            caption = "Network and reference on the evaluation grid, and their difference."
        if solution.scattered:
            caption = "Network and reference at the points of the reference, and their difference."
        if len(solution.coordinates) > 2:
            if solution.scattered:
                draw, caption = _against, "Each point of the reference; on the line both are alike."
            else:
                several, middle = solution.planes()
                draw, height, alone = partial(_planes, planes=several), 3.2, 1.5
                place = ", ".join(filter(None, [place, middle]))
        elif len(solution.coordinates) == 2:
            ratio = _width_to_height(solution)
            if "t" in solution.coordinates or ratio >= LONG:
                draw, height, alone = _stack, 4.4, 1.9
            elif ratio > WIDE:
                draw, height, alone = _stack, 1.2 + 9 / ratio, 0.7 + 3 / ratio
            else:
                draw, height, alone = _square, 3.9, 2.8
        yield Drawing(
            name=f"solution-{solution.name}" if i else "solution",
            title=f"Solution {solution.name}" + (f" at {place}" if place else ""),
            draw=partial(draw, solution),
            caption=caption,
            height=alone if solution.reference is None else height,
        )


def _lines(solution: Solution, figure: Figure) -> None:
    """One coordinate: curves, and the error below."""
    ((name, places),) = solution.coordinates.items()
    order = np.argsort(places, kind="stable")
    rows = 1 if solution.error is None else 2
    axes = figure.subplots(rows, squeeze=False, sharex=True)[:, 0]
    axes[0].plot(places[order], solution.network[order], label="network")
    axes[0].set_ylabel(solution.name)
    if solution.error is not None and solution.reference is not None:
        mark = "." if len(np.unique(places)) < len(places) else "--"
        axes[0].plot(places[order], solution.reference[order], mark, label="reference")
        figure.legend(loc="outside upper left", ncols=2)
        scaled, unit = _scaled(solution.error)
        axes[1].plot(places[order], scaled[order])
        axes[1].set_ylabel(f"error{unit}")
    axes[-1].set_xlabel(name)


def _stack(solution: Solution, figure: Figure) -> None:
    """Time from left to right, or the longer of two coordinates: wide panels over each other."""
    rows = 1 if solution.error is None else 3
    axes = figure.subplots(rows, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axis in axes:
        axis.set_aspect(_aspect(solution))
    _fill(solution, list(axes), bars=(10, 24))
    axes[-1].set_xlabel("t" if "t" in solution.coordinates else next(iter(solution.coordinates)))


def _square(solution: Solution, figure: Figure) -> None:
    """Two coordinates of space: network and reference beside each other, the error below."""
    if solution.error is None:
        axes = [figure.subplots()]
    else:
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 4)).flat
        axes = [*above.subplots(1, 2, sharey=True).flat, below.subplots()]
    across, _ = solution.coordinates
    for axis in axes:
        axis.set_xlabel(across)
        axis.set_aspect(_aspect(solution))
    _fill(solution, axes, bars=(16, 12))


def _aspect(solution: Solution) -> Literal["equal", "auto"]:
    """As in space, unless one of two coordinates is time, or far longer than the other."""
    in_space = "t" not in solution.coordinates
    return "equal" if in_space and 1 / WIDE < _width_to_height(solution) < LONG else "auto"


def _width_to_height(solution: Solution) -> float:
    across, up = (np.ptp(along) for along in solution.coordinates.values())
    return float(across / up) if up else math.inf


def _planes(solution: Solution, figure: Figure, planes: list[tuple[Solution, str]]) -> None:
    """Several planes beside each other: network, reference and error over each other."""
    named = {"network": np.stack([plane.network for plane, _ in planes])}
    low, high = _range(solution.network if solution.reference is None else solution.reference)
    colours: dict[str, tuple[str, float, float]] = {"network": ("viridis", low, high)}
    if solution.error is not None:
        known: list[Any] = [plane.reference for plane, _ in planes]
        named["reference"] = np.stack(known)
        colours["reference"] = colours["network"]
        scaled, unit = _scaled(named["network"] - named["reference"])
        most = max(map(abs, _range(scaled)))
        named[f"error{unit}"], colours[f"error{unit}"] = scaled, ("RdBu_r", -most, most)
    axes = figure.subplots(len(named), len(planes), squeeze=False, sharex=True, sharey=True)
    for row, (label, values) in zip(axes, named.items(), strict=True):
        for axis, (plane, where), shown in zip(row, planes, values, strict=True):
            image = _image(axis, plane, shown, *colours[label])
            axis.set_aspect(_aspect(plane))
            if label == "network":
                axis.set_title(where)
        figure.colorbar(image, ax=row, aspect=10, label=label)
    across, _ = planes[0][0].coordinates
    for axis in axes[-1]:
        axis.set_xlabel(across)


def _against(solution: Solution, figure: Figure) -> None:
    """Scattered points of three or more coordinates: the network against the reference."""
    axis = figure.subplots()
    if solution.reference is None:
        return
    ends = _range(np.concatenate([solution.network, solution.reference]))
    axis.plot(ends, ends, "--", label="equal")
    axis.plot(solution.reference, solution.network, ".", markersize=3, label="points")
    axis.set_xlabel(f"reference {solution.name}")
    axis.set_ylabel(f"network {solution.name}")


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
    if solution.scattered:
        size = float(np.clip(MARKS / len(values), 1, 25))
        return axis.scatter(
            x, y, size, values, cmap=colours, vmin=low, vmax=high, rasterized=True, linewidths=0
        )
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
