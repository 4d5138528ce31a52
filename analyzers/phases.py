"""The phases of learning: fitting, diffusion, total diffusion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from pinn.analyzers.phases_detection import DIFFUSION, FITTING, TOTAL_DIFFUSION, Phases
from pinn.analyzers.phases_traces import trace_of_records
from pinn.analyzers.phases_transition import abruptness
from pinn.analyzers.recent import fall, lately
from pinn.core import Analyzer, Conclusion, Drawing, Span

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pinn.core import Plot, Records, View

WORDS = {FITTING: "fitting", DIFFUSION: "diffusion", TOTAL_DIFFUSION: "total diffusion"}

LEARNING = 3.0
"""A fall of the loss from which a run is not stuck, whatever its phase."""
STUCK = 10
"""Times as long as fitting that diffusion lasts before it is a matter."""
SOURCE = "arXiv 2403.18494"


def phases_of(records: Records) -> Phases:
    """The phases in the records of a run: of `snr`, and of `homogeneity` and `error` where measured."""
    return trace_of_records(records).phases()


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
                caption=f"{_explanation(found)} {_jump(records, found)}".strip(),
                height=2.1,
                over_steps=True,
            )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        found = phases_of(records)
        steps, _ = records.series("gradient_mean_norm")
        if not len(steps):
            return
        last = int(steps[-1])
        end, begin = found.step(DIFFUSION), found.step(TOTAL_DIFFUSION)
        if begin is not None:
            yield Conclusion(
                f"Total diffusion began at step {begin:,} of {last:,}: gradients and residuals are "
                "ordered, and more steps pay now.",
                source=SOURCE,
            )
        elif end is not None and last >= STUCK * end:
            yield _in_diffusion(records, end, last)


def _in_diffusion(records: Records, end: int, last: int) -> Conclusion:
    """Of a run whose fitting ended at step `end` and that is at step `last`: stuck, or not?"""
    snr, fallen = lately(records, "snr"), fall(records, "loss.unweighted")
    level = "" if snr is None else f" (SNR {snr:.2g}, median over the last half decade)"
    if fallen is not None and fallen > LEARNING:
        return Conclusion(
            f"Fitting ended at step {end:,}, and by step {last:,} total diffusion has not begun{level}; "
            f"yet the loss fell by a factor of {fallen:.2g} over the last half decade of steps: what "
            "lowers it does not wait for gradients to agree, as second-order steps do not.",
            source=SOURCE,
        )
    return Conclusion(
        f"Training is stuck in diffusion: fitting ended at step {end:,}, and by step {last:,} "
        f"total diffusion has not begun{level}.",
        'residual-based attention (weighting.name = "rba"), more points ([points] interior), or '
        "second order behind Adam, where no stage has it (ss-broyden); without attention, the "
        "authors' runs took 19,000 to 91,700 steps",
        SOURCE,
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


def _jump(records: Records, found: Phases) -> str:
    """How abruptly total diffusion begins; nothing where it does not or cannot be told."""
    begin = found.step(TOTAL_DIFFUSION)
    if begin is None:
        return ""
    shape = abruptness(*records.series("snr"), begin)
    if not np.isfinite([shape.jump, shape.width, shape.bimodality]).all():
        return ""
    return (
        f"There the SNR changes by a factor of {shape.jump:.2g} within {shape.width:.2g} decades of "
        f"steps; the bimodality of its logarithm is {shape.bimodality:.2f}: 0.56 of a steady ramp, 1 "
        "of a jump."
    )


def _draw(figure: Figure, records: Records, found: Phases) -> None:
    axis = figure.subplots()
    steps, mean = records.series("gradient_mean_norm")
    _, std = records.series("gradient_std_norm")
    axis.plot(steps, mean / np.hypot(mean, std), ".", markersize=2.5)
    for transition in found.transitions:
        axis.axvline(transition.step, color="C1")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("gradient order φ_g")
