"""Boxes and their faces."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from pinn.core import Box, PinnError

ends = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    names = draw(
        st.lists(
            st.sampled_from(["x", "y", "z", "t", "theta"]), min_size=1, max_size=4, unique=True
        )
    )
    intervals = {}
    for name in names:
        low, high = sorted((draw(ends), draw(ends)))
        assume(high - low > 1e-2 * max(abs(low), abs(high), 1))
        intervals[name] = (low, high)
    return Box(**intervals)


@st.composite
def faces(draw: st.DrawFn) -> tuple[Box, dict[str, float]]:
    """A box and some of its coordinates at one of their ends."""
    box = draw(boxes())
    fixed = draw(st.lists(st.sampled_from(box.names), min_size=1, unique=True))
    return box, {name: draw(st.sampled_from(box.intervals[name])) for name in fixed}


def written(fixed: dict[str, float]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in fixed.items())


@given(boxes())
def test_names_ends_and_dimension_agree(box: Box) -> None:
    assert box.dimension == len(box.names) == len(box.lower) == len(box.upper)
    assert (
        dict(zip(box.names, zip(box.lower, box.upper, strict=True), strict=True)) == box.intervals
    )
    assert all(low < high for low, high in box.intervals.values())


@given(faces(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_embedding_puts_points_on_the_face(
    chosen: tuple[Box, dict[str, float]], count: int, random: object
) -> None:
    box, fixed = chosen
    face = box.face(written(fixed))
    free = face.free
    dimension = 0 if free is None else free.dimension
    assert dimension == box.dimension - len(fixed)
    unit = np.random.default_rng(0).random((count, dimension))
    points = unit if free is None else free.lower + unit * (np.array(free.upper) - free.lower)
    embedded = face.embed(points)
    assert embedded.shape == (count, box.dimension)
    for column, name in enumerate(box.names):
        if name in fixed:
            assert (embedded[:, column] == fixed[name]).all()
        else:
            assert free is not None
            assert (embedded[:, column] == points[:, free.names.index(name)]).all()
    assert (embedded >= np.array(box.lower) - 1e-9).all()
    assert (embedded <= np.array(box.upper) + 1e-9).all()


@given(boxes())
def test_every_face_by_name(box: Box) -> None:
    for name, values in box.intervals.items():
        for value in values:
            assert box.face(f"{name}={value!r}").fixed == {name: value}
            assert box.face(f"  {name} = {value!r} ").fixed == {name: value}


@given(boxes())
def test_every_corner(box: Box) -> None:
    for values in product(*box.intervals.values()):
        corner = box.face(written(dict(zip(box.names, values, strict=True))))
        assert corner.free is None
        assert corner.embed(np.empty((1, 0))).tolist() == [list(values)]


@pytest.mark.parametrize(
    "text", ["", "x", "x=", "=0", "x=1.5", "z=0", "x=left", "x=nan", "x==0", "x=0,", "x=0 y=0"]
)
def test_what_is_not_a_face(text: str) -> None:
    with pytest.raises(
        PinnError, match=r"is not a face of the domain; its faces are x=0, x=1, y=-2"
    ):
        Box(x=(0, 1), y=(-2, 3)).face(text)


def test_a_rounded_end_is_taken_as_the_end() -> None:
    assert Box(x=(0, math.pi)).face("x=3.14159265359").fixed == {"x": math.pi}


@pytest.mark.parametrize(
    "interval", [(1, 1), (2, 1), (0, math.inf), (-math.inf, 0), (math.nan, 1), (0, math.nan)]
)
def test_an_interval_is_finite_and_not_empty(interval: tuple[float, float]) -> None:
    with pytest.raises(PinnError, match=r"x = .* is not a finite interval"):
        Box(x=interval)


def test_a_box_has_coordinates() -> None:
    with pytest.raises(PinnError, match="at least one coordinate"):
        Box()


def test_boxes_compare_by_value() -> None:
    assert Box(x=(0, 1)) == Box(x=(0.0, 1.0))
    assert Box(x=(0, 1)) != Box(x=(0, 2))
