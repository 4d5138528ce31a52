"""A sweep drawn: what it came to against each key, over the steps, and when phases began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinn.core.errors import printable
from pinn.core.records import Records
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.reporting.curves import HEIGHT, legend_above, log_axis, widened
from pinn.engine.reporting.page import DrawnFigure, FigureFolder, write_page
from pinn.engine.reporting.theme import round_ticks, tick_labels
from pinn.engine.sweeping.status import (
    SEED,
    Group,
    State,
    labelled,
    sweep_groups,
    sweep_states,
    write_table,
)
from pinn.engine.sweeping.sweep import Sweep, read_sweep

PAGE = "sweep.html"
SHOWN = 6
"""Groups in a figure over the steps, the best: as many as there are colours that can be told apart."""
NAMED = 12
"""Groups in the table of phases."""
FAR = 20
"""Times the smallest value that the largest is at least, where an axis is logarithmic."""
ROW = 0.16  # inches


@frozen
class SweepPage:
    """The page that was written of a sweep, and its groups, the best first."""

    page: Path
    groups: list[Group]


def draw_sweep(sweep: Sweep | str | Path, page: Path | None = None) -> SweepPage:
    """Write a page of a sweep, or of a sweep file, its figures into a folder beside it, and
    `results.csv` among the runs.

    Args:
        page: the file to write; `sweep.html` among the runs where none is named.

    Raises:
        PinnError: a file of a run cannot be read.
        TrainingError: a file cannot be written.
    """
    if not isinstance(sweep, Sweep):
        sweep = read_sweep(Path(sweep))
    if page is None:
        sweep.directory.mkdir(parents=True, exist_ok=True)
        page = sweep.directory / PAGE
    states = sweep_states(sweep)
    write_table(sweep, states)
    groups = sweep_groups(states)
    folder = FigureFolder(page.with_suffix(""))
    keys = [key for key in sweep.keys if key != SEED]
    against = [figure for key in keys for figure in _against(key, keys, groups, folder)]
    records = {state.run.name: _records(state) for group in groups for state in group.states}
    over_steps = [*_over_steps(groups, records, folder), *_events(groups, records, folder)]
    write_page(
        page,
        "sweep.html",
        name=printable(str(sweep.directory), 200),
        keys=keys,
        groups=groups,
        failed=[state for state in states if state.failure is not None],
        counts=_counts(states),
        against=against,
        over_steps=over_steps,
        folder=folder.folder.name,
    )
    return SweepPage(page, groups)


def _counts(states: Sequence[State]) -> str:
    whats = [state.what for state in states]
    return ", ".join(f"{whats.count(what):,} {what}" for what in dict.fromkeys(whats))


def _records(state: State) -> Records:
    return RunDirectory(state.run.config.directory).records()


def _against(
    key: str, keys: Sequence[str], groups: Sequence[Group], folder: FigureFolder
) -> Iterator[DrawnFigure]:
    """What runs came to over a key's values, a mark a run; a line of another key's, through medians,
    unless they differ in a third one, too."""
    if _distinct(key, groups) < 2:
        return
    other = next((o for o in keys if o != key and 1 < _distinct(o, groups) <= SHOWN), None)
    vary = [each for each in keys if each not in (key, other) and _distinct(each, groups) > 1]
    about = "A mark a run"
    if vary:
        about += f", which differ in {', '.join(vary)}, too"
    else:
        about += ", lines through the medians" + (f" of each {other}" if other else "")
    title = f"{groups[0].quantity} against {key}"
    draw = partial(_draw_against, key=key, other=other, groups=groups, joined=not vary)
    yield folder.add(f"against-{key}", title, f"{about}.", HEIGHT, draw)


def _distinct(key: str, groups: Sequence[Group]) -> int:
    return len({str(group.values.get(key, "")) for group in groups})


def _draw_against(
    figure: Figure, key: str, other: str | None, groups: Sequence[Group], joined: bool
) -> None:
    axes = figure.subplots()
    places = _places(axes, key, groups)
    lines: dict[str, dict[float, list[float]]] = {}
    for group in groups:
        label = labelled(other, group.values.get(other, "")) if other else ""
        here = lines.setdefault(label, {}).setdefault(places[str(group.values.get(key, ""))], [])
        here += [state.headline[1] for state in group.states if state.headline]
    handles = []
    for label, found in sorted(lines.items()):
        at = sorted(found)
        middles = [np.median(found[x]) for x in at]
        joint, style = ((at, middles), "-") if joined else (([], []), ".")
        (line,) = axes.plot(*joint, style, label=label, alpha=0.8)
        for x in at:
            axes.plot([x] * len(found[x]), found[x], ".", color=line.get_color(), ms=4)
        handles.append(line)
    every = [value for found in lines.values() for some in found.values() for value in some]
    log_axis(axes.yaxis, *widened(min(every), max(every), 1.05))
    axes.set_ylabel(groups[0].quantity)
    axes.set_xlabel(key)
    axes.grid(True)
    if other:
        rows = legend_above(figure, handles)
        figure.set_figheight(figure.get_figheight() + ROW * rows)


def _places(axes: Axes, key: str, groups: Sequence[Group]) -> dict[str, float]:
    """Where each value of the key stands: numbers on their axis, words one beside the other."""
    values = {str(group.values.get(key, "")): group.values.get(key, "") for group in groups}
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values.values()):
        found = {text: float(value) for text, value in values.items()}
        low, high = min(found.values()), max(found.values())
        if low > 0 and high >= FAR * low:
            log_axis(axes.xaxis, *widened(low, high, 1.1))
        else:
            margin = 0.05 * (high - low)
            axes.set_xlim(low - margin, high + margin)
            ticks = round_ticks(low - margin, high + margin)
            axes.set_xticks(ticks, tick_labels(ticks))
        return found
    words = sorted(values)
    axes.set_xticks(
        range(len(words)), [word if len(word) < 16 else f"{word[:14]}…" for word in words]
    )
    axes.set_xlim(-0.5, len(words) - 0.5)
    if sum(map(len, words)) > 40:
        axes.tick_params(axis="x", labelrotation=30)
    return {word: float(place) for place, word in enumerate(words)}


def _over_steps(
    groups: Sequence[Group], records: Mapping[str, Records], folder: FigureFolder
) -> Iterator[DrawnFigure]:
    """The median over the seeds of each group, and the range that it lies in."""
    if not groups:
        return
    quantity = groups[0].quantity
    bands = {
        group.label: band
        for group in groups[:SHOWN]
        if (band := _band([records[s.run.name].series(quantity) for s in group.states])) is not None
    }
    if bands:
        more = f" The best {SHOWN} of {len(groups)}." if len(groups) > SHOWN else ""
        about = f"Medians over the seeds, shaded from the smallest to the largest.{more}"
        draw = partial(_draw_bands, bands=bands, quantity=quantity)
        yield folder.add(f"steps-{quantity}", f"{quantity} over the steps", about, HEIGHT, draw)


Band = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
"""Steps, medians, smallest and largest values."""


def _band(series: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Band | None:
    """At the steps at which all were measured."""
    steps = sorted(set.intersection(*(set(found.tolist()) for found, _ in series)))
    if not steps:
        return None
    values = np.array([measured[np.isin(found, steps)] for found, measured in series], float)
    return np.array(steps), np.median(values, 0), values.min(0), values.max(0)


def _draw_bands(figure: Figure, bands: Mapping[str, Band], quantity: str) -> None:
    axes = figure.subplots()
    handles = []
    for label, (steps, middle, low, high) in bands.items():
        (line,) = axes.plot(steps, middle, label=label)
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.15, lw=0)
        handles.append(line)
    shown = np.concatenate([np.concatenate([low, high]) for _, _, low, high in bands.values()])
    positive = shown[np.isfinite(shown) & (shown > 0)]
    if len(positive):
        log_axis(axes.yaxis, *widened(positive.min(), positive.max(), 1.05))
    every = np.concatenate([steps for steps, *_ in bands.values()])
    log_axis(axes.xaxis, *widened(max(every.min(), 1), every.max(), 1.02), whole=True)
    axes.set_xlabel("step")
    axes.set_ylabel(quantity)
    axes.grid(True)
    if len(bands) > 1:
        rows = legend_above(figure, handles)
        figure.set_figheight(figure.get_figheight() + ROW * rows)


def _events(
    groups: Sequence[Group], records: Mapping[str, Records], folder: FigureFolder
) -> Iterator[DrawnFigure]:
    """When an event came in the runs of each group, a mark a seed."""
    observers = [o for g in groups for s in g.states for o in s.run.config.observers]
    for event in dict.fromkeys(event for o in observers for event in o.analyzer.events):
        found = {
            ", ".join(map(str, group.values.values())) or "all": [
                (records[s.run.name].last(event), s.step) for s in group.states
            ]
            for group in groups[:NAMED]
        }
        if any(step is not None for marks in found.values() for step, _ in marks):
            keys = ", ".join(groups[0].values)
            about = "A mark a seed; hollow at its last step where a run did not come to it."
            about += f" Rows are {keys}, the best first." if keys else ""
            height = 0.6 + ROW * len(found)
            draw = partial(_draw_events, found=found)
            yield folder.add(
                event, f"{event.replace('_', ' ')}: from which step", about, height, draw
            )


def _draw_events(figure: Figure, found: Mapping[str, Sequence[tuple[Any, int]]]) -> None:
    axes = figure.subplots()
    for row, marks in enumerate(found.values()):
        for step, last in marks:
            known = step is not None
            face = "C0" if known else "none"
            axes.plot([step if known else last], [row], "o", ms=4, mfc=face, mec="C0", mew=0.8)
    steps = [float(step if step is not None else last) for m in found.values() for step, last in m]
    log_axis(axes.xaxis, *widened(max(min(steps), 1), max(steps), 1.1), whole=True)
    axes.set_yticks(
        range(len(found)), [f"{label[:24]}…" if len(label) > 25 else label for label in found]
    )
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("step")
    axes.grid(True, axis="x")
