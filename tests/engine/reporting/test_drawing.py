"""Figures: what is drawn of the records, how it is laid out, and how it is saved."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pinn.core.plots import Curves, Span, ordered_colour
from pinn.core.records import Records
from pinn.engine.reporting.curves import Line, draw_curves, lines, running_median
from pinn.engine.reporting.figures import Solution, loss_curves, solution_drawings, solutions
from pinn.engine.reporting.page import DPI, Picture, picture
from pinn.engine.reporting.theme import (
    DARK,
    LIGHT,
    WIDTH,
    inline,
    log_ticks,
    number,
    shown,
    stylesheet,
    theme,
    tick_labels,
    write_powers_as_text,
)

pytestmark = pytest.mark.draws

PHASES = (Span("fitting", 0, 150), Span("diffusion", 150, 900), Span("total diffusion", 900, 1000))


def records(**series: dict[int, Any]) -> Records:
    made = Records(Path("/nowhere"))
    for step in sorted({step for values in series.values() for step in values}):
        row = {name: values[step] for name, values in series.items() if step in values}
        made.rows.append({"step": step, **row})
    return made


def curves(*names: str, **options: Any) -> Curves:
    options = {"title": "What is seen", "ylabel": "y", **options}
    return Curves(name="curves", quantities={name: f"label {name}" for name in names}, **options)


def growing(count: int = 3) -> list[Line]:
    steps = np.geomspace(1, 1000, 40).round()
    return [Line(f"layer {i + 1}", steps, steps ** (0.1 * i), i) for i in range(count)]


@pytest.fixture
def figure() -> Iterator[Figure]:
    with theme():
        yield Figure(figsize=(WIDTH, 2), layout="constrained")


# what is drawn


def test_zeros_negatives_and_what_is_not_finite_are_masked_on_a_logarithmic_axis() -> None:
    found = records(a={0: 9.0, 1: 1.0, 2: 0.0, 3: -1.0, 4: None, 5: 2.0})
    (on_log,) = lines(curves("a"), found)
    np.testing.assert_equal(on_log.steps, [1, 2, 3, 4, 5])
    np.testing.assert_equal(on_log.values, [1, np.nan, np.nan, np.nan, 2])
    (linear,) = lines(curves("a", log=False), found)
    np.testing.assert_equal(linear.values, [1, 0, -1, np.nan, 2])


def test_what_was_not_recorded_or_has_nothing_to_draw_is_left_out_and_keeps_no_colour() -> None:
    found = records(a={1: 0.0}, word={1: "fitting"}, several={1: [1.0, 2.0]}, b={1: 3.0})
    (kept,) = lines(curves("a", "missing", "word", "several", "b"), found)
    assert (kept.label, kept.place) == ("label b", 4)


def test_a_single_measurement_and_one_between_gaps_are_marked(figure: Figure) -> None:
    alone = Line("a", np.array([7.0]), np.array([2.0]), 0)
    draw_curves(figure, curves("a"), [alone])
    assert figure.axes[0].lines[0].get_markevery() == [0]

    many = np.ones(60)
    many[[10, 12]] = np.nan
    draw_curves(other := Figure(), curves("a"), [Line("a", np.arange(1.0, 61), many, 0)])
    assert other.axes[0].lines[0].get_markevery() == [11]


values = st.lists(st.floats(-1e3, 1e3) | st.just(np.nan), min_size=1, max_size=60)


@given(values, st.integers(0, 10_000))
def test_running_medians_are_those_of_the_window_around_each_step(
    measured: list[float], seed: int
) -> None:
    random = np.random.default_rng(seed)
    steps = np.sort(random.choice(5000, len(measured), replace=False)) + 1.0
    array = np.array(measured)
    if np.isnan(array).all():
        return
    chosen, medians = running_median(steps, array)
    for step, median in zip(chosen, medians, strict=True):
        near = (steps >= step / 1.2) & (steps <= step * 1.2) & np.isfinite(array)
        assert median == np.median(array[near])


def test_noisy_curves_are_dots_under_their_median(figure: Figure) -> None:
    draw_curves(figure, curves("a", noisy=True), growing(2)[1:])
    dots, line = figure.axes[0].lines
    assert dots.get_linestyle() == "None"
    assert dots.get_alpha() < 1
    assert dots.get_color() == line.get_color()


def test_ordered_curves_are_coloured_in_order(figure: Figure) -> None:
    draw_curves(figure, curves("a", "b", "c", ordered=True), growing())
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours == [ordered_colour(i, 3) for i in range(3)]
    assert len(set(colours)) == 3


def test_limits_are_kept_clear_of_the_edge(figure: Figure) -> None:
    draw_curves(figure, curves("a", log=False, limits=(0, 1)), growing(1))
    low, high = figure.axes[0].get_ylim()
    assert -0.1 < low < 0
    assert 1 < high < 1.1


@pytest.mark.parametrize(("values", "whole"), [([1.0, 2.0, 1.0], True), ([1.0, 1.5, 2.0], False)])
def test_counts_have_no_ticks_between_whole_numbers(values: list[float], whole: bool) -> None:
    figure = Figure()
    found = Line("a", np.array([1.0, 2.0, 3.0]), np.array(values), 0)
    draw_curves(figure, curves("a", log=False), [found])
    ticks = figure.axes[0].get_yticks()
    assert len(ticks) >= 2
    assert (ticks % 1 == 0).all() == whole


def test_the_loss_shows_its_terms_where_there_are_several() -> None:
    one = records(**{"loss": {1: 1.0}, "loss.unweighted": {1: 2.0}, "loss.pde": {1: 1.0}})
    assert list(loss_curves(one).quantities) == ["loss.unweighted", "loss"]
    one.rows = [{**one.rows[0], "loss.walls": 0.5}, *one.rows[1:]]
    assert list(loss_curves(one).quantities)[2:] == ["loss.pde", "loss.walls"]


# layout


def within(inner: Bbox, outer: Bbox) -> bool:
    return (
        inner.x0 >= outer.x0 - 1
        and inner.x1 <= outer.x1 + 1
        and inner.y0 >= outer.y0 - 1
        and inner.y1 <= outer.y1 + 1
    )


@pytest.mark.parametrize("spans", [(), PHASES, [Span(f"stretch {i}", i, i + 9) for i in range(40)]])
@pytest.mark.parametrize("count", [1, 2, 6, 13])
def test_nothing_is_cut_and_no_label_covers_another(
    figure: Figure, spans: tuple[Span, ...], count: int
) -> None:
    draw_curves(figure, curves(*"abcdefghijklm"[:count]), growing(count), spans)
    figure.draw_without_rendering()
    (axis,) = figure.axes
    ticks = [t for t in axis.get_xticklabels() + axis.get_yticklabels() if t.get_text()]
    labels = [text.get_window_extent() for text in axis.texts]
    assert len(figure.legends) == (count > 1)
    legends = [legend.get_window_extent() for legend in figure.legends]
    names = [axis.xaxis.label, axis.yaxis.label]
    everything = [*labels, *legends, *(t.get_window_extent() for t in [*ticks, *names])]
    assert all(within(box, figure.bbox) for box in everything)
    for some in (labels + legends, [t.get_window_extent() for t in axis.get_xticklabels()]):
        for i, box in enumerate(some):
            assert not any(box.overlaps(other) for other in some[:i])
    assert all(box.y0 >= axis.bbox.y1 - 1 for box in labels + legends)


def test_spans_are_shaded_from_step_to_step_and_named(figure: Figure) -> None:
    draw_curves(figure, curves("a"), growing(1), PHASES)
    (axis,) = figure.axes
    shades = [patch.get_extents().transformed(axis.transData.inverted()) for patch in axis.patches]
    assert [round(shade.x0) for shade in shades] == [1, 150, 900]
    assert [round(shade.x1) for shade in shades] == [150, 900, 1000]
    assert [text.get_text() for text in axis.texts] == [span.label for span in PHASES]


@given(st.floats(1e-12, 1e12), st.floats(1.02, 1e15))
def test_logarithmic_ticks_are_few_and_in_range(low: float, ratio: float) -> None:
    major, minor = log_ticks(low, low * ratio)
    assert 2 <= len(major) <= 10
    assert major == sorted(set(major))
    assert len(set(tick_labels(major))) == len(major)
    assert all(low * 0.999 <= tick <= low * ratio * 1.001 for tick in major + minor)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1500, "1,500"), (12345.678, "12,346"), (0.01234, "0.0123"), (-2.5, "−2.5"),
        (1.234e-5, "1.23·10⁻⁵"), (1e6, "10⁶"), (-1e-7, "−1·10⁻⁷"), (9.999e-4, "0.001"),
    ],
)  # fmt: skip
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_values_may_be_words_or_missing() -> None:
    found = [shown(value) for value in (None, float("nan"), "diffusion", 91700, [1, 2], 0.5)]
    assert found == ["–", "–", "diffusion", "91,700", "2 values", "0.5"]


# files


@pytest.fixture(scope="module")
def drawn() -> Picture:
    title = "A title so long that it takes two lines of a figure which is a column wide"
    draw = partial(draw_curves, curves=curves("a", "b", "c"), found=growing(), spans=PHASES)
    return picture(title, 2.0, draw)


def test_the_same_figure_is_the_same_bytes_whatever_the_caller_has_set(drawn: Picture) -> None:
    title = "A title so long that it takes two lines of a figure which is a column wide"
    draw = partial(draw_curves, curves=curves("a", "b", "c"), found=growing(), spans=PHASES)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        again = picture(title, 2.0, draw)
        assert matplotlib.rcParams["font.size"] == 20
    assert again == drawn
    assert b"CreationDate" not in drawn.pdf
    assert "<dc:date>" not in drawn.svg


def test_print_is_a_column_wide_and_has_the_title(drawn: Picture) -> None:
    height, width, _ = imread(io.BytesIO(drawn.png)).shape
    assert width == WIDTH * DPI
    _, _, wide, high = map(float, re.findall(r'viewBox="([^"]*)"', drawn.svg)[0].split())
    assert wide == pytest.approx(WIDTH * 72)
    assert height / DPI > high / 72 + 0.25  # two lines


def test_an_inline_figure_follows_the_page(drawn: Picture) -> None:
    svg = inline(drawn.svg, "snr", "a &amp; b")
    assert svg.startswith("<svg viewBox=")
    assert "<metadata" not in svg
    assert "<style" not in svg
    for name in ("ink", "c1", "c2", "c3", "shade1", "shade2"):
        assert f"var(--{name})" in svg
        assert LIGHT[name] not in svg
        assert LIGHT[name] in stylesheet()
        assert DARK[name] in stylesheet()
    ids = re.findall(r' id="([^"]*)"', svg)
    assert len(set(ids)) == len(ids)
    assert {i.split("-")[0] for i in ids} == {"snr"}
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', svg)) == set(ids)


def test_light_and_dark_define_the_same_colours_once() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


# the solution


X = np.linspace(0, 1, 5)
SHOWN = {"t": ("0.25", "0.75", "1"), "z": ("0.25", "0.5", "0.75")}


def solved(*coordinates: str, name: str = "u", known: bool = True) -> Solution:
    shape = (len(X),) * len(coordinates)
    network = np.arange(np.prod(shape), dtype=float).reshape(shape)
    along = dict.fromkeys(coordinates, X)
    return Solution(name, along, network, network + 2e-5 * X if known else None)


def drawing_of(solution: Solution) -> tuple[str, Figure]:
    (drawing,) = solution_drawings([solution])
    with theme():
        figure = Figure(figsize=(WIDTH, drawing.height), layout="constrained")
        drawing.draw(figure)
        figure.draw_without_rendering()
    return drawing.title, figure


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("coordinates", ["x", "xt", "tx", "xy", "xyt", "xyz", "xyzt"])
def test_solutions_of_any_dimension_are_drawn_with_or_without_reference(
    coordinates: str, known: bool
) -> None:
    title, figure = drawing_of(solved(*coordinates, known=known))
    panels = [axis.get_title(loc="left") for axis in figure.axes if axis.get_title(loc="left")]
    rows = ["network", "reference", "network − reference, in 10⁻⁵"]
    if len(coordinates) == 1:
        assert len(figure.axes) == (2 if known else 1)
        assert [len(axis.lines) for axis in figure.axes] == ([2, 1] if known else [1])
    elif len(coordinates) == 2:
        assert panels == (rows if known else rows[:1])
    else:
        last = "z" if "t" not in coordinates else "t"
        at = [f"{last} = {place}" for place in SHOWN[last]]
        labels = ["network", "reference", "error, in 10⁻⁵"] if known else ["network"]
        assert panels == at
        assert [axis.get_ylabel() for axis in figure.axes[-len(labels) :]] == labels
    assert title == ("Solution u at z = 0.5" if coordinates == "xyzt" else "Solution u")


def test_planes_are_those_of_their_time_and_blank_where_nothing_is_known() -> None:
    solution = solved("x", "y", "t")
    solution.network[0, 0, 4] = np.nan
    _, figure = drawing_of(solution)
    (mesh,) = figure.axes[2].collections
    shown = mesh.get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan), solution.network[:, :, 4].T)
    assert shown.mask.sum() == 1


def at_points(*coordinates: str) -> Solution:
    places = np.random.default_rng(0).uniform(size=(len(coordinates), 30))
    u = np.arange(30.0)
    return Solution("u", dict(zip(coordinates, places, strict=True)), u, u + 1)


@pytest.mark.parametrize("coordinates", ["xt", "xy"])
def test_a_reference_at_scattered_points_is_drawn_as_points(coordinates: str) -> None:
    solution = at_points(*coordinates)
    _, figure = drawing_of(solution)
    for axis, values in zip(figure.axes, (solution.network, solution.reference), strict=False):
        (marks,) = axis.collections
        np.testing.assert_array_equal(marks.get_array(), values)
        order = [*coordinates] if coordinates == "xy" else ["t", "x"]
        across, up = (solution.coordinates[name] for name in order)
        np.testing.assert_array_equal(marks.get_offsets(), np.stack([across, up], 1))


def test_scattered_points_of_more_coordinates_are_drawn_one_against_the_other() -> None:
    solution = at_points("x", "y", "z")
    _, figure = drawing_of(solution)
    points = figure.axes[0].lines[1]
    np.testing.assert_array_equal(points.get_xdata(), solution.reference)
    np.testing.assert_array_equal(points.get_ydata(), solution.network)


def test_a_reference_at_one_time_is_a_curve() -> None:
    u = np.arange(5.0)[:, None]
    title, figure = drawing_of(Solution("u", {"x": X, "t": np.ones(1)}, u, u))
    assert title == "Solution u at t = 1"
    assert figure.axes[-1].get_xlabel() == "x"


@pytest.mark.parametrize("coordinates", ["xt", "tx"])
def test_time_runs_from_left_to_right(coordinates: str) -> None:
    solution = solved(*coordinates)
    _, figure = drawing_of(solution)
    assert figure.axes[2].get_xlabel() == "t"
    assert figure.axes[0].get_ylabel() == "x"
    (mesh,) = figure.axes[0].collections
    expected = solution.network if coordinates == "xt" else solution.network.T
    np.testing.assert_array_equal(mesh.get_array(), expected)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e-300])
def test_a_solution_without_contrast_is_drawn(value: float) -> None:
    flat = np.full((5, 5), value)
    drawing_of(Solution("u", {"x": X, "y": X}, flat, flat))


def test_the_saved_arrays_give_every_observable_but_numbers() -> None:
    u = np.arange(25.0).reshape(5, 5)
    arrays = {"x": X, "t": X, "u": u, "u_reference": u, "u_error": 0 * u, "speed": u, "my_error": u}
    number = {"drag": 5 + 0 * u, "drag_reference": 6 + 0 * u, "drag_error": -1 + 0 * u}
    found = solutions(["x", "t"], arrays | number)
    assert [s.name for s in found] == ["u", "speed", "my_error"]
    assert [s.reference is None for s in found] == [False, True, True]
    assert [d.name for d in solution_drawings(found)] == [
        "solution", "solution-speed", "solution-my_error",
    ]  # fmt: skip


def test_no_label_is_a_formula() -> None:
    """Not even those of axes that a drawing leaves to matplotlib."""
    seen: list[str] = []

    def draw(figure: Figure) -> None:
        for axis, ends in zip(figure.subplots(2, 1), ([1e-9, 1e5], [2.0, 7.0]), strict=True):
            axis.loglog(ends, ends)

    drawn = picture("powers", 2.0, draw)
    with theme():
        figure = Figure()
        draw(figure)
        write_powers_as_text(figure)
        figure.draw_without_rendering()
        seen += [text.get_text() for text in figure.findobj(Text)]
    assert "10⁻⁹" in seen
    assert not [text for text in seen if "$" in text]
    assert "mathdefault" not in drawn.svg
