"""Runs beside each other: a table, and every kind of curve with one line a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from attrs import field, frozen

from pinn.core.errors import PinnError, printable
from pinn.core.plots import Curves
from pinn.core.records import Records
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.unbuilt import Described, Unbuilt
from pinn.engine.reporting.content import Section, sections, subject
from pinn.engine.reporting.curves import HEIGHT, Line, draw_curves, line
from pinn.engine.reporting.figures import own_curves
from pinn.engine.reporting.page import DrawnFigure, FigureFolder, write_page
from pinn.engine.reporting.report import caption, results
from pinn.engine.reporting.theme import shown

NOT_REACHED = "not reached"
TRAINING, PER_STEP = "seconds of training", "seconds per step"
NOISY_RUNS = 2
"""The number of runs whose noise is shown; that of more hides their medians."""


@frozen
class Compared:
    """A run in a comparison, under a name that no other has; `place` chooses its colour."""

    label: str
    place: int
    config: Described
    records: Records
    sections: list[Section]

    @property
    def curves(self) -> dict[str, Curves]:
        found: dict[str, Curves] = {}
        declared = (plot for section in self.sections for plot in section.plots)
        for plot in (*own_curves(self.records), *declared):
            if isinstance(plot, Curves):
                found.setdefault(plot.name, plot)
        return found


@frozen
class TableRow:
    """What the table says about one quantity: a cell for each run."""

    name: str
    about: str
    cells: list[str] = field(factory=list)


@frozen
class Comparison:
    """Several runs beside each other: the page that was written, its table, and what is not in them."""

    page: Path
    runs: list[str]
    rows: list[TableRow]
    faults: list[str] = field(factory=list)

    def text(self) -> str:
        """The table in aligned columns."""
        lines = [("", "", *self.runs), *((row.name, row.about, *row.cells) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if i > 1 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in lines
        )


def compare(paths: Sequence[Path], page: Path) -> Comparison:
    """Write `page`, and its figures as PDF and PNG in a folder of the same name.

    Raises:
        PinnError: a path is no run, or is given twice.
        TrainingError: a file cannot be written.
    """
    if page.is_dir():
        page = page / "compare.html"
    elif not page.suffix:
        page = page.with_suffix(".html")
    runs = opened(paths)
    rows = table(runs)
    folder = FigureFolder(page.with_suffix(""))
    figures = list(drawn(runs, folder))
    faults = [
        *(f"{run.label}: {run.config.lacking}" for run in runs if isinstance(run.config, Unbuilt)),
        *(f"{run.label}, metrics.jsonl: {text}" for run in runs for text in run.records.damage),
        *(f"{r.label}, {s.name}: {f}" for r in runs for s in r.sections for f in s.faults),
    ]
    write_page(
        page,
        "compare.html",
        runs=[(run.label, run.place % 6 + 1, subject(run.config).sentence) for run in runs],
        rows=rows,
        figures=figures,
        faults=faults,
        folder=folder.folder.name,
    )
    return Comparison(page, [run.label for run in runs], rows, faults)


def opened(paths: Sequence[Path]) -> list[Compared]:
    found = []
    for place, (path, label) in enumerate(zip(paths, labels(paths), strict=True)):
        directory = RunDirectory(path)
        config, records = directory.read_described(), directory.records()
        found.append(Compared(label, place, config, records, sections(config, records)))
    return found


def labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart.

    Raises:
        PinnError: two paths are the same directory.
    """
    parts = [path.resolve().parts for path in paths]
    for i, path in enumerate(parts):
        if path in parts[:i]:
            raise PinnError(f"{paths[i]}: is given twice")
    depths = [1] * len(parts)
    while True:
        ends = ["/".join(p[-d:]) for p, d in zip(parts, depths, strict=True)]
        if len(set(ends)) == len(ends):
            return [printable(end, 200) for end in ends]
        depths = [d + (ends.count(e) > 1) for e, d in zip(ends, depths, strict=True)]


def table(runs: Sequence[Compared]) -> list[TableRow]:
    """Steps, final values, the step of each event, and times; a dash where a run does not measure."""
    names = {"steps": "trained"}
    found: list[Mapping[str, str]] = []
    for run in runs:
        cells = {"steps": shown(run.records.rows[-1]["step"] if run.records.rows else 0)}
        for name, who, value in results(run.config, run.records):
            names[name] = "final" if who in name else f"final, {who}"
            cells[name] = shown(value)
        for observer in run.config.observers:
            for event in observer.analyzer.events:
                names[event] = "first step"
                reached = run.records.last(event)
                cells[event] = NOT_REACHED if reached is None else shown(reached)
        found.append(cells | _times(run.records))
    names |= dict.fromkeys((TRAINING, PER_STEP), "")
    return [
        TableRow(n, about, [cells.get(n, "–") for cells in found]) for n, about in names.items()
    ]


def _times(records: Records) -> dict[str, str]:
    seconds = records.last("seconds")
    if not isinstance(seconds, int | float):
        return {}
    step = int(records.series("seconds")[0][-1])
    return {TRAINING: shown(float(seconds)), PER_STEP: shown(seconds / step)}


def drawn(runs: Sequence[Compared], folder: FigureFolder) -> Iterator[DrawnFigure]:
    """A figure for each name of curves that any run has: their first quantity, a line a run."""
    names = dict.fromkeys(name for run in runs for name in run.curves)
    for name in names:
        having = [run for run in runs if name in run.curves]
        first = having[0].curves[name]
        lines = [one for run in having if (one := _line(run, run.curves[name])) is not None]
        if not lines:
            continue
        whats = {next(iter(run.curves[name].quantities.values()), "") for run in having}
        what = f": {whats.pop()}" if len(whats) == 1 and len(first.quantities) > 1 else ""
        look = Curves(
            name=name,
            title=(first.ylabel or name) + what,  # its own title may tell of one run
            quantities={},
            ylabel=first.ylabel,
            log=first.log,
            limits=first.limits,
            noisy=first.noisy and len(lines) <= NOISY_RUNS,
        )
        draw = partial(draw_curves, curves=look, found=lines)
        yield folder.add(name, look.title, caption(first.caption, look.noisy), HEIGHT, draw)


def _line(run: Compared, curves: Curves) -> Line | None:
    if not curves.quantities:
        return None
    return line(run.records, next(iter(curves.quantities)), run.label, run.place, curves.log)
