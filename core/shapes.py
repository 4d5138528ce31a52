"""Shapes other than boxes: balls, polygons, bodies of triangles, clouds of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike

from pinn.core.domain import Face, Mask, Placed, Points, Shape, unit_cube
from pinn.core.errors import PinnError, one_of

TINY = 1e-30
"""So that a corner, where two edges are zero, is no division of zero by zero."""
CHORDS = 64
"""Of each curve in an SVG."""
EXTRA = "pip install 'pinn-dynamics[shapes]'"


@frozen(eq=False, init=False)
class Ball(Shape):
    """A disk, `Ball(x=0, y=0, radius=1)`, or a ball: all points within a distance of its centre.

    Its boundary is called `name`.

    Raises:
        PinnError: not two or three coordinates, or a radius that is not above 0.
    """

    centre: Mapping[str, float]
    radius: float
    name: str
    intervals: Mapping[str, tuple[float, float]]

    def __init__(self, radius: float, name: str = "", **centre: float) -> None:
        if len(centre) not in (2, 3):
            raise PinnError("a disk has two coordinates, a ball three: Ball(x=0, y=0, radius=1)")
        if not 0 < radius < math.inf or not all(map(math.isfinite, centre.values())):
            raise PinnError(f"Ball: expected a finite centre and a radius above 0, found {radius}")
        ends = {each: (x - radius, x + radius) for each, x in centre.items()}
        self.__attrs_init__(centre, radius, name or ("disk", "ball")[len(centre) - 2], ends)

    def inside(self, points: Points) -> Mask:
        away = np.linalg.norm(points - [*self.centre.values()], axis=1)
        return away <= self.radius * (1 + 1e-12)

    def parts(self) -> Mapping[str, Sequence[Face]]:
        flat = len(self.centre) == 2
        measure = 2 * math.pi * self.radius * (1 if flat else 2 * self.radius)
        return {self.name: [Face(unit_cube(len(self.centre) - 1), self._place, measure)]}

    def _place(self, parameters: Points) -> Placed:
        angle = 2 * math.pi * parameters[:, 0]
        normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        if len(self.centre) == 3:  # heights of a sphere are uniform (Archimedes)
            height = 1 - 2 * parameters[:, 1:]
            normals = np.hstack([np.sqrt(1 - height**2) * normals, height])
        points = np.array([*self.centre.values()]) + self.radius * normals
        return points, normals, np.ones(len(points), bool)

    def distance(self, q: Any) -> Any:
        away = [(getattr(q, name) - x) ** 2 for name, x in self.centre.items()]
        return (self.radius**2 - sum(away[1:], away[0])) / (2 * self.radius)


@frozen(eq=False, init=False)
class Polygon(Shape):
    """A polygon of two coordinates: `Polygon(x=[0, 2, 0], y=[0, 0, 1])`, or one read by `Polygon.read`.

    Its edges are called `name`, but for those that `edges` gives other names, by their numbers:
    edge i runs from corner i to the next. Needs the package `shapely`.

    Raises:
        PinnError: not two coordinates, fewer than three corners, an outline that crosses itself.
    """

    geometry: Any
    edges: Mapping[str, Sequence[int]]
    name: str
    intervals: Mapping[str, tuple[float, float]]

    def __init__(
        self,
        *,
        name: str = "polygon",
        edges: Mapping[str, Sequence[int]] | None = None,
        **corners: ArrayLike,
    ) -> None:
        columns = [np.asarray(column, float) for column in corners.values()]
        if len(columns) != 2 or columns[0].shape != columns[1].shape or len(columns[0]) < 3:
            raise PinnError(
                "a polygon needs two coordinates of at least three corners each, as in "
                "Polygon(x=[0, 1, 0], y=[0, 0, 1])"
            )
        corner_points = np.stack(columns, axis=1)
        if (corner_points[0] == corner_points[-1]).all():
            corner_points = corner_points[:-1]
        self._begin(_shapely().Polygon(corner_points), [*corners], edges or {}, name)

    def _begin(
        self, geometry: Any, names: Sequence[str], edges: Mapping[str, Sequence[int]], name: str
    ) -> None:
        shapely = _shapely()
        if geometry.geom_type not in ("Polygon", "MultiPolygon") or geometry.is_empty:
            raise PinnError(
                f"polygon {name!r}: a {geometry.geom_type} encloses no area: its outline must be closed"
            )
        if not geometry.is_valid:
            raise PinnError(f"polygon {name!r} is not sound: {shapely.is_valid_reason(geometry)}")
        shapely.prepare(geometry)
        low, high = np.array(geometry.bounds).reshape(2, 2).tolist()
        ends = {n: (a, b) for n, a, b in zip(names, low, high, strict=True)}
        self.__attrs_init__(geometry, edges, name, ends)
        count = len(self._segments)
        for called, numbers in edges.items():
            for number in numbers:
                if not 0 <= number < count:
                    raise PinnError(
                        f"polygon {name!r} has no edge {number} ({called!r}): edges are 0 to {count - 1}"
                    )

    @classmethod
    def of(
        cls,
        geometry: Any,
        names: Sequence[str] = ("x", "y"),
        name: str = "polygon",
        edges: Mapping[str, Sequence[int]] | None = None,
    ) -> Polygon:
        """That of a shapely geometry: a polygon with holes, or several of them."""
        made = cls.__new__(cls)
        made._begin(geometry, names, edges or {}, name)
        return made

    @classmethod
    def read(cls, path: str | Path, names: Sequence[str] = ("x", "y"), name: str = "") -> Polygon:
        """That in a file: GeoJSON (`.geojson`, `.json`), WKT (`.wkt`), WKB (`.wkb`) or SVG (`.svg`).

        Of an SVG it is what its paths enclose, by the even-odd rule, in its own numbers, y downwards;
        curves are chords.

        Raises:
            PinnError: the file cannot be read, or holds no closed outline.
        """
        shapely, path = _shapely(), Path(path)
        readers = {".geojson": shapely.from_geojson, ".json": shapely.from_geojson}
        readers |= {".wkt": shapely.from_wkt, ".wkb": shapely.from_wkb, ".svg": _of_svg}
        kind = path.suffix.lower()
        if kind not in readers:
            raise PinnError(f"{path}: expected one of {one_of(readers)}")
        try:
            content = path.read_bytes()
            geometry = readers[kind](content if kind == ".wkb" else content.decode("utf-8"))
        except OSError as error:
            raise PinnError(f"{path}: cannot be read: {error.strerror}") from error
        except (shapely.errors.ShapelyError, ValueError, SyntaxError) as error:
            raise PinnError(f"{path}: is no outline: {error}") from error
        if geometry.geom_type == "GeometryCollection" and len(geometry.geoms):
            geometry = shapely.union_all(geometry.geoms)
        return cls.of(geometry, names, name or path.stem)

    @cached_property
    def _segments(self) -> Points:
        """Beginnings and ends of all edges, (edges, 2, 2), the inside on their left."""
        shapely = _shapely()
        parts = shapely.get_parts(self.geometry)
        rings = []
        for part in parts:
            oriented = shapely.geometry.polygon.orient(part)
            rings += [np.array(ring.coords) for ring in (oriented.exterior, *oriented.interiors)]
        return np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])

    def inside(self, points: Points) -> Mask:
        shapely = _shapely()
        found = shapely.intersects_xy(self.geometry, points[:, 0], points[:, 1])
        return np.asarray(found, bool)

    def parts(self) -> Mapping[str, Sequence[Face]]:
        called = {number: name for name, numbers in self.edges.items() for number in numbers}
        found: dict[str, list[Face]] = {}
        for number, (begin, end) in enumerate(self._segments):
            found.setdefault(called.get(number, self.name), []).append(_edge(begin, end))
        return found

    def distance(self, q: Any) -> Any:
        """Of edges joined by R-equivalence of order one (Sukumar & Srivastava, CMAME 389, 2022)."""
        across, up = (getattr(q, name) for name in self.names)
        joined: Any = None
        for (x1, y1), (x2, y2) in self._segments:
            length = math.hypot(x2 - x1, y2 - y1)
            line = ((across - x1) * (y2 - y1) - (up - y1) * (x2 - x1)) / length
            away = (across - (x1 + x2) / 2) ** 2 + (up - (y1 + y2) / 2) ** 2
            trim = ((length / 2) ** 2 - away) / length
            rest = ((trim**2 + line**4) ** 0.5 - trim) / 2
            edge = (line**2 + rest**2) ** 0.5
            joined = edge if joined is None else joined * edge / (joined + edge + TINY)
        return joined


def _edge(begin: Points, end: Points) -> Face:
    along = end - begin
    length = float(np.hypot(*along))
    normal = np.array([along[1], -along[0]]) / length

    def place(parameters: Points) -> Placed:
        points = begin + parameters * along
        return points, np.broadcast_to(normal, points.shape).copy(), np.ones(len(points), bool)

    return Face(unit_cube(1), place, length)


@frozen(eq=False, init=False)
class Mesh(Shape):
    """The body that a closed surface of triangles encloses: a `trimesh.Trimesh`, or read by `Mesh.read`.

    Needs the packages `trimesh` and `rtree`.

    Raises:
        PinnError: the surface is not closed.
    """

    surface: Any
    name: str
    intervals: Mapping[str, tuple[float, float]]

    def __init__(
        self, surface: Any, names: Sequence[str] = ("x", "y", "z"), name: str = "surface"
    ) -> None:
        if not surface.is_watertight:
            raise PinnError(
                f"mesh {name!r} has holes: what is inside is known of a closed one alone"
            )
        low, high = surface.bounds.tolist()
        ends = {n: (a, b) for n, a, b in zip(names, low, high, strict=True)}
        self.__attrs_init__(surface, name, ends)

    @classmethod
    def read(cls, path: str | Path, names: Sequence[str] = ("x", "y", "z"), name: str = "") -> Mesh:
        """That in a file of triangles: STL, OBJ, PLY and others that trimesh reads.

        Raises:
            PinnError: the file cannot be read, or its surface is not closed.
        """
        try:
            import trimesh
        except ImportError as error:
            raise PinnError(f"meshes need the packages trimesh and rtree: {EXTRA}") from error
        try:
            surface = trimesh.load_mesh(path, process=True)
        except Exception as error:  # whatever a reader of some format raises
            raise PinnError(f"{path}: cannot be read as a mesh: {error}") from error
        return cls(surface, names, name or Path(path).stem)

    def inside(self, points: Points) -> Mask:
        return np.asarray(self.surface.contains(points), bool)

    def parts(self) -> Mapping[str, Sequence[Face]]:
        ends = np.cumsum(self.surface.area_faces) / self.surface.area
        corners, normals = self.surface.triangles, self.surface.face_normals

        def place(parameters: Points) -> Placed:
            share = parameters[:, 0]
            chosen = np.minimum(np.searchsorted(ends, share, side="right"), len(ends) - 1)
            begin = np.concatenate([[0.0], ends[:-1]])[chosen]
            within = np.clip((share - begin) / (ends[chosen] - begin), 0, 1)
            first = np.sqrt(within)[:, None]
            second = parameters[:, 1:2]
            a, b, c = np.moveaxis(corners[chosen], 1, 0)
            points = (1 - first) * a + first * (1 - second) * b + first * second * c
            return points, normals[chosen], np.ones(len(points), bool)

        return {self.name: [Face(unit_cube(2), place, float(self.surface.area))]}


@frozen(eq=False, init=False)
class Cloud(Shape):
    """Points that somebody has, of a domain whose shape is not known: training draws of these.

    Args:
        at: {coordinate: numbers (n,)} inside.
        boundary: by the name of a part, {coordinate: numbers (m,)} and, where conditions ask for
            them, the outward normals {"n_x": numbers (m,), …}.

    What is within twice their usual distance of the points counts as inside.

    Raises:
        PinnError: columns of unlike length, or none.
    """

    points: Points
    boundary: Mapping[str, tuple[Points, Points]]
    reach: float
    intervals: Mapping[str, tuple[float, float]]
    _tree: Any = field(repr=False)

    def __init__(
        self,
        at: Mapping[str, ArrayLike],
        boundary: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    ) -> None:
        from scipy.spatial import cKDTree

        points = _table("cloud", at, [*at])
        pieces: dict[str, tuple[Points, Points]] = {}
        for name, columns in (boundary or {}).items():
            part = f"boundary {name!r} of the cloud"
            placed = _table(part, columns, [*at])
            normals = np.full_like(placed, np.nan)
            if any(f"n_{each}" in columns for each in at):
                normals = _table(part, columns, [f"n_{each}" for each in at])
            pieces[name] = placed, normals
        everything = np.concatenate([points, *(placed for placed, _ in pieces.values())])
        tree = cKDTree(everything)
        reach = 2 * float(np.median(np.asarray(tree.query(everything, 2)[0])[:, 1]))
        low, high = everything.min(0).tolist(), everything.max(0).tolist()
        ends = {n: (a, b) for n, a, b in zip(at, low, high, strict=True)}
        self.__attrs_init__(points, pieces, reach, ends, tree)

    def inside(self, points: Points) -> Mask:
        return np.asarray(self._tree.query(points)[0] <= self.reach)

    def interior(self) -> Face:
        return _chosen_of(self.points, np.full_like(self.points, np.nan))

    def parts(self) -> Mapping[str, Sequence[Face]]:
        return {name: [_chosen_of(*piece)] for name, piece in self.boundary.items()}


def _chosen_of(points: Points, normals: Points) -> Face:
    """Points by their numbers: the parameter runs over all of them."""

    def place(parameters: Points) -> Placed:
        chosen = np.minimum((parameters[:, 0] * len(points)).astype(int), len(points) - 1)
        return points[chosen], normals[chosen], np.ones(len(chosen), bool)

    return Face(unit_cube(1), place, float(len(points)))


def _table(what: str, columns: Mapping[str, ArrayLike], names: Sequence[str]) -> Points:
    missing = [name for name in names if name not in columns]
    found = [np.asarray(columns[name], float).ravel() for name in names if name in columns]
    if missing or not found or len({len(column) for column in found}) > 1 or len(found[0]) < 2:
        raise PinnError(
            f"{what}: expected at least two numbers of every coordinate, as many of each"
            + (f"; {one_of(missing)} is missing" if missing else "")
        )
    return np.stack(found, axis=1)


def _of_svg(text: str) -> Any:
    shapely = _shapely()
    try:
        import svgelements as svg
    except ImportError as error:
        raise PinnError(f"outlines in SVG need the package svgelements: {EXTRA}") from error
    found = shapely.Polygon()
    shapes = [e for e in svg.SVG.parse(StringIO(text)).elements() if isinstance(e, svg.Shape)]
    for outline in (path for shape in shapes for path in svg.Path(shape).as_subpaths()):
        ring = []
        for piece in svg.Path(outline):
            straight = isinstance(piece, svg.Move | svg.Line | svg.Close)
            ring += [
                piece.point(step)
                for step in ([1] if straight else np.arange(1, CHORDS + 1) / CHORDS)
            ]
        if ring[0] != ring[-1]:
            raise ValueError("a path is not closed")
        found = shapely.symmetric_difference(found, shapely.Polygon([(p.x, p.y) for p in ring]))
    return found


def _shapely() -> Any:
    try:
        import shapely
        import shapely.geometry.polygon
    except ImportError as error:
        raise PinnError(f"polygons need the package shapely: {EXTRA}") from error
    return shapely
