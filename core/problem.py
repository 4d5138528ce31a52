"""What a PDE problem says about itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from attrs import field, frozen
from attrs.converters import optional
from numpy.typing import NDArray

from pinn.core.domain import IN_SINGLE_PRECISION, Points, Shape
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.reference import Reference
from pinn.core.tables import numbers, read_columns

if TYPE_CHECKING:
    from torch import Tensor

Residual = Callable[[Any], "Tensor | Mapping[str, Tensor]"]


def _columns(table: Mapping[str, Any] | None) -> dict[str, NDArray[np.float64]]:
    found = {n: numbers(c, f"the column {n} of measurements") for n, c in (table or {}).items()}
    return {name: column.ravel() if column.ndim else column for name, column in found.items()}


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

    def __attrs_post_init__(self) -> None:
        if not callable(self.residual):
            raise PinnError(
                f"condition {self.name!r}: its residual is {self.residual!r}, no function of q; "
                "write residual=lambda q: q.u - 1.0"
            )


@frozen(eq=False)
class Measurements:
    """Values known at points of the domain: data that the loss holds the fields to.

    The residual is (quantity − value) / σ at each point; σ = 1 where no deviations are given. A number
    stands for a column that is the same at all points.

    >>> Measurements("probe", {"x": 0.5, "t": t}, {"u": u}, deviations={"u": 0.05})
    >>> Measurements("share", {"t": t}, {"c": c}, of=lambda q: q.d1 / (q.d1 + q.d2))

    Args:
        name: how configuration and records call it.
        at: {coordinate: numbers (n,)}, every coordinate of the domain.
        values: {quantity: numbers (n,)}; a quantity as `q` names it, so that slopes can be data, "u_x",
            or an observable of the problem; any name where `of` says what was measured.
        of: takes q, returns {quantity: tensor (n,)}, or the tensor of the only one.
        deviations: {quantity: standard deviation of its values}, above 0, in the quantity's units.
    """

    name: str
    at: Mapping[str, NDArray[np.float64]] = field(converter=_columns)
    values: Mapping[str, NDArray[np.float64]] = field(converter=_columns)
    of: Residual | None = None
    deviations: Mapping[str, NDArray[np.float64]] = field(default=None, converter=_columns)

    @classmethod
    def read(
        cls,
        name: str,
        path: str | Path,
        at: Iterable[str] | Mapping[str, Any],
        values: Iterable[str] | Mapping[str, str],
        of: Residual | None = None,
        deviations: Mapping[str, Any] | None = None,
    ) -> Measurements:
        """Measurements from the columns of a CSV or Parquet file, or the arrays of an NPZ file.

        >>> Measurements.read("data", self.file, at={"x": 0.5, "t": "time"}, values={"u": "speed"})

        Args:
            at: the columns called as the coordinates; or {coordinate: its column, or a number}.
            values: the columns called as the quantities; or {quantity: its column}.
            of: as above.
            deviations: {quantity: a column, or a number}.

        Raises:
            PinnError: there is no such file or column, or it holds no numbers.
        """
        named = [
            dict(given) if isinstance(given, Mapping) else {each: each for each in given}
            for given in (at, values, deviations or {})
        ]
        wanted = {column for each in named for column in each.values() if isinstance(column, str)}
        found = read_columns(Path(path), sorted(wanted))
        columns = [
            {key: found[c] if isinstance(c, str) else c for key, c in each.items()}
            for each in named
        ]
        return cls(name, columns[0], columns[1], of, columns[2])

    def residual(
        self, q: Any, observables: Callable[[Any], Mapping[str, Any]] | None = None
    ) -> Mapping[str, Any]:
        """The quantities of which the values are subtracted, in the order of the values.

        Raises:
            PinnError: `of` returns others, or a name is none of q nor of the observables.
        """
        if self.of is None:
            return {name: self._quantity(q, name, observables) for name in self.values}
        found: Any = self.of(q)
        if not isinstance(found, Mapping):
            found = dict.fromkeys(self.values, found) if len(self.values) == 1 else {"…": found}
        if {*found} != {*self.values}:
            raise PinnError(
                f"measurements {self.name!r}: of= returns {one_of(found)}; the values are those of "
                f"{one_of(self.values)}"
            )
        return {name: found[name] for name in self.values}

    def _quantity(self, q: Any, name: str, observables: Any) -> Any:
        try:
            return getattr(q, name)
        except PinnError:
            known = observables(q) if observables else {}
            if name in known:
                return known[name]
            raise PinnError(
                f"measurements {self.name!r} have values of {name!r}{nearest(name, known)}, which is "
                f"neither a quantity of q nor an observable, {one_of(known)}; say what was measured: "
                f"of=lambda q: {{{name!r}: …}}"
            ) from None

    def table(self, domain: Shape) -> NDArray[np.float64]:
        """One row a point: its coordinates, its values, and their deviations if there are any.

        Raises:
            PinnError: coordinates, lengths or deviations that do not fit, a number that is not finite,
                a point outside of the domain by more than rounding in single precision.
        """
        what = f"measurements {self.name!r}"
        if not self.values:
            raise PinnError(f"{what} have no values, as in values={{'u': …}}")
        for name in self.deviations:
            if name not in self.values:
                raise PinnError(
                    f"{what} have deviations of {name!r}{nearest(name, self.values)}; the values are "
                    f"those of {one_of(self.values)}"
                )
        sigma = {f"the deviation of {name}": self.deviations.get(name, 1.0) for name in self.values}
        for name, column in sigma.items():
            if np.any(np.asarray(column) <= 0):
                raise PinnError(f"{what}: {name} is not above 0 everywhere")
        return _placed(what, self.at, {**self.values, **(sigma if self.deviations else {})}, domain)


def _placed(
    what: str, at: Mapping[str, Any], further: Mapping[str, Any], domain: Shape
) -> NDArray[np.float64]:
    """One row a point: its coordinates, then further columns; a number is the same at all points."""
    if set(at) != set(domain.names):
        raise PinnError(f"{what}: at {one_of(at)}; the coordinates are {one_of(domain.names)}")
    columns = {**{n: at[n] for n in domain.names}, **further}
    lengths = {name: np.size(column) for name, column in columns.items() if np.ndim(column)}
    if len(set(lengths.values())) > 1 or not min(lengths.values(), default=1):
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise PinnError(f"{what}: every column needs as many numbers, at least one; found {found}")
    for name, column in columns.items():
        bad = int((~np.isfinite(column)).sum())
        if bad:
            raise PinnError(
                f"{what}: {name} has numbers that are not finite, {bad} of them; leave out the points "
                "where it was not measured, or give it Measurements of its own"
            )
    count = max(lengths.values(), default=1)
    table = np.stack([np.broadcast_to(column, count) for column in columns.values()], axis=1)
    places = table[:, : domain.dimension]
    room = np.array(
        [
            IN_SINGLE_PRECISION * max(-low, high, high - low)
            for low, high in domain.intervals.values()
        ]
    )
    for place, (name, (low, high)) in enumerate(domain.intervals.items()):
        outside = (places[:, place] < low - room[place]) | (places[:, place] > high + room[place])
        if outside.any():
            first = places[outside, place][0]
            raise PinnError(
                f"{what}: {name} = {first:.9g} is outside of the domain [{low:.9g}, {high:.9g}]"
            )
    places[:] = places.clip(domain.lower, domain.upper)
    nearby = [places, *(places + step for step in (*np.diag(room), *np.diag(-room)))]
    outside = ~np.any([domain.inside(each) for each in nearby], axis=0)
    if outside.any():
        first = zip(domain.names, places[outside][0], strict=True)
        where = ", ".join(f"{name} = {value:.9g}" for name, value in first)
        raise PinnError(f"{what}: the point {where} is outside of the domain")
    return table


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
        if not _finite(self.start) or (self.positive and self.start <= 0):
            raise PinnError(
                f"Unknown(start={self.start!r}): expected a finite number"
                + (" above 0, as it is positive" if self.positive else "")
            )


def _finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except (TypeError, ValueError):  # no number, or several
        return False


class Problem(ABC):
    """A system of PDEs on a box or another shape.

    A subclass is an attrs class; its fields are its options. In every method `q` gives quantities by
    name, each of shape (n,): coordinates `q.x`, fields `q.u`, derivatives `q.u_x`, `q.u_xx`, also
    `q.d("u", "theta", "theta")`, and `q.d(torch.exp(q.u) * q.u_x, "x")` of expressions.
    """

    name: ClassVar[str]
    """How a configuration calls it."""
    fields: tuple[str, ...] | Mapping[str, tuple[str, ...]]
    """Names of the unknown functions; with their coordinates where they have some of them only."""
    domain: Shape
    """What they are functions of."""
    complex_fields: ClassVar[tuple[str, ...]] = ()
    """Fields of complex values: `q.psi`, of the parts `q.psi_re` and `q.psi_im`."""
    scales: ClassVar[Mapping[str, float | tuple[float, float]] | str] = {}
    """Sizes of fields that are far from 1, or (middle, size): middle + size × the network's output;
    "measured": those of the values that conditions and data give."""
    residual_scales: ClassVar[Mapping[str, float]] = {}
    """Typical sizes of the terms of equations and conditions, by which their residuals are divided."""
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


def conditions_of(problem: Problem) -> list[Any]:
    """What `conditions()` gives: several conditions, or a single one.

    Raises:
        PinnError: it gives nothing.
    """
    found: Any = problem.conditions()
    if found is None:
        raise PinnError(
            "conditions() returned nothing: yield the conditions, or return a list of them"
        )
    return [found] if hasattr(found, "residual") else list(found)
