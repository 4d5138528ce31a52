"""Odd and even: whether a network has the symmetries of the solution, or others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.recent import lately
from pinn.core import Analyzer, Conclusion, Curves

if TYPE_CHECKING:
    from pinn.core import Plot, Records, View

Array = NDArray[np.float64]

SHARE, OF_REFERENCE = "odd_share", "odd_share.reference"
ALL = "all"
"""The reflection of all coordinates at once, about the middle of the domain."""


def odd_share(values: Array, axes: tuple[int, ...]) -> float:
    """‖(u(x) − u(x*)) / 2‖₂² / ‖u‖₂² for the reflection x* of these axes about their middle.

    0 for an even function, 1 for an odd one; the even share is the rest. NaN of zero.
    """
    largest = float(np.abs(values).max())
    if not largest or not math.isfinite(largest):
        return math.nan
    scaled = values / largest
    return float(np.sum(((scaled - np.flip(scaled, axes)) / 2) ** 2) / np.sum(scaled**2))


def mirrored(coordinate: Array) -> bool:
    """Whether the reflection about the middle maps these grid points onto themselves."""
    return bool(np.allclose(coordinate, (coordinate[0] + coordinate[-1]) - coordinate[::-1]))


@frozen
class Symmetry(Analyzer):
    """Odd share of prediction and reference under reflections about the middle of the domain.

    ‖(u(x) − u(−x)) / 2‖₂² / ‖u‖₂² of the headline observable: of each coordinate whose grid is
    symmetric, and of all at once. A tanh network with zero biases is odd under the reflection of all
    about the origin; where the solution is even, it has to unlearn that first.
    """

    name = "symmetry"

    def measure(self, view: View) -> Mapping[str, Any]:
        reference = view.reference
        if reference is None:
            return {}
        headline = next((n for n in view.prediction if n in reference.fields), None)
        if headline is None:
            return {}
        predicted = np.asarray(view.prediction[headline], float)
        true = np.asarray(reference.fields[headline], float)
        found = {}
        for name, axes in self._reflections(reference.coordinates).items():
            found[f"{SHARE}.{name}"] = odd_share(predicted, axes)
            found[f"{OF_REFERENCE}.{name}"] = odd_share(true, axes)
        return found

    @staticmethod
    def _reflections(coordinates: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {
            n: (i,) for i, (n, axis) in enumerate(coordinates.items()) if mirrored(axis)
        }
        if 1 < len(found) == len(coordinates):
            found[ALL] = tuple(range(len(coordinates)))
        return found

    def figures(self, records: Records) -> Iterable[Plot]:
        shown = {n: n.removeprefix(f"{SHARE}.") for n in records.names if n.startswith(f"{SHARE}.")}
        yield Curves(
            name="symmetry",
            title="Is the network odd or even where the solution is?",
            quantities={
                name: label.replace("reference.", "solution, ") for name, label in shown.items()
            },
            ylabel="odd share",
            caption="Share of ‖u‖² that changes its sign under the reflection of a coordinate about the "
            "middle of the domain: 0 for an even function, 1 for an odd one.",
            log=False,
            limits=(-0.02, 1.02),
        )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        for name in records.names:
            reflection = name.removeprefix(f"{OF_REFERENCE}.")
            true, own = records.last(name), lately(records, f"{SHARE}.{reflection}")
            if (
                reflection != name
                and true is not None
                and own is not None
                and true < 0.1 < 0.9 < own
            ):
                what = "all coordinates" if reflection == ALL else reflection
                yield Conclusion(
                    f"The solution is even under the reflection of {what}, and the network is odd (odd "
                    f"shares {true:.2f} and {own:.2f}).",
                    'biases that break the symmetry: [network] bias = "uniform"',
                    "a tanh network without biases is odd",
                )
