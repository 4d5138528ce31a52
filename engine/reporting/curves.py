"""Draws `Curves`: quantities over the logarithm of the steps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from pinn.core.plots import Curves, Drawing, Span, ordered_colour
from pinn.core.records import Records
from pinn.engine.reporting.theme import CYCLE, LIGHT, RC, log_ticks, round_ticks, tick_labels
from pinn.engine.reporting.thinning import evenly

HEIGHT = 2.1  # inches: curves without legend and labels
ROW = 0.155  # inches: a line of text above them
AXES_WIDTH = 2.6  # inches, at least: what span labels must fit into
LABEL_ROWS = 3
MARKED = 25  # measurements that are marked one by one
MEDIANS = 200
WINDOW = 1.2
NAMED = 20
"""Lines that have names and marks, at most: of more one would not find one's own."""


@frozen(eq=False)
class Line:
    """A recorded quantity to draw; `place` chooses its colour."""

    label: str
    steps: NDArray[Any]
    values: NDArray[Any]
    place: int


def line(records: Records, name: str, label: str, place: int, log: bool) -> Line | None:
    """The quantity `name` as far as it can be drawn; None where nothing can."""
    steps, values = records.series(name)
    if values.ndim > 1 or not np.issubdtype(values.dtype, np.number):
        values = np.array([v if isinstance(v, int | float) else np.nan for v in values], float)
    steps, values = steps[steps > 0].astype(float), values[steps > 0].astype(float)
    drawable = np.isfinite(values) & ((values > 0) | (not log))
    return Line(label, steps, np.where(drawable, values, np.nan), place) if drawable.any() else None


def lines(curves: Curves, records: Records) -> list[Line]:
    """What was recorded of the quantities."""
    found = [
        line(records, name, label, place, curves.log)
        for place, (name, label) in enumerate(curves.quantities.items())
    ]
    return [drawable for drawable in found if drawable is not None]


def draw_curves(
    figure: Figure,
    curves: Curves,
    found: Sequence[Line],
    spans: Sequence[Span] = (),
    steps: tuple[float, float] | None = None,
) -> None:
    """Lines over the logarithm of the steps, spans shaded behind them.

    Args:
        steps: the ends of the horizontal axis; those of the lines if None.
    """
    axis = figure.subplots()
    styles = list(CYCLE)
    handles = []
    for one in found:
        style = styles[one.place % len(styles)]
        if curves.ordered:
            style = {"color": ordered_colour(one.place, len(curves.quantities)), "linestyle": "-"}
        handles.append(_draw_line(axis, one, curves.noisy, style, named=len(found) <= NAMED))
    first, last = steps or (
        min(one.steps[0] for one in found),
        max(one.steps[-1] for one in found),
    )
    _vertical(axis, curves, found)
    rows = _over_steps(axis, first, last, spans)
    rows += legend_above(figure, handles) if 1 < len(found) <= NAMED else 0
    figure.set_figheight(HEIGHT + ROW * rows)


def draw_over_steps(
    figure: Figure, drawing: Drawing, spans: Sequence[Span], steps: tuple[float, float]
) -> None:
    """A drawing whose axes stand one above the other over the steps, with the spans shaded."""
    drawing.draw(figure)
    for place, axis in enumerate(figure.axes):
        if axis.get_yscale() == "log":
            log_axis(axis.yaxis, *axis.get_ylim())
        rows = _over_steps(axis, *steps, spans, labelled=place == 0)
        figure.set_figheight(figure.get_figheight() + ROW * rows)
    for axis in figure.axes[:-1]:
        axis.set_xlabel("")
        axis.tick_params(labelbottom=False)


def _over_steps(
    axis: Axes, first: float, last: float, spans: Sequence[Span], labelled: bool = True
) -> int:
    """Steps from left to right, spans behind; returns the rows that the labels of these take."""
    log_axis(axis.xaxis, *widened(max(first, 1), last, 1.02), whole=True)
    axis.set_xlabel("step")
    axis.grid(True)
    return _shade(axis, spans, labelled)


def _draw_line(axis: Axes, one: Line, noisy: bool, style: dict[str, Any], named: bool) -> Line2D:
    steps, values = one.steps, one.values
    if noisy:
        axis.plot(steps, values, ".", color=style["color"], alpha=0.4, ms=3.5, mew=0)
        steps, values = running_median(steps, values)
    (handle,) = axis.plot(steps, values, marker=".", label=one.label, **style)
    handle.set_markevery(np.flatnonzero(_marked(values, MARKED if named else 0)).tolist())
    return handle


def _marked(values: NDArray[Any], few: int) -> NDArray[np.bool_]:
    """Measurements that no line would show, or all if there are only so few."""
    good = np.isfinite(values)
    padded = np.concatenate([[False], good, [False]])
    alone = good & ~padded[:-2] & ~padded[2:]
    return good if good.sum() <= few else alone


def running_median(steps: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Medians of the finite values between step / 1.2 and 1.2 step, at up to 200 steps."""
    good = np.isfinite(values)
    steps, values = steps[good], values[good]
    chosen = steps[evenly(steps, MEDIANS)]
    begins = np.searchsorted(steps, chosen / WINDOW, "left")
    ends = np.searchsorted(steps, chosen * WINDOW, "right")
    return chosen, np.array([np.median(values[b:e]) for b, e in zip(begins, ends, strict=True)])


def _vertical(axis: Axes, curves: Curves, found: Sequence[Line]) -> None:
    axis.set_ylabel(curves.ylabel)
    values = np.concatenate([one.values for one in found])
    low, high = curves.limits or (np.nanmin(values), np.nanmax(values))
    if curves.log:
        log_axis(axis.yaxis, *widened(low if low > 0 else np.nanmin(values), high, 1.01))
        return
    margin = 0.03 * (high - low) or 0.1 * abs(high) or 1.0  # no curve on the edge is cut in half
    axis.set_ylim(low - margin, high + margin)
    ticks = round_ticks(*((low, high) if curves.limits else axis.get_ylim()))
    if not (values[np.isfinite(values)] % 1).any():  # counts have no quarters
        ticks = [tick for tick in ticks if tick % 1 == 0] or ticks
    axis.set_yticks(ticks, tick_labels(ticks))


def widened(low: float, high: float, least: float) -> tuple[float, float]:
    """A logarithmic range with room at its ends, however narrow it was."""
    factor = max((high / low) ** 0.03, least)
    return low / factor, high * factor


def log_axis(axis: Any, low: float, high: float, whole: bool = False) -> None:
    name = axis.axis_name
    axis.axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    major, minor = log_ticks(low, high)
    if whole:
        major = [tick for tick in major if tick == round(tick)] or major
    axis.set_ticks(major, tick_labels(major))
    axis.set_ticks(minor, minor=True)
    axis.set_minor_formatter(NullFormatter())


def _shade(axis: Axes, spans: Sequence[Span], labelled: bool) -> int:
    """Shade the spans, write their labels above the axes, and return the rows that these take."""
    low, high = np.log(axis.get_xlim())
    rows: list[float] = []
    for i, span in enumerate(spans):
        ends = np.log([max(span.begin, 1), max(span.end, 1)])
        begin, end = ((ends - low) / (high - low)).clip(0, 1)
        if end <= begin:
            continue
        colour = LIGHT["shade1" if i % 2 else "shade2"]
        axis.axvspan(
            *np.exp(low + np.array([begin, end]) * (high - low)), color=colour, lw=0, zorder=0
        )
        if not labelled:
            continue
        text = axis.text(0, 0, span.label, fontsize=RC["font.size"] - 1, ha="center", va="bottom")
        half = text.get_window_extent().width / axis.figure.dpi / AXES_WIDTH / 2
        middle = min(max((begin + end) / 2, half), max(1 - half, half))
        row = next((r for r, taken in enumerate(rows) if middle - half > taken), len(rows))
        if row == LABEL_ROWS:
            text.remove()
            continue
        rows[row : row + 1] = [middle + half + 0.02]
        text.set_transform(axis.transAxes)
        text.set_position((middle, 1.02 + row * ROW / HEIGHT * 1.2))
    return len(rows)


def legend_above(figure: Figure, handles: list[Line2D]) -> int:
    """A legend above the axes, in as many columns as fit; returns its rows."""
    for columns in _columns(len(handles)):
        across = [h for c in range(columns) for h in handles[c::columns]]  # row by row
        labels = [textwrap.fill(str(h.get_label()), 48) for h in across]
        legend = figure.legend(across, labels, loc="outside upper left", ncols=columns)
        if columns == 1 or legend.get_window_extent().width < 0.98 * figure.bbox.width:
            break
        legend.remove()
    return -(-len(handles) // columns) + sum(label.count("\n") for label in labels)


def _columns(count: int) -> list[int]:
    """Numbers of columns, most first, whose rows are as even as they can be."""
    return sorted({-(-count // rows) for rows in range(1, count + 1)} & {1, 2, 3, 4})[::-1]
