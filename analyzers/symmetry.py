"""Whether the network is odd where the solution is even."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.recent import lately
from pinn.core import Analyzer, Conclusion, Curves, Unavailable

if TYPE_CHECKING:
    from pinn.core import Plot, Records, Reference, Shape, View

Array = NDArray[np.float64]

PREFIX = "odd_share."
REFERENCE = "reference."
ALL = "all"
"""The reflection of all coordinates at once: through the middle of the domain."""
EVEN = 0.1
"""An odd share below which a function counts as even, and one minus it as odd."""
EXACTLY = 1e-11
"""The same of a function that is so but for rounding, single precision included."""


def odd_share(values: Array, axes: tuple[int, ...]) -> float:
    """‖(u(x) − u(x*)) / 2‖₂² / ‖u‖₂² of values on a grid; x* is x with these axes reversed.

    0 for an even function, 1 for an odd one; odd and even share add up to 1. Points where u is NaN, or
    is so at x*, are left out. NaN where u is zero or not finite.
    """
    mirror = np.flip(values, axes)
    known = ~np.isnan(values) & ~np.isnan(mirror)
    largest = float(np.abs(values[known]).max(initial=0.0))
    if not 0 < largest < math.inf:
        return math.nan
    scaled, mirror = values[known] / largest, mirror[known] / largest
    return float((((scaled - mirror) / 2) ** 2).sum() / (scaled**2).sum())


def mirrored(coordinate: Array, ends: tuple[float, float]) -> slice | None:
    """The part of a coordinate's grid that reflection about the middle of its interval maps to itself.

    All of it, or all but its first or last point: the grid of a period leaves out one end. None: there
    is no such part of two points or more.
    """
    low, high = ends
    for part in (slice(None), slice(1, None), slice(None, -1)):
        kept = coordinate[part]
        if len(kept) > 1 and np.allclose(kept, low + high - kept[::-1], 0, 1e-6 * (high - low)):
            return part
    return None


@frozen
class Symmetry(Analyzer):
    """Odd share of the prediction and of the reference under reflections about the middle of the domain.

    ‖(u(x) − u(x*)) / 2‖₂² / ‖u‖₂² of the headline observable on the evaluation grid, for the reflection
    of each coordinate that maps the grid to itself, and of all of them: 0 if even, 1 if odd.

    A tanh network without biases is odd about the origin, with `normalise` about the middle of the
    domain: where these are the same, its odd share under the reflection of all is 1, whatever its
    weights. x² cos πx is even in x, and sin a₁πx sin a₂πy, odd in either coordinate, is even under the
    reflection of both.
    """

    name = "symmetry"

    def measure(self, view: View) -> Mapping[str, Any]:
        reference = view.reference
        if reference is None:
            return {}
        if reference.scattered:
            raise Unavailable(
                "needs the reference on a grid that reflections map to itself; this one is at scattered "
                "points"
            )
        headline = next((name for name in view.prediction if name in reference.fields), None)
        if headline is None:
            return {}
        own, true = (
            np.asarray(fields[headline], float) for fields in (view.prediction, reference.fields)
        )
        found = {}
        for name, (axes, part) in _reflections(reference, view.problem.domain).items():
            found[f"{PREFIX}{name}"] = odd_share(own[part], axes)
            found[f"{PREFIX}{REFERENCE}{name}"] = odd_share(true[part], axes)
        return found

    def figures(self, records: Records) -> Iterable[Plot]:
        known = [n for n in records.names if n.startswith(PREFIX + REFERENCE)]
        names = [n.removeprefix(PREFIX + REFERENCE) for n in known]
        if not names:
            return
        yield Curves(
            name="symmetry",
            title="Is the network odd where the solution is even?",
            quantities={
                **{f"{PREFIX}{name}": f"network, {name}" for name in names},
                **{f"{PREFIX}{REFERENCE}{name}": f"solution, {name}" for name in names},
            },
            ylabel="odd share",
            caption="‖(u(x) − u(x*)) / 2‖² / ‖u‖², x* the reflection of a coordinate, or of all, about "
            "the middle of the domain: 0 for an even function, 1 for an odd one. A tanh network without "
            "biases is odd about the origin, under the reflection of all.",
            log=False,
            limits=(-0.02, 1.02),
        )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        for name in (n for n in records.names if n.startswith(PREFIX + REFERENCE)):
            reflection = name.removeprefix(PREFIX + REFERENCE)
            true, own = records.last(name), lately(records, f"{PREFIX}{reflection}")
            if true is None or own is None:
                continue
            what = "all coordinates" if reflection == ALL else reflection
            if reflection != ALL and (nearly := _nearly(true, own)):
                parity, other, share = nearly
                yield Conclusion(
                    f"The solution is {parity} in {what}, and the network is so only nearly: the "
                    f"{other} part is {share:.1g} of its size.",
                    "a network that is so exactly ([network] odd, even), where `pinn check` says that "
                    "the problem allows it",
                    "a group average keeps no error of the other parity",
                )
            if true < EVEN and own > 1 - EVEN:
                yield Conclusion(
                    f"The solution is even under the reflection of {what}, and the network is odd (odd "
                    f"shares {true:.2f} and {own:.2f}).",
                    'biases that break the symmetry: [network] bias = "uniform"',
                    "a tanh network without biases is odd",
                )


def _nearly(true: float, own: float) -> tuple[str, str, float] | None:
    """The solution's parity, the other one, and ‖the network's part of that‖ / ‖the network‖.

    None where the solution has no parity, or the network has the same one exactly, or not even nearly.
    """
    for parity, other, true_share, share in (
        ("even", "odd", true, own),
        ("odd", "even", 1 - true, 1 - own),
    ):
        if true_share < EXACTLY < share < EVEN:
            return parity, other, math.sqrt(share)
    return None


def _reflections(
    grid: Reference, domain: Shape
) -> dict[str, tuple[tuple[int, ...], tuple[slice, ...]]]:
    """{coordinate or "all": the axes to reverse, the part of the grid to take}."""
    everything = [slice(None)] * len(grid.coordinates)
    parts = {}
    for axis, (name, coordinate) in enumerate(grid.coordinates.items()):
        part = mirrored(np.asarray(coordinate, float), domain.intervals[name])
        if part is not None:
            parts[name] = axis, part
    found: dict[str, tuple[tuple[int, ...], tuple[slice, ...]]] = {}
    for name, (axis, part) in parts.items():
        found[name] = (axis,), (*everything[:axis], part, *everything[axis + 1 :])
    if 1 < len(parts) == len(everything):
        found[ALL] = tuple(range(len(parts))), tuple(part for _, part in parts.values())
    return found
