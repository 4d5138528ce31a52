"""What an analyzer draws, whatever was recorded."""

from __future__ import annotations

import math
import re
from copy import deepcopy
from pathlib import Path

from pinn.core.errors import one_of
from pinn.core.plots import Curves, Drawing, Plot, Span
from pinn.core.records import Records
from pinn.testing.analyzers.runs import EVERY, observed, unobserved
from pinn.testing.trial import Trial

FIGURE = r"[a-z0-9]+(-[a-z0-9]+)*"


def _sources(trial: Trial) -> dict[str, Records]:
    """Records as a report may find them."""
    rows = observed(trial).rows
    measured = [row for row in rows if row["step"] % EVERY == 0]
    empty = [
        {name: None if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
    found = {
        "no records": [],
        "one row": measured[:1],
        "a run": rows,
        "a run without it": unobserved(trial).rows,
        "a run in which every number is null": empty,
    }
    records = {}
    for source, chosen in found.items():
        records[source] = Records(Path("never-written"))
        records[source].rows = deepcopy(chosen)
    return records


def its_figures_can_be_drawn_from_any_records(trial: Trial) -> None:
    for source, records in _sources(trial).items():
        before = deepcopy(records.rows)
        try:
            plots = list(trial.part.figures(records))
            for plot in plots:
                _check_plot(plot, records, source)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"its figures cannot be drawn from {source} ({type(error).__name__}: {error}): "
                "draw what `quantity in records` says is there, and yield nothing where nothing is"
            ) from error
        names = [plot.name for plot in plots]
        assert len(set(names)) == len(names), (
            f"two of its figures are called alike: {one_of(names)}"
        )
        assert records.rows == before, f"figures changes the records ({source}): work on a copy"


def _check_plot(plot: Plot, records: Records, source: str) -> None:
    assert isinstance(plot, Curves | Drawing), (
        f"figures yields {plot!r}: yield pinn.core.Curves(…) or pinn.core.Drawing(…)"
    )
    assert re.fullmatch(FIGURE, plot.name), (
        f"the figure {plot.name!r} needs a name for its files: lower case, digits and hyphens"
    )
    assert plot.title and not plot.title.endswith("."), (
        f"the figure {plot.name!r} is titled {plot.title!r}: say what is seen, without a full stop"
    )
    if isinstance(plot, Drawing):
        _draw(plot)
        return
    assert plot.ylabel and all(map(str, plot.quantities.values())), (
        f"the figure {plot.name!r} has an empty ylabel or label: say what is measured, with its "
        "unit"
    )
    shown = [name for name in plot.quantities if name in records]
    assert shown or source != "a run", (
        f"the figure {plot.name!r} shows {one_of(plot.quantities)}, of which nothing was "
        f"recorded; recorded are {one_of(records.names)}"
    )
    wordy = [n for n in shown if any(isinstance(row.get(n), str | list) for row in records.rows)]
    assert not wordy, (
        f"the figure {plot.name!r} is to draw {one_of(wordy)} as curves, which are words or "
        "arrays: yield a Drawing"
    )


def _draw(plot: Drawing) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.5, plot.height), layout="constrained")
    plot.draw(figure)
    figure.draw_without_rendering()
    assert figure.axes, (
        f"the figure {plot.name!r} stays empty: draw on the figure, or do not yield it"
    )


def its_spans_follow_each_other(trial: Trial) -> None:
    for source, records in _sources(trial).items():
        spans = list(trial.part.spans(records))
        for span in spans:
            assert isinstance(span, Span) and span.label, (
                f"spans yields {span!r} from {source}: yield pinn.core.Span(label, begin, end)"
            )
        edges = [edge for span in spans for edge in (span.begin, span.end)]
        assert edges == sorted(edges) and all(math.isfinite(edge) for edge in edges), (
            f"its spans from {source} begin and end at {edges}: each must begin where or after "
            "the one before ends"
        )
