"""Where a problem lives: shapes with named coordinates, their boundaries, and points on them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from pinn.core.errors import PinnError, nearest, one_of

if TYPE_CHECKING:
    from torch import Tensor

Points = NDArray[np.float64]
"""Points of a domain, (n, dimension)."""
Mask = NDArray[np.bool_]
Placed = tuple[Points, Points, Mask]
"""Points, (n, dimension); the outward unit normals there, NaN where there is none; which count, (n,)."""

AT_AN_END, IN_SINGLE_PRECISION = 1e-5, 1e-6
"""Of an interval's length, and of its numbers: how far from an end a rounded number still means it."""
BESIDE = 1e-8
"""Of a shape's diameter: how far beside its boundary one looks for what is inside."""
FIRST_TRIED, MOST_TRIED = 10_000, 1000
"""Points that are tried at least, and for each one wanted, before one says that nothing lies there."""
BOUNDARY = "boundary"
"""All parts of a shape's boundary."""


@frozen(eq=False)
class Face:
    """Points that can be drawn: what those of a box of parameters stand for, uniformly.

    Attributes:
        free: the box of the parameters; None: a single point.
        place: parameters (n, k) → points, normals, and which count: the others are cut away.
        measure: length, area or volume of what all parameters stand for.
        fixed: coordinates that have one value there.
        whole: nothing is cut away.
    """

    free: Box | None
    place: Callable[[Points], Placed]
    measure: float
    fixed: Mapping[str, float] = field(factory=dict)
    whole: bool = True

    def at(self, parameters: Points) -> tuple[Points, Points]:
        """The points that count, and their normals, each (m, dimension), m ≤ n."""
        points, normals, kept = self.place(parameters)
        return points[kept], normals[kept]

    def embed(self, parameters: Points) -> Points:
        """The points that count."""
        return self.at(parameters)[0]


class Shape(ABC):
    """A bounded, closed region of named coordinates.

    `a | b`, `a - b` and `a & b` unite, subtract and intersect shapes of the same coordinates; `a * b` of
    different ones is their product: a disk times an interval of time.
    """

    intervals: Mapping[str, tuple[float, float]]
    """Of each coordinate, in order: the smallest box that holds the shape."""

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

    @property
    def box(self) -> Box:
        """The smallest box that holds the shape."""
        return Box(**self.intervals)

    @abstractmethod
    def inside(self, points: Points) -> Mask:
        """Which of the points (n, dimension) lie in the shape or on its boundary, (n,)."""

    @abstractmethod
    def parts(self) -> Mapping[str, Sequence[Face]]:
        """The pieces of the boundary, by name; parameters are those of unit cubes."""

    def distance(self, q: Any) -> Any:
        """A smooth function of `q.x`, …: zero on the boundary, positive inside, near it the distance.

        Shapes are combined by R-functions (Rvachev; Sukumar & Srivastava, CMAME 389, 2022), which have
        no derivative at corners. An ansatz takes it as a factor.

        Raises:
            PinnError: the shape has no such function.
        """
        raise PinnError(f"{type(self).__name__} has no distance function")

    def interior(self) -> Face:
        """All of the shape, to draw points in."""
        box = self.box

        def place(points: Points) -> Placed:
            return points, np.full_like(points, np.nan), self.inside(points)

        volume = math.prod(high - low for low, high in self.intervals.values())
        return Face(box, place, volume, whole=self is box)

    def faces(self, on: Sequence[str]) -> list[Face]:
        """Where a condition holds: parts of the boundary are drawn on together, by length or area.

        Raises:
            PinnError: a name that no part has, a value that the shape does not reach.
        """
        parts = self.parts()
        named = {text: self._named(text, parts) for text in on}
        pieces = [piece for found in named.values() for piece in found or ()]
        slices = [self._slice(text, parts) for text, found in named.items() if found is None]
        return ([_joined(pieces, self.dimension)] if pieces else []) + slices

    def face(self, text: str) -> Face:
        """The part of the boundary that `text` names, or "x=0.5": where a coordinate has a value."""
        return self.faces([text])[0]

    def around(self, name: str) -> tuple[Sequence[str], Sequence[Face]]:
        """A part of the boundary to integrate over: its coordinates, and its pieces.

        Raises:
            PinnError: no part is called so.
        """
        parts = self.parts()
        pieces = self._named(name, parts)
        if pieces is None:
            raise self._no_face(name, parts)
        return self.names, pieces

    def uniform(self, count: int, generator: np.random.Generator) -> Points:
        """Independent points in the shape, (count, dimension).

        Raises:
            PinnError: hardly any point of the box around it is in the shape.
        """
        found, tried = np.empty((0, self.dimension)), 0
        while len(found) < count:
            if tried > FIRST_TRIED + MOST_TRIED * count:
                raise PinnError(
                    f"domain: {len(found):,} of {tried:,} points of the box around it lie in it: too few"
                )
            size = max(count, min(tried, FIRST_TRIED))
            points = generator.uniform(self.lower, self.upper, (size, self.dimension))
            found, tried = np.concatenate([found, points[self.inside(points)]]), tried + size
        return found[:count]

    def __or__(self, other: Shape) -> Shape:
        return Combined(self, other, "|")

    def __sub__(self, other: Shape) -> Shape:
        return Combined(self, other, "-")

    def __and__(self, other: Shape) -> Shape:
        return Combined(self, other, "&")

    def __mul__(self, other: Box) -> Shape:
        return Product(self, other)

    def _named(self, text: str, parts: Mapping[str, Sequence[Face]]) -> Sequence[Face] | None:
        if text.strip() == BOUNDARY:
            return [piece for pieces in parts.values() for piece in pieces]
        if text.strip() in parts:
            return parts[text.strip()]
        wanted = _values(text)
        if wanted is None or len(wanted) > 1:
            return None
        ((name, value),) = wanted.items()
        for part, pieces in parts.items():
            at = _values(part)
            if at and name in at and self._same(name, at[name], value):
                return pieces
        return None

    def _same(self, name: str, a: float, b: float) -> bool:
        low, high = self.intervals[name]
        rounding = IN_SINGLE_PRECISION * max(abs(low), abs(high))
        return abs(a - b) <= max(AT_AN_END * (high - low), rounding)

    def _slice(self, text: str, parts: Mapping[str, Sequence[Face]]) -> Face:
        """Where some coordinates have a value, cut to the shape."""
        fixed = _values(text)
        if fixed is None or not set(fixed) <= set(self.names):
            raise self._no_face(text, parts)
        for name, value in fixed.items():
            low, high = self.intervals[name]
            if not low <= value <= high:
                raise self._no_face(text, parts)
        return _fixed(self, fixed, whole=False)

    def _no_face(self, text: str, parts: Iterable[str]) -> PinnError:
        known = [*dict.fromkeys(parts)]
        named = [name for name in known if "=" not in name]
        inside = f"{self.names[0]}={np.mean(self.intervals[self.names[0]]):g}"
        return PinnError(
            f"{text!r} is not a face of the domain{nearest(text, named)}; its faces are "
            f"{one_of(known)}, and where a coordinate has a value inside is written as in {inside!r}"
        )


@frozen(init=False)
class Box(Shape):
    """A product of intervals with named coordinates: `Box(x=(-1, 1), t=(0, 1))`.

    Raises:
        PinnError: no coordinate, or an interval that is empty or not finite.
    """

    intervals: Mapping[str, tuple[float, float]]

    def __init__(self, *unnamed: Any, **intervals: tuple[float, float]) -> None:
        if unnamed or not intervals:
            raise PinnError(
                "a box needs at least one coordinate, each by its name, as in Box(x=(0, 1), t=(0, 2))"
            )
        for name, ends in intervals.items():
            try:
                low, high = map(float, ends)
            except (TypeError, ValueError):
                raise PinnError(
                    f"Box: {name} = {ends!r} is no interval: write its two ends, as in {name}=(0, 1)"
                ) from None
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise PinnError(f"Box: {name} = {ends!r} is not a finite interval low < high")
        self.__attrs_init__({n: (float(a), float(b)) for n, (a, b) in intervals.items()})

    @property
    def box(self) -> Box:
        return self

    def inside(self, points: Points) -> Mask:
        return np.all((np.array(self.lower) <= points) & (points <= np.array(self.upper)), axis=1)

    def parts(self) -> Mapping[str, Sequence[Face]]:
        return {
            f"{name}={end:.12g}": [_over_the_unit_cube(_fixed(self, {name: end}))]
            for name, ends in self.intervals.items()
            for end in ends
        }

    def distance(self, q: Any) -> Any:
        walls = [
            (getattr(q, name) - low) * (high - getattr(q, name)) / (high - low)
            for name, (low, high) in self.intervals.items()
        ]
        return reduce(_both, walls)

    def faces(self, on: Sequence[str]) -> list[Face]:
        """One a text: as many points are drawn on each."""
        return [self.face(text) for text in on]

    def face(self, text: str) -> Face:
        """Where coordinates have a value: "t=0", inside as in "x=0.5", an edge or corner "x=0, y=0".

        Raises:
            PinnError: an unknown coordinate, one that is fixed twice, a value beyond its interval.
        """
        fixed = _values(text) or {}
        for name, value in fixed.items():
            if name not in self.intervals:
                raise self._no_face(text, self.parts())
            low, high = self.intervals[name]
            ends = [end for end in (low, high) if self._same(name, end, value)]
            fixed[name] = ends[0] if ends else value
            if not low <= fixed[name] <= high:
                raise self._no_face(text, self.parts())
        if not fixed:
            raise self._no_face(text, self.parts())
        return _fixed(self, fixed)

    def uniform(self, count: int, generator: np.random.Generator) -> Points:
        return generator.uniform(self.lower, self.upper, (count, self.dimension))

    def __mul__(self, other: Box) -> Shape:
        if not isinstance(other, Box):
            return Product(other, self, names=(*self.names, *other.names))
        _apart(self, other)
        return Box(**self.intervals, **other.intervals)


@frozen(eq=False, init=False)
class Combined(Shape):
    """Two shapes united, subtracted or intersected."""

    first: Shape
    second: Shape
    how: str
    intervals: Mapping[str, tuple[float, float]]

    def __init__(self, first: Shape, second: Shape, how: str) -> None:
        if first.names != second.names:
            raise PinnError(
                f"shapes of the coordinates {one_of(first.names)} and of {one_of(second.names)} cannot "
                "be combined: they need the same ones, in the same order"
            )
        ends = dict(first.intervals)
        for name, (low, high) in second.intervals.items():
            if how == "|":
                ends[name] = min(ends[name][0], low), max(ends[name][1], high)
            elif how == "&":
                ends[name] = max(ends[name][0], low), min(ends[name][1], high)
            if not ends[name][0] < ends[name][1]:
                raise PinnError("the shapes that are intersected have no point in common")
        self.__attrs_init__(first, second, how, ends)

    def inside(self, points: Points) -> Mask:
        first, second = self.first.inside(points), self.second.inside(points)
        if self.how == "|":
            return first | second
        return first & (second if self.how == "&" else ~second)

    def parts(self) -> Mapping[str, Sequence[Face]]:
        beside = BESIDE * math.dist(self.lower, self.upper)

        def crosses(shape: Shape, points: Points, normals: Points) -> tuple[Mask, Mask]:
            ahead = shape.inside(points + beside * normals)
            return ahead, shape.inside(points - beside * normals)

        def cut(piece: Face, other: Shape | None) -> Face:
            def place(parameters: Points) -> Placed:
                points, normals, kept = piece.place(parameters)
                ahead, behind = crosses(self, points, normals)
                kept = kept & (ahead != behind)
                if other is not None:  # what both have is drawn on once
                    twice = crosses(other, points, normals)
                    kept &= twice[0] == twice[1]
                return points, np.where(ahead[:, None], -normals, normals), kept

            return evolve(piece, place=place, whole=False)

        found: dict[str, list[Face]] = {}
        for shape, other in ((self.first, None), (self.second, self.first)):
            for name, pieces in shape.parts().items():
                for piece in pieces:
                    found.setdefault(name, []).append(cut(piece, other))
        return found

    def distance(self, q: Any) -> Any:
        first, second = self.first.distance(q), self.second.distance(q)
        if self.how == "|":
            return -_both(-first, -second)
        return _both(first, second if self.how == "&" else -second)


@frozen(eq=False, init=False)
class Product(Shape):
    """A shape times a box of other coordinates: a disk times an interval of time."""

    shape: Shape
    others: Box
    intervals: Mapping[str, tuple[float, float]]

    def __init__(self, shape: Shape, others: Box, names: Sequence[str] = ()) -> None:
        if not isinstance(others, Box):
            raise PinnError("a shape can be multiplied with a box of other coordinates only")
        _apart(shape, others)
        both = {**shape.intervals, **others.intervals}
        self.__attrs_init__(shape, others, {name: both[name] for name in names or both})

    def inside(self, points: Points) -> Mask:
        shape, others = self._columns
        return self.shape.inside(points[:, shape]) & self.others.inside(points[:, others])

    def parts(self) -> Mapping[str, Sequence[Face]]:
        return {
            name: [self._times(piece, self.others, {}) for piece in pieces]
            for name, pieces in self.shape.parts().items()
        }

    def distance(self, q: Any) -> Any:
        """Of the shape alone: zero on its boundary at all values of the other coordinates."""
        return self.shape.distance(q)

    def faces(self, on: Sequence[str]) -> list[Face]:
        """Of each text, what it says of the shape and what of the other coordinates: "hole, t=0"."""
        found: dict[tuple[tuple[str, float], ...], list[str]] = {}
        for text in on:
            words = [word.strip() for word in text.split(",")]
            own = [word for word in words if word.partition("=")[0].strip() in self.others.names]
            fixed = self.others.face(", ".join(own)).fixed if own else {}
            of_shape = ", ".join(word for word in words if word not in own)
            found.setdefault(tuple(fixed.items()), []).append(of_shape)
        return [face for fixed, texts in found.items() for face in self._faces(dict(fixed), texts)]

    def around(self, name: str) -> tuple[Sequence[str], Sequence[Face]]:
        """Of the shape: the other coordinates stay as they are."""
        return self.shape.around(name)

    def _faces(self, fixed: Mapping[str, float], texts: Sequence[str]) -> list[Face]:
        rest = {n: ends for n, ends in self.others.intervals.items() if n not in fixed}
        free = Box(**rest) if rest else None
        found = [self.shape.interior()] if "" in texts else []
        named = [text for text in texts if text]
        if named:
            try:
                found += self.shape.faces(named)
            except PinnError:
                for text in named:
                    if self.shape._named(text, self.shape.parts()) is None:
                        known = [*self.shape.parts(), *self.others.parts()]
                        raise self._no_face(text, known) from None
                raise
        return [self._times(face, free, fixed) for face in found]

    @property
    def _columns(self) -> tuple[list[int], list[int]]:
        names = self.names
        return [names.index(n) for n in self.shape.names], [
            names.index(n) for n in self.others.names
        ]

    def _times(self, face: Face, free: Box | None, fixed: Mapping[str, float]) -> Face:
        """The face of the shape at all values of `free`, and at those of `fixed`."""
        own = {} if face.free is None else dict(face.free.intervals)
        count = len(own)
        both = own | ({} if free is None else dict(free.intervals))
        shape, others = self._columns

        def place(parameters: Points) -> Placed:
            points, normals = np.empty((2, len(parameters), self.dimension))
            points[:, shape], normals[:, shape], kept = face.place(parameters[:, :count])
            normals[:, others] = 0.0
            rest = iter(parameters[:, count:].T)
            for column, name in zip(others, self.others.names, strict=True):
                points[:, column] = fixed[name] if name in fixed else next(rest)
            if (
                len(fixed) == 1 and np.isnan(normals).any()
            ):  # at one time: the normal is that of time
                ((name, value),) = fixed.items()
                upper = value == self.others.intervals[name][1]
                normals[:] = 0.0
                normals[:, self.names.index(name)] = 1.0 if upper else -1.0
            return points, normals, kept

        lengths = [high - low for low, high in ({} if free is None else free.intervals).values()]
        return Face(
            Box(**both) if both else None,
            place,
            face.measure * math.prod(lengths),
            {**face.fixed, **fixed},
            face.whole,
        )


def _apart(first: Shape, second: Shape) -> None:
    if both := set(first.names) & set(second.names):
        raise PinnError(f"both factors of the product have the coordinate {one_of(sorted(both))}")


def _values(text: str) -> dict[str, float] | None:
    """{coordinate: value} of "x=0, y=1"; None where the text is something else.

    Raises:
        PinnError: a coordinate is fixed twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            return None
        if name in found:
            both = ", ".join(f'"{part.strip()}"' for part in text.split(","))
            raise PinnError(
                f"{text!r} fixes {name} twice, which holds nowhere: several faces are written "
                f"on=({both})"
            )
        found[name] = number
    return found


def _fixed(shape: Shape, fixed: Mapping[str, float], whole: bool = True) -> Face:
    """Where some coordinates have a value, within the box of a shape; not `whole`: cut to the shape."""
    rest = {name: ends for name, ends in shape.intervals.items() if name not in fixed}

    def place(parameters: Points) -> Placed:
        columns = iter(parameters.T)
        points = np.stack(
            [
                np.full(len(parameters), fixed[name]) if name in fixed else next(columns)
                for name in shape.names
            ],
            axis=1,
        )
        normals = np.full_like(points, np.nan)
        if len(fixed) == 1:
            ((name, value),) = fixed.items()
            normals[:] = 0.0
            lower = value == shape.intervals[name][0]
            normals[:, shape.names.index(name)] = -1.0 if lower else 1.0
        return points, normals, shape.inside(points) | whole

    measure = math.prod(high - low for low, high in rest.values())
    return Face(Box(**rest) if rest else None, place, measure, dict(fixed), whole)


def unit_cube(dimension: int) -> Box | None:
    """The parameters of a piece of the boundary, called 0, 1, …; None: of a point."""
    return Box(**{str(i): (0.0, 1.0) for i in range(dimension)}) if dimension else None


def _over_the_unit_cube(face: Face) -> Face:
    """The same, of parameters between 0 and 1."""
    if face.free is None:
        return face
    lower, upper = np.array(face.free.lower), np.array(face.free.upper)

    def place(parameters: Points) -> Placed:
        return face.place(lower + (upper - lower) * parameters)

    return evolve(face, free=unit_cube(face.free.dimension), place=place)


def _joined(pieces: Sequence[Face], dimension: int) -> Face:
    """Pieces as one: the first parameter chooses the piece, each by its measure."""
    if len(pieces) == 1 or pieces[0].free is None:
        return pieces[0] if len(pieces) == 1 else _points_of(pieces)
    measures = np.array([piece.measure for piece in pieces])
    ends = np.cumsum(measures) / measures.sum()
    free = pieces[0].free
    low, width = free.lower[0], free.upper[0] - free.lower[0]

    def place(parameters: Points) -> Placed:
        share = (parameters[:, 0] - low) / width
        chosen = np.minimum(np.searchsorted(ends, share, side="right"), len(pieces) - 1)
        points, normals = np.empty((2, len(parameters), dimension))
        kept = np.empty(len(parameters), bool)
        for number, piece in enumerate(pieces):
            here = chosen == number
            own = parameters[here].copy()
            begin = ends[number - 1] if number else 0.0
            own[:, 0] = low + width * (share[here] - begin) / (ends[number] - begin)
            points[here], normals[here], kept[here] = piece.place(own)
        return points, normals, kept

    return Face(free, place, float(measures.sum()), whole=all(piece.whole for piece in pieces))


def _points_of(pieces: Sequence[Face]) -> Face:
    """The ends of a line: one face, of as many points as there are."""

    def place(parameters: Points) -> Placed:
        found = [piece.place(np.empty((1, 0))) for piece in pieces]
        points, normals, kept = (np.concatenate(each) for each in zip(*found, strict=True))
        return points, normals, kept

    return Face(None, place, float(len(pieces)), whole=False)


def _both(first: Any, second: Any) -> Any:
    """R-conjunction a + b − √(a² + b²): positive where both are."""
    return first + second - (first * first + second * second) ** 0.5


@frozen
class PointSet:
    """Points as tensors (n, dimension): interior, and by the name of each condition.

    Points of conditions have further columns where their residuals need them: outward normals,
    measured values.
    """

    interior: Tensor
    conditions: dict[str, Tensor]
