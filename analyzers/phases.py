"""The phases of learning: fitting, diffusion, total diffusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from pinn.analyzers.phases_detection import DIFFUSION, FITTING, TOTAL_DIFFUSION, Phases
from pinn.analyzers.phases_traces import trace_of
from pinn.core import Analyzer, Drawing, Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pinn.core import Plot, Records, View

WORDS = {FITTING: "fitting", DIFFUSION: "diffusion", TOTAL_DIFFUSION: "total diffusion"}


def phases_of(records: Records) -> Phases:
    """The phases in the records of a run: of `snr`, and of `homogeneity` and `error` where measured."""
    return trace_of(records.rows).phases()


@frozen
class PhasesOfLearning(Analyzer):
    """Fitting, diffusion, total diffusion, found while the run trains; steps at which they begin.

    From the gradient SNR, the residual order of neighbours and the error, or the loss, whichever are
    measured. What is announced is never taken back: the end of fitting has lasted for a factor of 1.4 in
    steps by then, total diffusion for a factor of 2. *Total diffusion* is called *diffusion equilibrium*
    in the journal version of arXiv 2403.18494.
    """

    name = "phases"
    shows = "phase"
    needs = ("snr",)
    events = (DIFFUSION, TOTAL_DIFFUSION)

    def measure(self, view: View) -> Mapping[str, Any]:
        found = phases_of(view.records)
        begun = {transition.to: transition.step for transition in found.transitions}
        sure = {f"{t.to}.confidence": t.confidence for t in found.transitions}
        return {"phase": WORDS[found.last], **begun, **sure}

    def spans(self, records: Records) -> Iterable[Span]:
        steps, _ = records.series("gradient_mean_norm")
        if not len(steps):
            return
        label, begin = WORDS[FITTING], int(steps[0])
        found = phases_of(records)
        if found.transitions and found.transitions[0].to == TOTAL_DIFFUSION:
            label = "before total diffusion"
        for transition in found.transitions:
            yield Span(label, begin, transition.step)
            label, begin = WORDS[transition.to], transition.step
        yield Span(label, begin, int(steps[-1]))

    def figures(self, records: Records) -> Iterable[Plot]:
        steps, _ = records.series("gradient_mean_norm")
        if len(steps):
            found = phases_of(records)
            yield Drawing(
                name="phases",
                title=_title(found),
                draw=lambda figure: _draw(figure, records, found),
                caption=_explanation(found),
                height=2.1,
                over_steps=True,
            )


def _title(found: Phases) -> str:
    end, begin = found.step(DIFFUSION), found.step(TOTAL_DIFFUSION)
    if end is None and begin is None:
        return "No end of fitting is seen"
    first = f"Fitting ends at step {end:,}" if end else "The end of fitting is not seen"
    second = f"total diffusion begins at step {begin:,}" if begin else "no total diffusion"
    return f"{first}; {second}"


def _explanation(found: Phases) -> str:
    facts = [
        f"{WORDS[t.to].capitalize()} from step {t.step:,} (measured before: {t.previous:,}; known from "
        f"{t.announced:,} on; confidence {t.confidence:.2f}): {t.evidence}."
        for t in found.transitions
    ]
    notes = [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    reading = (
        "The gradient order is 1 where the gradients of all batches agree and 0 where they cancel "
        "(arXiv 2403.18494, where transitions are marked by eye)."
    )
    return " ".join([*facts, *notes, reading])


def _draw(figure: Figure, records: Records, found: Phases) -> None:
    axis = figure.subplots()
    steps, mean = records.series("gradient_mean_norm")
    _, std = records.series("gradient_std_norm")
    axis.plot(steps, mean / np.hypot(mean, std), ".", markersize=2.5)
    for transition in found.transitions:
        axis.axvline(transition.step, color="C1")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("gradient order φ_g")
