"""A solution that is known beforehand: numbers on a grid, or at scattered points."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from pinn.core.errors import PinnError, one_of
from pinn.core.lazy import torch
from pinn.core.tables import numbers, read_columns

Array = NDArray[np.float64]
Columns = Mapping[str, Array]

CLOSE = 1e-6
"""Of an interval: how far beyond its ends rounding may lead."""
INTERPOLATED = 3
"""Coordinates, at most, in which scattered points are joined to simplices."""


def _raveled(columns: Columns) -> dict[str, Array]:
    return {name: column.ravel() for name, column in columns.items()}


def _arrays(table: Mapping[str, Any]) -> dict[str, Array]:
    return {
        name: numbers(values, f"the reference has {name}, which") for name, values in table.items()
    }


@frozen(eq=False, slots=False)
class Reference:
    """A solution on a tensor grid, or at scattered points; NaN stands for "not known here".

    Which of the two is told by the shapes: fields (n,) beside coordinates that all are (n,) are
    scattered, unless their points fill a grid, which they then become. A grid's coordinates may fall;
    they are put in rising order, and the fields with them. Tensors and lists are taken, too.

    Args:
        coordinates: {name: 1-D array}; in any order, which is that of the axes of the fields.
        fields: {name: array on meshgrid(*coordinates, indexing="ij")}, or (n,) at n points.
        scattered: True: at points, whatever the shapes are.

    Raises:
        PinnError: shapes that fit neither, no numbers, a coordinate twice.
    """

    coordinates: Mapping[str, Array] = field(converter=_arrays)
    fields: Mapping[str, Array] = field(converter=_arrays)
    scattered: bool | None = None

    def __attrs_post_init__(self) -> None:
        if not self.coordinates:
            return
        columns, fields = self.coordinates, self.fields
        shapes = {column.shape for column in columns.values()}
        pointwise = len(shapes) == 1 and shapes >= {values.shape for values in fields.values()}
        scattered = self.scattered
        if scattered and not pointwise:
            found = _shapes({**columns, **fields})
            raise PinnError(
                "the reference has scattered=True, and needs one number a point in every column; found "
                f"{found}"
            )
        if scattered is None and pointwise and fields and len(columns) > 1:
            scattered = True
            columns, fields = _raveled(columns), _raveled(fields)
            if (grid := _as_grid(columns, fields)) is not None:
                scattered, (columns, fields) = False, grid
        columns, fields = (
            (_raveled(columns), _raveled(fields)) if scattered else _rising(columns, fields)
        )
        put = {"coordinates": columns, "fields": fields, "scattered": bool(scattered)}
        for name, value in put.items():
            object.__setattr__(self, name, value)

    @classmethod
    def read(
        cls,
        path: str | Path,
        coordinates: Collection[str],
        fields: Collection[str] | None = None,
    ) -> Reference:
        """The reference in a CSV, Parquet or NPZ file.

        A table has a row a point; that its points fill a grid is seen. An NPZ file has a 1-D array per
        coordinate, and fields on their grid or at their points.

        >>> Reference.read(self.data, self.domain.names)

        Args:
            coordinates: the columns or arrays that are coordinates.
            fields: those that are fields; None: all others.

        Raises:
            PinnError: there is no such file, it lacks something, or holds no numbers.
        """
        wanted = None if fields is None else [*coordinates, *fields]
        found = read_columns(Path(path), wanted)
        if lacking := [name for name in coordinates if name not in found]:
            raise PinnError(f"{path}: has {one_of(found)}; expected the coordinate {lacking[0]!r}")
        along = {name: found.pop(name) for name in coordinates}
        try:
            return cls(along, found)
        except PinnError as error:
            raise PinnError(f"{path}: {error}") from None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each field: the grid's, or (n,)."""
        sizes = tuple(len(along) for along in self.coordinates.values())
        return sizes[:1] if self.scattered else sizes

    def points(self) -> Array:
        """The points, (n, dimension), in the order of the raveled fields."""
        columns = [*self.coordinates.values()]
        if not self.scattered:
            columns = [grid.ravel() for grid in np.meshgrid(*columns, indexing="ij")]
        return np.stack(columns, axis=1)

    def at(self, points: NDArray[Any]) -> dict[str, Array]:
        """The fields at points (n, dimension), interpolated linearly: {name: (n,)}.

        NaN where they are not known: beside a NaN, and outside of what the reference covers. Up to one
        step beyond the end of a grid, such as that of a period, they are as at its end.

        Raises:
            PinnError: the reference is at scattered points of more than three coordinates.
        """
        points = np.asarray(points, np.float64)
        return {name: np.asarray(find(points)) for name, find in self._interpolants.items()}

    @cached_property
    def _interpolants(self) -> dict[str, Any]:
        if not self.scattered:
            axes = [*self.coordinates.values()]
            return {name: _OnGrid(axes, values) for name, values in self.fields.items()}
        if len(self.coordinates) > INTERPOLATED:
            raise PinnError(
                f"the reference is at scattered points of {len(self.coordinates)} coordinates, and "
                f"nothing is interpolated between those in more than {INTERPOLATED}: give it on a grid"
            )
        places = self.points()
        return {name: _between(places, values) for name, values in self.fields.items()}


class Table:
    """A function that is known by its values on a grid: a spline through them, as at its ends beyond.

    >>> heat = Table({"t": hours}, watts)
    >>> {"heat": q.u_t - q.u_xx - heat(q)}

    Args:
        coordinates: {name: 1-D array}; what q calls so, which may be a field: k(T) of a material.
        values: on meshgrid(*coordinates, indexing="ij").
        degree: of the polynomials: 3 is smooth enough for second derivatives, 1 has no waves at jumps.
    """

    def __init__(self, coordinates: Mapping[str, Any], values: Any, degree: int = 3) -> None:
        from scipy.interpolate import make_interp_spline

        try:
            grid = Reference(coordinates, {"values": values}, scattered=False)
        except PinnError as error:
            raise PinnError(str(error).replace("the reference has", "the table has", 1)) from None
        found, self.knots = grid.fields["values"], {}
        if not np.isfinite(found).all():
            raise PinnError("the table has values that are not finite: fill them in beforehand")
        for axis, (name, along) in enumerate(grid.coordinates.items()):
            spline = make_interp_spline(along, found, min(degree, len(along) - 1), axis=axis)
            found, self.knots[name] = (
                np.moveaxis(spline.c, 0, axis),
                (torch.tensor(spline.t), spline.k),
            )
        self.weights = torch.tensor(found)

    def __call__(self, q: Any) -> Any:
        """Its values at the points of q, (n,)."""
        return q.interpolated(self)


class _OnGrid:
    """Linear interpolation on a grid: callable with points (n, dimension)."""

    def __init__(self, axes: list[Array], values: Array) -> None:
        from scipy.interpolate import RegularGridInterpolator

        self.axes = axes
        self.kept = [place for place, axis in enumerate(axes) if len(axis) > 1]
        kept = [axes[place] for place in self.kept]
        self.inner: Any = lambda points: np.full(len(points), values.item())
        if kept:
            self.inner = RegularGridInterpolator(kept, values.reshape([*map(len, kept)]))

    def __call__(self, points: Array) -> Array:
        inside, within = np.ones(len(points), bool), points.copy()
        for place, axis in enumerate(self.axes):
            low, high = axis[0], axis[-1]
            rounding = CLOSE * max(abs(low), abs(high), high - low)
            before, after = (rounding, rounding) if low == high else np.diff(axis)[[0, -1]]
            column = points[:, place]
            inside &= (column >= low - before - rounding) & (column <= high + after + rounding)
            within[:, place] = column.clip(low, high)
        return np.where(inside, self.inner(within[:, self.kept]), np.nan)


def _between(places: Array, values: Array) -> Callable[[Array], Array]:
    """Linear interpolation between scattered places (n, dimension), at most three coordinates."""
    known = np.isfinite(values)
    places, values = places[known], values[known]
    if places.shape[1] == 1:
        along, where = np.unique(places[:, 0], return_inverse=True)
        means = np.bincount(where, values) / np.bincount(where)
        return lambda points: np.interp(points[:, 0], along, means, np.nan, np.nan)
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    try:
        found: Callable[[Array], Array] = LinearNDInterpolator(places, values, rescale=True)
    except (QhullError, ValueError):  # too few, or all on one line: nothing lies between them
        return lambda points: np.full(len(points), np.nan)
    return found


def _as_grid(columns: Columns, fields: Columns) -> tuple[Columns, Columns] | None:
    """Coordinates and fields of the grid that scattered points fill; None where they fill none."""
    axes, places = {}, []
    for name, column in columns.items():
        axes[name], where = np.unique(column, return_inverse=True)
        places.append(where)
    shape = tuple(map(len, axes.values()))
    count = len(places[0])
    if math.prod(shape) != count or min(shape) < 2:
        return None
    order = np.ravel_multi_index(places, shape)
    if len(np.unique(order)) < count:
        return None
    back = np.argsort(order)
    return axes, {name: values[back].reshape(shape) for name, values in fields.items()}


def _rising(columns: Columns, fields: Columns) -> tuple[Columns, Columns]:
    """A grid whose coordinates rise.

    Raises:
        PinnError: it is none.
    """
    rising = {}
    if any(along.ndim != 1 or not along.size for along in columns.values()):
        raise PinnError(
            f"the reference has coordinates of shapes {_shapes(columns)}; expected 1-D arrays, of a "
            "grid or of points"
        )
    shape = tuple(map(len, columns.values()))
    for name, values in fields.items():
        if values.shape != shape:
            raise PinnError(
                f"the reference has {name} of shape {values.shape}, and its coordinates "
                f'{", ".join(columns)} make {shape}: write it on np.meshgrid(…, indexing="ij"), or '
                "give every column one number a point"
            )
    for axis, (name, along) in enumerate(columns.items()):
        order = np.argsort(along, kind="stable")
        rising[name] = along[order]
        if not (np.diff(rising[name]) > 0).all():
            raise PinnError(
                f"the reference has a value of {name} twice, or one that is no number: a grid has each "
                "once; where several are known at one point, pass scattered=True"
            )
        fields = {field: np.take(values, order, axis) for field, values in fields.items()}
    return rising, fields


def _shapes(columns: Columns) -> str:
    return ", ".join(f"{name} {column.shape}" for name, column in columns.items())
