"""`report.html`: what a person looks at after a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from numpy.typing import NDArray

from pinn.core.blame import explained
from pinn.core.errors import PinnError, TrainingError, printable
from pinn.core.files import read_file
from pinn.core.plots import Drawing, Plot
from pinn.core.records import Records
from pinn.core.tracebacks import one_line
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.unbuilt import Described, Unbuilt
from pinn.engine.reporting.content import Section, sections, subject
from pinn.engine.reporting.curves import HEIGHT, draw_curves, draw_over_steps, lines
from pinn.engine.reporting.diagnosis import concluded
from pinn.engine.reporting.figures import (
    coordinates_of,
    own_curves,
    solution_drawings,
    solutions,
)
from pinn.engine.reporting.page import DrawnFigure, FigureFolder, write_page

T = TypeVar("T")

ABOUT = (
    "What the network learned, beside the reference where there is one, and how its loss fell. "
    "Where the difference shows a pattern, the network has not learned that part yet."
)


Tell = Callable[[str], None]


def write_report(path: str | Path, tell: Tell | None = None) -> Path:
    """Write the report of the run in the directory `path`, and return where it is.

    Args:
        tell: is told what of the run cannot be read, and is left out; the report says so, too.

    Raises:
        PinnError: there is no run, or its configuration is not one.
        TrainingError: a file cannot be written.
    """
    directory = RunDirectory(Path(path))
    config = directory.read_described()
    return draw_report(directory, config, directory.records(), tell)


def draw_report(
    directory: RunDirectory, config: Described, records: Records, tell: Tell | None = None
) -> Path:
    """Write `report.html`, and its figures as PDF and PNG in `figures/`."""
    left_out = [config.lacking] if isinstance(config, Unbuilt) else []
    left_out += [f"{directory.metrics}: {text}" for text in records.damage]

    def readable(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except PinnError as error:
            left_out.append(str(error))
            return None

    summary = readable(directory.read_summary) or {}
    environment = readable(directory.read_environment) or {}
    arrays = readable(directory.read_predictions)
    about = subject(config, summary.get("parameters"), environment.get("device"))
    solution = readable(lambda: _solution(arrays, about.coordinates, directory.predictions)) or []
    for text in left_out:
        if tell is not None:
            tell(f"left out: {text}")
    own = Section("Solution and loss", ABOUT, [*solution, *own_curves(records)])
    of_analyzers = sections(config, records)
    figures = RunFigures(FigureFolder(directory.figures), records, of_analyzers)
    drawn = [figures.drawn(section) for section in (own, *of_analyzers)]
    seconds = summary.get("seconds") or {"training": records.last("seconds") or 0.0}
    write_page(
        directory.report,
        "report.html",
        about=about,
        complete=bool(summary.get("complete")),
        steps=max(records.rows[-1]["step"] if records.rows else 0, summary.get("steps", 0)),
        facts=[("Run", printable(directory.path.resolve().name, 200)), *about.facts],
        results=results(config, records),
        phases=[(section.name, section.spans) for section in of_analyzers if section.spans],
        conclusions=concluded(of_analyzers, records, summary.get("notes", [])),
        left_out=left_out,
        sections=[section for section in drawn if section.figures or section.faults],
        seconds=seconds,
        costs=_costs(seconds),
        toml=(read_file(directory.config, directory.path) or b"").decode("utf-8-sig"),
        environment=json.dumps(environment, indent=2, ensure_ascii=False),
    )
    return directory.report


def draw_figures(config: Described, records: Records, folder: Path) -> list[Path]:
    """Draw what a run has recorded so far into `folder`; returns the PNG files."""
    own = Section("training", "", [*own_curves(records)])
    of_analyzers = sections(config, records)
    figures = RunFigures(FigureFolder(folder), records, of_analyzers)
    drawn = [f for section in (own, *of_analyzers) for f in figures.drawn(section).figures]
    return [folder / f"{figure.name}.png" for figure in drawn]


class RunFigures:
    """Draws what sections declare, over the steps of one run and with the spans of all shaded."""

    def __init__(self, folder: FigureFolder, records: Records, shading: Sequence[Section]) -> None:
        self.folder = folder
        self.records = records
        self.spans = [span for section in shading for span in section.spans]
        steps = records.rows.steps[records.rows.steps > 0]
        self.steps = (steps.min(), steps.max()) if len(steps) else None

    def drawn(self, section: Section) -> Section:
        """The section with its figures; one that cannot be drawn is a fault more."""
        figures, faults = [], [*section.faults]
        for plot in section.plots:
            try:
                figure = self.figure(plot)
            except TrainingError:  # a file cannot be written
                raise
            except Exception as error:  # whatever a plugin does, the others are shown
                faults.append(f"figure {getattr(plot, 'name', plot)!r}: {explained(error)}")
                continue
            if figure is not None:
                figures.append(figure)
        return evolve(section, figures=figures, faults=faults)

    def figure(self, plot: Plot) -> DrawnFigure | None:
        """The figure that is declared; None where nothing of it was recorded."""
        add = partial(self.folder.add, plot.name, plot.title)
        if isinstance(plot, Drawing):
            draw = plot.draw
            if plot.over_steps and self.steps:
                draw = partial(draw_over_steps, drawing=plot, spans=self.spans, steps=self.steps)
            return add(plot.caption, plot.height, draw)
        found = lines(plot, self.records)
        if not found:
            return None
        draw = partial(draw_curves, curves=plot, found=found, spans=self.spans, steps=self.steps)
        return add(caption(plot.caption, plot.noisy), HEIGHT, draw)


def caption(text: str, noisy: bool) -> str:
    return f"{text} Dots: measurements. Line: their running median.".strip() if noisy else text


def results(config: Described, records: Records) -> list[tuple[str, str, Any]]:
    """(quantity, who measured it, final value): the loss, and what each analyzer shows."""
    shows = [(o.analyzer.shows, o.analyzer.name) for o in config.observers if o.analyzer.shows]
    recorded = set(records.names)
    unknown = [(name, "unknown") for name in records.names if name.startswith("unknown.")]
    return [
        (name, who, records.last(name))
        for name, who in [("loss.unweighted", "loss"), *unknown, *shows]
        if name in recorded
    ]


def _costs(seconds: Mapping[str, float]) -> list[tuple[str, float, str]]:
    """(who, seconds, share of the training)"""
    training = seconds.get("training", 0.0)
    return [
        (name, spent, f"{100 * spent / training:.1f} %" if training else "–")
        for name, spent in seconds.items()
        if name not in ("training", "compiling")
    ]


def _solution(
    arrays: Mapping[str, NDArray[Any]] | None, coordinates: Sequence[str] | None, file: Path
) -> list[Plot]:
    if arrays is None:
        return []
    try:
        return list(
            solution_drawings(solutions(list(coordinates or coordinates_of(arrays)), arrays))
        )
    except Exception as error:  # arrays of other names and shapes than a run writes
        raise PinnError(f"{file}: is not what this run writes: {one_line(error)}") from None
