"""Shapes: what is inside, their boundaries, and what is made of them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from pinn.core import Ball, Box, Cloud, Mesh, PinnError, Polygon, Shape
from pinn.core.domain import Face, Points
from pinn.engine.derivatives.quadrature import _around

SQUARE = Box(x=(-1, 1), y=(-1, 1))
L_SHAPE = SQUARE - Box(x=(0, 1), y=(-1, 0))
CHANNEL = Box(x=(0, 2.2), y=(0, 0.41)) - Ball(x=0.2, y=0.2, radius=0.05, name="cylinder")
PEANUT = Ball(x=0, y=0, radius=1) | Ball(x=1.5, y=0, radius=1)
LENS = Ball(x=0, y=0, radius=1) & Ball(x=1, y=0, radius=1)
TRIANGLE = Polygon(x=[0, 2, 0], y=[0, 0, 1], edges={"base": [0]})
BITTEN = Ball(x=0, y=0, z=0, radius=2) - Ball(x=0, y=0, z=2, radius=1, name="bite")
FLAT = {
    "square": (SQUARE, 8.0, 4.0),
    "L": (L_SHAPE, 8.0, 3.0),
    "channel": (CHANNEL, 2 * 2.61 + 0.1 * math.pi, 2.2 * 0.41 - math.pi * 0.05**2),
    "disk": (Ball(x=3, y=-1, radius=0.5), math.pi, math.pi / 4),
    "lens": (LENS, 4 * math.pi / 3, 2 * math.pi / 3 - math.sqrt(3) / 2),
    "triangle": (TRIANGLE, 3 + math.sqrt(5), 1.0),
}


def rule(shape: Shape, name: str = "boundary") -> tuple[Points, Points, Points]:
    _, (points, normals), weights = _around(shape | shape, name, 24)
    return points, normals, weights


def drawn(face: Face, count: int = 4000, seed: int = 0) -> tuple[Points, Points]:
    assert face.free is not None
    return face.at(face.free.uniform(count, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", FLAT)
def test_length_and_area_of_the_boundary(name: str) -> None:
    """∮ ds, ∮ n ds = 0, and by the divergence theorem ∮ x·n ds = 2 A."""
    shape, length, area = FLAT[name]
    points, normals, weights = rule(shape)
    assert weights.sum() == pytest.approx(length, rel=1e-7)
    assert weights @ normals == pytest.approx([0, 0], abs=1e-7)
    assert (weights * (points * normals).sum(1)).sum() == pytest.approx(2 * area, rel=1e-7)


@pytest.mark.parametrize("name", FLAT)
def test_normals_point_outwards(name: str) -> None:
    shape, _, _ = FLAT[name]
    points, normals, _ = rule(shape)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(normals)))
    assert shape.inside(points - 1e-4 * normals).all()
    assert not shape.inside(points + 1e-4 * normals).any()


@pytest.mark.parametrize("name", FLAT)
def test_points_on_the_boundary_are_uniform(name: str) -> None:
    """The mean over drawn points is that by quadrature, within five standard errors."""
    shape, length, _ = FLAT[name]
    points, _ = drawn((shape | shape).face("boundary"), 20_000)
    at, _, weights = rule(shape)
    mean = weights @ at / length
    spread = np.sqrt(weights @ (at - mean) ** 2 / length)
    assert (np.abs(points.mean(0) - mean) < 5 * spread / math.sqrt(len(points))).all()


@pytest.mark.parametrize("name", FLAT)
def test_points_inside_are_inside_and_fill_the_area(name: str) -> None:
    shape, _, area = FLAT[name]
    assert shape.inside(shape.uniform(1000, np.random.default_rng(1))).all()
    box = shape.box
    volume = math.prod(np.subtract(box.upper, box.lower))
    share = shape.inside(box.uniform(40_000, np.random.default_rng(2))).mean()
    assert share == pytest.approx(area / volume, abs=5 * 0.5 / 200)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("|-&"),
            st.booleans(),
            st.tuples(*[st.floats(-1, 1).map(lambda v: round(v, 2))] * 2),
            st.floats(0.2, 1).map(lambda v: round(v, 2)),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_boundaries_of_what_is_combined_are_closed(
    steps: list[tuple[str, bool, tuple[float, float], float]],
) -> None:
    """∮ n ds = 0 whatever is united, subtracted and intersected."""
    shape: Shape = SQUARE
    for how, round_, (x, y), size in steps:
        other: Shape = Box(x=(x - size, x + size), y=(y - size, y + size))
        if round_:
            other = Ball(x=x, y=y, radius=size)
        try:
            shape = {"|": shape | other, "-": shape - other, "&": shape & other}[how]
        except PinnError:  # no point in common
            assume(False)
    assume(shape.inside(shape.box.uniform(500, np.random.default_rng(0))).mean() > 0.05)
    _, normals, weights = rule(shape)
    assert weights @ normals == pytest.approx([0, 0], abs=2e-3)  # slivers that the scan steps over


def test_what_two_shapes_share_is_drawn_on_once() -> None:
    united = Box(x=(0, 1), y=(0, 1)) | Box(x=(0.5, 2), y=(0, 1))
    _, _, weights = rule(united)
    assert weights.sum() == pytest.approx(6, rel=1e-7)
    beside = Box(x=(0, 1), y=(0, 1)) | Box(x=(1, 2), y=(0, 1))
    points, _, weights = rule(beside)
    assert weights.sum() == pytest.approx(6, rel=1e-7)
    assert not np.isclose(points[:, 0], 1).any()


def test_parts_have_names() -> None:
    points, normals = drawn(L_SHAPE.face("x=0"))
    assert (points[:, 0] == 0).all()
    assert (points[:, 1] <= 0).all()
    assert (normals == [1, 0]).all()
    points, normals = drawn(CHANNEL.face("cylinder"))
    assert np.hypot(*(points - 0.2).T) == pytest.approx(np.full(len(points), 0.05))
    assert ((points - 0.2) * normals).sum(1) == pytest.approx(np.full(len(points), -0.05))
    assert (drawn(TRIANGLE.face("base"))[0][:, 1] == 0).all()
    assert (drawn(TRIANGLE.face("polygon"))[0][:, 1] > 0).mean() > 0.99


def test_several_parts_are_drawn_on_by_their_length() -> None:
    (face,) = CHANNEL.faces(("y=0", "cylinder"))
    points, _ = drawn(face, 40_000)
    share = 2.2 / (2.2 + 0.1 * math.pi)
    assert (points[:, 1] == 0).mean() == pytest.approx(share, abs=5 * 0.5 / 200)


def test_inside_a_coordinate_has_a_value() -> None:
    face = CHANNEL.face("x=0.2")
    points, normals = drawn(face, 20_000)
    assert (points[:, 0] == 0.2).all()
    assert not ((points[:, 1] > 0.1501) & (points[:, 1] < 0.2499)).any()
    assert (normals == [1, 0]).all()
    (points, normals) = Box(x=(0, 1)).face("x=0.25").at(np.empty((1, 0)))
    assert points.tolist() == [[0.25]]
    assert normals.tolist() == [[1.0]]


def test_a_product_with_time() -> None:
    flow = CHANNEL * Box(t=(0, 10))
    assert flow.names == ("x", "y", "t")
    points, normals = drawn(flow.face("cylinder"))
    assert np.hypot(*(points[:, :2] - 0.2).T) == pytest.approx(np.full(len(points), 0.05))
    assert 4 < points[:, 2].mean() < 6
    assert (normals[:, 2] == 0).all()
    points, normals = drawn(flow.face("t=0"))
    assert CHANNEL.inside(points[:, :2]).all()
    assert (points[:, 2] == 0).all()
    assert (normals == [0, 0, -1]).all()
    face = flow.face("cylinder, t=10")
    points, normals = drawn(face)
    assert face.fixed == {"t": 10.0}
    assert (points[:, 2] == 10).all()
    assert len(flow.faces(("cylinder", "y=0", "t=0"))) == 2
    assert (Box(t=(0, 1)) * Ball(x=0, y=0, radius=1)).names == ("t", "x", "y")


def test_cylinders_are_disks_times_an_interval() -> None:
    """The side has the area 2π r h."""
    side = (Ball(x=0, y=0, radius=0.5, name="side") * Box(z=(0, 3))).face("side")
    assert side.measure == pytest.approx(3 * math.pi)
    points, normals = drawn(side)
    assert (points[:, :2] * normals[:, :2]).sum(1) == pytest.approx(np.full(len(points), 0.5))


def test_a_ball_with_a_bite() -> None:
    points, normals = drawn(BITTEN.face("boundary"), 50_000)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(points)))
    assert BITTEN.inside(points - 1e-3 * normals).mean() > 0.999
    assert not BITTEN.inside(points + 1e-3 * normals).any()
    # caps of height h on a sphere of radius r have the area 2π r h; they meet at z = 7/4
    face = BITTEN.face("boundary")
    whole = 4 * math.pi * 4 - 2 * math.pi * 2 * 0.25 + 2 * math.pi * 1 * (1.75 - 1)
    assert face.measure * len(points) / 50_000 == pytest.approx(whole, rel=0.02)


@pytest.mark.parametrize("name", FLAT)
def test_the_distance_vanishes_on_the_boundary_with_slope_one(name: str) -> None:
    shape, length, _ = FLAT[name]
    points, normals, _ = rule(shape)

    def distance(places: Points) -> Points:
        return shape.distance(SimpleNamespace(**dict(zip(shape.names, places.T, strict=True))))

    step = 1e-5 * length
    assert np.abs(distance(points)).max() < 1e-9 * length
    slopes = distance(points - step * normals) / step
    assert np.median(slopes) == pytest.approx(1, abs=0.02)
    assert (distance(shape.uniform(500, np.random.default_rng(0))) > 0).all()


def test_polygons_are_read(tmp_path: Path) -> None:
    square = "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1))"
    (tmp_path / "plate.wkt").write_text(square)
    plate = Polygon.read(tmp_path / "plate.wkt")
    assert plate.name == "plate"
    _, normals, weights = rule(plate)
    assert weights.sum() == pytest.approx(20)
    assert weights @ normals == pytest.approx([0, 0], abs=1e-7)
    assert plate.inside(np.array([[0.5, 0.5], [1.5, 1.5], [5, 5]])).tolist() == [True, False, False]
    corners = [[0, 0], [1, 0], [0, 1], [0, 0]]
    (tmp_path / "t.geojson").write_text(f'{{"type": "Polygon", "coordinates": [{corners}]}}')
    assert rule(Polygon.read(tmp_path / "t.geojson"))[2].sum() == pytest.approx(2 + math.sqrt(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("LINESTRING (0 0, 1 0, 1 1)", "encloses no area: its outline must be closed"),
        ("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))", "is not sound: Self-intersection"),
        ("POLYGON ((0 0, 1", "is no outline"),
        ("POLYGON EMPTY", "encloses no area"),
    ],
)
def test_outlines_that_enclose_nothing(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.wkt"
    file.write_text(content)
    with pytest.raises(PinnError, match=message):
        Polygon.read(file)
    with pytest.raises(PinnError, match="cannot be read"):
        Polygon.read(tmp_path / "none.wkt")
    with pytest.raises(PinnError, match=r"expected one of \.geojson"):
        Polygon.read(tmp_path / "a.png")


def test_a_body_of_triangles(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    body = trimesh.creation.box(extents=(2, 2, 4))
    body.export(tmp_path / "block.stl")
    block = Mesh.read(tmp_path / "block.stl")
    assert block.intervals == {"x": (-1, 1), "y": (-1, 1), "z": (-2, 2)}
    face = block.face("block")
    assert face.measure == pytest.approx(2 * 4 + 4 * 8)
    points, normals = drawn(face, 8000)
    assert block.inside(points - 1e-3 * normals).all()
    assert not block.inside(points + 1e-3 * normals).any()
    on_top = (points[:, 2] == 2).mean()
    assert on_top == pytest.approx(4 / 40, abs=5 * 0.3 / 89)
    body.update_faces(np.arange(len(body.faces)) > 0)
    body.export(tmp_path / "open.stl")
    with pytest.raises(PinnError, match="has holes"):
        Mesh.read(tmp_path / "open.stl")
    with pytest.raises(PinnError, match="cannot be read as a mesh"):
        Mesh.read(tmp_path / "none.stl")


def test_a_cloud_of_points() -> None:
    generator = np.random.default_rng(0)
    points = Ball(x=0, y=0, radius=1).uniform(500, generator)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    cloud = Cloud(
        {"x": points[:, 0], "y": points[:, 1]},
        {"rim": {"x": x, "y": y, "n_x": x, "n_y": y}, "bare": {"x": x, "y": y}},
    )
    found, _ = drawn(cloud.interior(), 100)
    assert {tuple(p) for p in found} <= {tuple(p) for p in points}
    found, normals = drawn(cloud.face("rim"), 100)
    assert (found == normals).all()
    assert np.isnan(drawn(cloud.face("bare"), 10)[1]).all()
    assert cloud.inside(np.array([[0.0, 0.0], [3.0, 0.0]])).tolist() == [True, False]
    with pytest.raises(PinnError, match="y is missing"):
        Cloud({"x": [0.0, 1.0], "y": [0.0, 1.0]}, {"rim": {"x": [0.0, 1.0]}})


@pytest.mark.parametrize(
    ("shape", "text", "message"),
    [
        (CHANNEL, "cylindre", r"not a face of the domain \(did you mean 'cylinder'\?\)"),
        (CHANNEL, "x=3", "its faces are cylinder, x=0, x=2.2, y=0, y=0.41"),
        (CHANNEL * Box(t=(0, 1)), "hole", "its faces are .*cylinder"),
        (CHANNEL * Box(t=(0, 1)), "cylinder, t=2", "'t=2' is not a face"),
        (CHANNEL, "x=0, x=2.2", r"fixes x twice.*on=\(\"x=0\", \"x=2.2\"\)"),
        (CHANNEL * Box(t=(0, 1)), "x=0, x=2.2", "fixes x twice"),
        (SQUARE, "x=-1, x=1", r"fixes x twice.*on=\(\"x=-1\", \"x=1\"\)"),
        (SQUARE, "boundary", "is not a face"),
    ],
)
def test_faces_that_are_not_there(shape: Shape, text: str, message: str) -> None:
    with pytest.raises(PinnError, match=message):
        shape.faces([text])


def test_shapes_that_cannot_be() -> None:
    with pytest.raises(PinnError, match="need the same ones"):
        SQUARE - Ball(y=0, x=0, radius=1)
    with pytest.raises(PinnError, match="no point in common"):
        SQUARE & Ball(x=5, y=0, radius=1)
    empty = Ball(x=0, y=0, radius=1) & Ball(x=1.9, y=1.9, radius=1)
    with pytest.raises(PinnError, match=r"0 of .* points of the box around it lie in it: too few"):
        empty.uniform(2, np.random.default_rng(0))
    with pytest.raises(PinnError, match="both factors"):
        CHANNEL * Box(x=(0, 1))
    with pytest.raises(PinnError, match="radius above 0"):
        Ball(x=0, y=0, radius=-1)
    with pytest.raises(PinnError, match="two coordinates, a ball three"):
        Ball(x=0, radius=1)
    with pytest.raises(PinnError, match="at least three corners"):
        Polygon(x=[0, 1], y=[0, 1])
    with pytest.raises(PinnError, match=r"no edge 7 \('base'\)"):
        Polygon(x=[0, 1, 0], y=[0, 0, 1], edges={"base": [7]})


def test_a_polygon_is_the_same_closed_or_not() -> None:
    corners = [(0, 0), (2, 0), (2, 1), (0, 1)]
    for closed in (corners, [*corners, corners[0]]):
        x, y = zip(*closed, strict=True)
        assert Polygon(x=x, y=y).face("boundary").measure == pytest.approx(6)


def test_outlines_in_svg(tmp_path: Path) -> None:
    pytest.importorskip("svgelements")
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">'
        '<path d="M 0 0 H 4 V 4 H 0 Z M 1 1 V 2 H 2 V 1 Z"/><circle cx="8" cy="8" r="1"/>{}</svg>'
    )
    file = tmp_path / "drawing.svg"
    file.write_text(drawing.format(""))
    shape = Polygon.read(file)
    assert shape.geometry.area == pytest.approx(15 + math.pi, rel=1e-3)
    assert shape.inside(np.array([[8, 8], [1.5, 1.5], [3, 3]])).tolist() == [True, False, True]
    file.write_text(drawing.format('<path d="M 0 0 L 5 5 L 6 0"/>'))
    with pytest.raises(PinnError, match="a path is not closed"):
        Polygon.read(file)
    file.write_text("<svg")
    with pytest.raises(PinnError, match="is no outline"):
        Polygon.read(file)
