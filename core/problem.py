"""What a PDE problem says about itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import field, frozen
from attrs.converters import optional
from numpy.typing import NDArray

from pinn.core.domain import Points, Shape
from pinn.core.errors import PinnError, one_of
from pinn.core.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

Residual = Callable[[Any], "Tensor | Mapping[str, Tensor]"]


def _columns(table: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    return {name: np.asarray(column, np.float64).ravel() for name, column in table.items()}


def _faces(on: str | Iterable[str]) -> tuple[str, ...]:
    return (on,) if isinstance(on, str) else tuple(on)


@frozen(eq=False)
class Condition:
    """A residual that must vanish on a part of the domain.

    Args:
        name: how configuration and records call it.
        on: a face such as "t=0", several of them, an edge or corner "x=0, y=0", a coordinate's value
            inside, "x=0.5", or a named part of a shape's boundary, "hole" or "boundary" for all of it.
        residual: takes the quantities q, returns a tensor (n,) or {name: tensor (n,)}. On faces and
            boundaries q knows the outward unit normal, `q.n_x`, and the slope along it, `q.d_n("u")`.
        at: instead of `on`, the points: {coordinate: numbers (n,)}; the normals there, where the
            residual asks for them, as "n_x", ….
    """

    name: str
    on: tuple[str, ...] = field(default=(), converter=_faces)
    residual: Residual = field(kw_only=False, default=None)  # type: ignore[assignment]
    at: Mapping[str, NDArray[np.float64]] | None = field(
        default=None, converter=optional(_columns), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        if self.residual is None:
            raise PinnError(f"condition {self.name!r} has no residual")

    def given(self, domain: Shape) -> tuple[Points, Points]:
        """The points of `at`, (n, dimension), and the normals there, NaN where none are given.

        Raises:
            PinnError: coordinates or lengths that do not fit, a point outside of the domain.
        """
        at = dict(self.at or {})
        normals = {f"n_{name}": at.pop(f"n_{name}", None) for name in domain.names}
        known = {name: column for name, column in normals.items() if column is not None}
        if known and len(known) < len(normals):
            raise PinnError(f"condition {self.name!r}: a normal needs {one_of(normals)}")
        found = _placed(f"condition {self.name!r}", at, known, domain)
        points, beside = np.split(found, [domain.dimension], axis=1)
        return points, beside if known else np.full_like(points, np.nan)


@frozen(eq=False)
class Measurements:
    """Values known at points of the domain: data that the loss holds the fields to.

    The residual is quantity − value at each point.

    Args:
        name: how configuration and records call it.
        at: {coordinate: numbers (n,)}, every coordinate of the domain.
        values: {quantity: numbers (n,)}; a quantity as `q` names it, so that slopes can be data: "u_x".
    """

    name: str
    at: Mapping[str, NDArray[np.float64]] = field(converter=_columns)
    values: Mapping[str, NDArray[np.float64]] = field(converter=_columns)

    def residual(self, q: Any) -> Mapping[str, Tensor]:
        """The quantities of which the values are subtracted."""
        return {name: getattr(q, name) for name in self.values}

    def table(self, domain: Shape) -> NDArray[np.float64]:
        """One row a point: its coordinates, then its values.

        Raises:
            PinnError: coordinates or lengths that do not fit, a number that is not finite, a point
                outside of the domain.
        """
        what = f"measurements {self.name!r}"
        if not self.values:
            raise PinnError(f"{what} have no values, as in values={{'u': …}}")
        return _placed(what, self.at, self.values, domain)


def _placed(
    what: str,
    at: Mapping[str, NDArray[np.float64]],
    further: Mapping[str, NDArray[np.float64]],
    domain: Shape,
) -> NDArray[np.float64]:
    """One row a point: its coordinates, then further columns."""
    if set(at) != set(domain.names):
        raise PinnError(f"{what}: at {one_of(at)}; the coordinates are {one_of(domain.names)}")
    columns = {**{n: at[n] for n in domain.names}, **further}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise PinnError(f"{what}: every column needs as many numbers, at least one; found {found}")
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise PinnError(f"{what}: {name} has numbers that are not finite")
    for name, (low, high) in domain.intervals.items():
        outside = (at[name] < low) | (at[name] > high)
        if outside.any():
            first = at[name][outside][0]
            raise PinnError(
                f"{what}: {name} = {first:g} is outside of the domain [{low:g}, {high:g}]"
            )
    return np.stack(list(columns.values()), axis=1)


@frozen
class Unknown:
    """A number in the equations that training finds, read there as `q.<name>`.

    Args:
        start: its value before training.
        positive: it is trained as its logarithm, so that it stays above 0 whatever its size.
        true: its value, where a test problem knows it; recorded is how far training is off.
    """

    start: float
    positive: bool = False
    true: float | None = None

    def __attrs_post_init__(self) -> None:
        if not math.isfinite(self.start) or (self.positive and self.start <= 0):
            raise PinnError(
                f"Unknown(start={self.start!r}): expected a finite number"
                + (" above 0, as it is positive" if self.positive else "")
            )


class Problem(ABC):
    """A system of PDEs on a box or another shape.

    A subclass is an attrs class; its fields are its options. In every method `q` gives quantities by
    name, each of shape (n,): coordinates `q.x`, fields `q.u`, derivatives `q.u_x`, `q.u_xx`; or
    `q.d("u", "theta", "theta")` where a coordinate's name has several letters.
    """

    name: ClassVar[str]
    """How a configuration calls it."""
    fields: tuple[str, ...]
    """Names of the unknown functions."""
    domain: Shape
    """What they are functions of."""
    grid: ClassVar[Mapping[str, int]] = {}
    """Points of the evaluation grid per coordinate, where the default will not do."""

    @abstractmethod
    def equations(self, q: Any) -> Mapping[str, Tensor]:
        """The residual of each equation, by name."""

    def conditions(self) -> Iterable[Condition | Measurements]:
        """Initial and boundary conditions and data that the loss enforces."""
        return ()

    def unknowns(self) -> Mapping[str, Unknown]:
        """Numbers in the equations that training finds, by name: `q.<name>`."""
        return {}

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
