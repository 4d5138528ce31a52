"""`report.html`: what a person looks at after a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from attrs import field, frozen

from pinn.core.blame import fault
from pinn.core.errors import PinnError, TrainingError
from pinn.core.plots import Drawing, Plot, Span
from pinn.core.records import Records
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.watched import Watched
from pinn.engine.reporting.content import Chapter, chapters
from pinn.engine.reporting.curves import HEIGHT, draw_curves, draw_over_steps, lines
from pinn.engine.reporting.figures import loss, solution_drawings, solutions, unknowns
from pinn.engine.reporting.page import Exhibit, Gallery, write_page
from pinn.engine.reporting.subject import subject

ABOUT = (
    "What the network learned, beside the reference where there is one, and how its loss fell. "
    "Where the difference shows a pattern, the network has not learned that part yet."
)


@frozen
class Section:
    heading: str
    about: str
    exhibits: list[Exhibit] = field(factory=list)
    faults: list[str] = field(factory=list)


def report(path: str | Path) -> Path:
    """Write the report of the run in the directory `path`, and return where it is.

    Raises:
        PinnError: there is no run, or its configuration needs what is not installed.
        TrainingError: a file cannot be written.
    """
    directory = RunDirectory(Path(path))
    config = directory.read_config()
    return write_report(directory, config, Records(directory.metrics))


def write_report(directory: RunDirectory, config: Config | Watched, records: Records) -> Path:
    """Write `report.html`, and its figures as PDF and PNG in `figures/`."""
    told = chapters(config, records)
    spans = [span for chapter in told for span in chapter.spans]
    summary, environment = _json(directory.summary), _json(directory.environment)
    about = subject(config, summary.get("parameters"), environment.get("device"))
    easel = Easel(Gallery(directory.figures), records, spans)
    own = easel.section(
        Chapter(
            "Solution and loss",
            ABOUT,
            [*_solution(directory, about.coordinates), loss(records), *unknowns(records)],
        )
    )
    sections = [own, *map(easel.section, told)]
    seconds = summary.get("seconds") or {"training": records.last("seconds") or 0.0}
    write_page(
        directory.report,
        "report.html",
        about=about,
        complete=bool(summary.get("complete")),
        steps=records.rows[-1]["step"] if records.rows else 0,
        facts=[("Run", directory.path.resolve().name), *about.facts],
        results=results(config, records),
        phases=[(chapter.name, chapter.spans) for chapter in told if chapter.spans],
        sections=[s for s in sections if s.exhibits or s.faults],
        seconds=seconds,
        costs=_costs(seconds),
        toml=directory.config.read_text(encoding="utf-8"),
        environment=json.dumps(environment, indent=2, ensure_ascii=False),
    )
    return directory.report


class Easel:
    """Draws what chapters declare, over the steps of one run and with its spans shaded."""

    def __init__(self, gallery: Gallery, records: Records, spans: Sequence[Span]) -> None:
        self.gallery = gallery
        self.records = records
        self.spans = spans
        steps = [row["step"] for row in records.rows if row["step"] > 0]
        self.steps = (min(steps), max(steps)) if steps else None

    def section(self, chapter: Chapter) -> Section:
        section = Section(chapter.name, chapter.about, faults=[*chapter.faults])
        for plot in chapter.plots:
            try:
                exhibit = self.exhibit(plot)
            except TrainingError:  # a file cannot be written
                raise
            except Exception as error:  # whatever a plugin does, the others are shown
                name = getattr(plot, "name", plot)
                section.faults.append(f"figure {name!r}: {fault(error)}")
                continue
            if exhibit is not None:
                section.exhibits.append(exhibit)
        return section

    def exhibit(self, plot: Plot) -> Exhibit | None:
        """The figure; None where nothing of it was recorded."""
        add = partial(self.gallery.add, plot.name, plot.title)
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


def results(config: Config | Watched, records: Records) -> list[tuple[str, str, Any]]:
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
        if name != "training"
    ]


def _solution(directory: RunDirectory, coordinates: Sequence[str]) -> Iterable[Plot]:
    if not directory.predictions.exists():
        return []
    try:
        with np.load(directory.predictions) as file:
            arrays = dict(file)
        return list(solution_drawings(solutions(list(coordinates), arrays)))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise PinnError(f"{directory.predictions}: cannot be read: {fault(error)}") from None


def _json(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none yet."""
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PinnError(f"{path}: cannot be read: {fault(error)}") from None
    return found
