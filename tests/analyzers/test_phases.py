"""The analyzer that watches for phases: what it announces, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from pinn.analyzers.phases import PhasesOfLearning
from pinn.core import Drawing, Span
from pinn.core.records import Records


class Watched:
    """A view of a trace as it grows."""

    def __init__(self, path: Path) -> None:
        self.records = Records(path)
        self._generator = np.random.default_rng(0)

    def add(self, step: int, level: float, **more: float) -> None:
        ratio = level * 10 ** (0.2 * self._generator.normal())
        self.records.append(step, {"gradient_mean_norm": ratio, "gradient_std_norm": 1.0, **more})


@pytest.fixture
def watched(tmp_path: Path) -> Any:
    return Watched(tmp_path / "metrics.jsonl")


def growing(watched: Any, last: int) -> Iterator[int]:
    """The steps of a run with transitions at 150 and 10,000."""
    for step in [*range(2, 301, 2), *range(400, last + 1, 400)]:
        watched.add(step, 30 if step < 150 else 0.03 if step < 10_000 else 5)
        yield step


def grow(watched: Any, last: int) -> None:
    list(growing(watched, last))


def test_phases_are_announced_when_they_are_no_spike_any_more(watched: Any) -> None:
    steps = growing(watched, 40_000)
    measured = {step: dict(PhasesOfLearning().measure(watched)) for step in steps}
    assert measured[2] == {"phase": "fitting"}
    order = list(dict.fromkeys(found["phase"] for found in measured.values()))
    assert order == ["fitting", "diffusion", "total diffusion"]
    announced = {
        event: min(step for step, found in measured.items() if event in found)
        for event in PhasesOfLearning.events
    }
    assert 150 < announced["diffusion"] < 450
    assert 14_000 < announced["total_diffusion"] < 35_000
    for event, first in announced.items():
        values = [found[event] for step, found in measured.items() if step >= first]
        assert set(values) == {measured[40_000][event]}, "what a stage may end on never changes"
    assert measured[40_000]["diffusion"] == pytest.approx(150, rel=0.3)
    assert measured[40_000]["total_diffusion"] == pytest.approx(10_000, rel=0.15)


def test_spans_cover_the_run_without_gaps(watched: Any) -> None:
    grow(watched, 40_000)
    first, second, third = PhasesOfLearning().spans(watched.records)
    assert (first.label, second.label, third.label) == ("fitting", "diffusion", "total diffusion")
    assert first.begin == 2
    assert first.end == second.begin
    assert second.end == third.begin
    assert third.end == 40_000


def test_a_run_that_only_fits(watched: Any) -> None:
    for step in range(10, 2000, 10):
        watched.add(step, 30)
    assert list(PhasesOfLearning().spans(watched.records)) == [Span("fitting", 10, 1990)]
    (drawing,) = PhasesOfLearning().figures(watched.records)
    assert drawing.title == "No end of fitting is seen"
    assert "Total diffusion is not reached by step 1990." in drawing.caption


def test_residual_order_measured_at_other_steps_is_taken_as_it_was_known(watched: Any) -> None:
    for step in [*range(2, 301, 2), *range(410, 100_000, 50)]:
        order = {"residual_order.rba.neighbours": 0.7 if step < 20_000 else 0.95}
        watched.add(
            step, 30 if step < 150 else 3, **(order if step < 300 or step % 100 == 10 else {})
        )
    found = PhasesOfLearning().measure(watched)
    assert found["total_diffusion"] == pytest.approx(20_000, rel=0.15)


def test_nothing_measured_yet(watched: Any) -> None:
    assert PhasesOfLearning().measure(watched) == {"phase": "fitting"}
    assert list(PhasesOfLearning().spans(watched.records)) == []
    assert list(PhasesOfLearning().figures(watched.records)) == []


@pytest.mark.parametrize("last", [2, 300, 40_000])
def test_the_figure_is_drawn_and_its_caption_gives_the_evidence(watched: Any, last: int) -> None:
    grow(watched, last)
    (drawing,) = PhasesOfLearning().figures(watched.records)
    assert isinstance(drawing, Drawing)
    figure = Figure()
    drawing.draw(figure)
    assert figure.axes
    if last == 40_000:
        assert drawing.title.startswith("Fitting ends at step 1")
        assert "known from " in drawing.caption
        assert re.search(r"gradient SNR 0\.0\d+ → \d", drawing.caption)
