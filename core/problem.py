"""What a PDE problem says about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from pinn.core.domain import Box

if TYPE_CHECKING:
    from torch import Tensor

Residual = Callable[[Any], "Tensor | Mapping[str, Tensor]"]


def _faces(on: str | Iterable[str]) -> tuple[str, ...]:
    return (on,) if isinstance(on, str) else tuple(on)


@frozen
class Condition:
    """A residual that must vanish on faces of the domain.

    Args:
        name: how configuration and records call it.
        on: a face such as "t=0", several of them, or a corner "x=0, y=0".
        residual: takes the quantities q, returns a tensor (n,) or {name: tensor (n,)}.
    """

    name: str
    on: tuple[str, ...] = field(converter=_faces)
    residual: Residual


@frozen
class Reference:
    """A solution on a tensor grid.

    Attributes:
        coordinates: {name: 1-D array}, in the order of the domain.
        fields: {name: array on meshgrid(*coordinates, indexing="ij")}.
    """

    coordinates: Mapping[str, NDArray[Any]]
    fields: Mapping[str, NDArray[Any]]

    def points(self) -> NDArray[Any]:
        """The grid points, (n, dimension), in the order of the raveled fields."""
        grids = np.meshgrid(*self.coordinates.values(), indexing="ij")
        return np.stack([grid.ravel() for grid in grids], axis=1)

    def at(self, points: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """The fields at points (n, dimension) of the domain, interpolated linearly: {name: (n,)}."""
        from scipy.interpolate import RegularGridInterpolator

        axes = tuple(self.coordinates.values())
        inside = np.clip(points, [axis[0] for axis in axes], [axis[-1] for axis in axes])
        return {
            name: RegularGridInterpolator(axes, np.asarray(values, float))(inside)
            for name, values in self.fields.items()
        }


class Problem(ABC):
    """A system of PDEs on a box.

    A subclass is an attrs class; its fields are its options. In every method `q` gives quantities by
    name, each of shape (n,): coordinates `q.x`, fields `q.u`, derivatives `q.u_x`, `q.u_xx`; or
    `q.d("u", "theta", "theta")` where a coordinate's name has several letters.
    """

    name: ClassVar[str]
    fields: tuple[str, ...]
    domain: Box
    grid: ClassVar[Mapping[str, int]] = {}
    """Points of the evaluation grid per coordinate, where the default will not do."""

    @abstractmethod
    def equations(self, q: Any) -> Mapping[str, Tensor]:
        """The residual of each equation, by name."""

    def conditions(self) -> Iterable[Condition]:
        """Initial and boundary conditions that the loss enforces."""
        return ()

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        """The fields made from the network's outputs `q.<field>` so that conditions hold exactly."""
        return {name: getattr(q, name) for name in self.fields}

    def observables(self, q: Any) -> Mapping[str, Tensor]:
        """What is compared with the reference; the first is the headline."""
        return {name: getattr(q, name) for name in self.fields}

    def solution(self, q: Any) -> Mapping[str, Tensor] | None:
        """The exact fields at the coordinates of `q`, where known."""
        return None

    def reference(self) -> Reference | None:
        """A numerical solution, where no exact one is known."""
        return None
