"""Boxes with named coordinates, their faces, and points in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from pinn.core.errors import PinnError, one_of

if TYPE_CHECKING:
    from torch import Tensor

Points = NDArray[np.float64]
"""Points of a domain, (n, dimension)."""


@frozen(init=False)
class Box:
    """A product of intervals with named coordinates: `Box(x=(-1, 1), t=(0, 1))`.

    Raises:
        PinnError: no coordinate, or an interval that is empty or not finite.
    """

    intervals: Mapping[str, tuple[float, float]]

    def __init__(self, **intervals: tuple[float, float]) -> None:
        if not intervals:
            raise PinnError("a box needs at least one coordinate, as in Box(x=(0, 1))")
        for name, (low, high) in intervals.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise PinnError(
                    f"Box: {name} = ({low}, {high}) is not a finite interval low < high"
                )
        self.__attrs_init__({n: (float(a), float(b)) for n, (a, b) in intervals.items()})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.intervals)

    @property
    def lower(self) -> tuple[float, ...]:
        return tuple(low for low, _ in self.intervals.values())

    @property
    def upper(self) -> tuple[float, ...]:
        return tuple(high for _, high in self.intervals.values())

    @property
    def dimension(self) -> int:
        return len(self.intervals)

    def face(self, text: str) -> Face:
        """The face that `text` names: "t=0", or an edge or corner "x=0, y=0".

        Raises:
            PinnError: an unknown coordinate, or a value that is not one of its two ends.
        """
        fixed: dict[str, float] = {}
        for part in text.split(","):
            try:
                name, value = part.split("=")
                ends = self.intervals[name.strip()]
                fixed[name.strip()] = next(e for e in ends if math.isclose(e, float(value)))
            except (KeyError, StopIteration, ValueError):
                raise self._no_face(text) from None
        return Face(self, fixed)

    def _no_face(self, text: str) -> PinnError:
        faces = one_of(f"{n}={end:g}" for n, ends in self.intervals.items() for end in ends)
        return PinnError(f"{text!r} is not a face of the domain; its faces are {faces}")


@frozen
class Face:
    """The points of a box at which some coordinates sit at an end of their interval."""

    box: Box
    fixed: Mapping[str, float] = field()

    @property
    def free(self) -> Box | None:
        """The box of the remaining coordinates; None for a corner."""
        rest = {n: ends for n, ends in self.box.intervals.items() if n not in self.fixed}
        return Box(**rest) if rest else None

    def embed(self, points: Points) -> Points:
        """Points of the free box (n, k) as points of the whole box (n, dimension)."""
        columns = iter(points.T)
        return np.stack(
            [
                np.full(len(points), self.fixed[name]) if name in self.fixed else next(columns)
                for name in self.box.names
            ],
            axis=1,
        )


@frozen
class PointSet:
    """Points as tensors (n, dimension): interior, and by the name of each condition.

    Points of measurements have their values as further columns.
    """

    interior: Tensor
    conditions: dict[str, Tensor]
