"""Where fitting ends and total diffusion begins: announced once, by what was measured until then."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from pinn.analyzers.phases_confidence import NEAR, Signs, confidence
from pinn.analyzers.phases_evidence import (
    ERROR,
    GRADIENTS,
    HELD,
    LOSS,
    RESIDUALS,
    Evidence,
    Floats,
    Scores,
)

FITTING, DIFFUSION, TOTAL_DIFFUSION = "fitting", "diffusion", "total_diffusion"

BEGINNING = 20
"""A trace that begins by this step shows the beginning of training, which is fitting."""
STOOD = 1.0
"""What the scores must have summed up to in the phase before."""
ENOUGH = {DIFFUSION: 2.0, TOTAL_DIFFUSION: 3.5}
"""What they must sum up to in the new phase, in bins of a twentieth of a decade at ½ each."""
ALONE = 2
"""Times as much is asked of total diffusion where the end of fitting was to be seen and was not."""
LASTED = {DIFFUSION: 1.4, TOTAL_DIFFUSION: 2.0}
"""A phase is announced when it has lasted for this factor in steps."""
SEPARATED = 3.0
"""Least z between the scores of two phases."""
SURE = 0.8
"""Least confidence that is announced."""


@frozen
class Transition:
    """The beginning of a phase.

    Attributes:
        to: the phase.
        step: of its first measurement.
        previous: step of the last measurement before.
        announced: the step from which on it was known.
        confidence: the probability that `step` is right within a factor of 2; calibrated on synthetic
            traces, by benchmarks/phases_calibration.py.
        evidence: medians within half a decade before → since then of what it was seen in.
    """

    to: str
    step: int
    previous: int
    announced: int
    confidence: float
    evidence: str


@frozen
class Phases:
    """Transitions in the order of their steps, and what could not be decided."""

    transitions: tuple[Transition, ...]
    notes: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        return self.transitions[-1].to if self.transitions else FITTING

    def step(self, to: str) -> int | None:
        return next((t.step for t in self.transitions if t.to == to), None)


def find_phases(
    steps: ArrayLike,
    mean_norm: ArrayLike,
    std_norm: ArrayLike,
    residual_order: ArrayLike | None = None,
    pde_snr: ArrayLike | None = None,
    error: ArrayLike | None = None,
    loss: ArrayLike | None = None,
) -> Phases:
    """Fitting → diffusion → total diffusion in a trace of S = ‖μ‖ / ‖σ‖ and of what else is known.

    Fitting is ordered, diffusion disordered, total diffusion (*diffusion equilibrium* in the journal
    version of arXiv 2403.18494) ordered again. Steps are cut into bins of a twentieth of a decade; in
    each bin each kind of evidence has a score from −½ in disorder to ½ in order:

    - gradients: S² / (S² + c²) − ½, the share of signal. c is 1 where S goes to both sides of 1, and
      otherwise between its levels; S that stays below 1 speaks against order, S above 1 says nothing.
    - residuals: (w − v) / (w + 0.05) − ½ with v = 1/φ² − 1 and w its highest value since fitting, not
      less than 0.05 / (0.05 + v) − ½ ≤ 0.
    - error: 1 − e² / (its median since fitting) − ½; the loss in place of e² where no error is known.

    Where the sum of the scores turns, a phase may begin (CUSUM, Page 1954). It is announced when the sum
    has risen by so much that a spike cannot be the reason, and the phase has lasted: the end of fitting
    for a factor of 1.4 in steps, total diffusion for a factor of 2. The end of fitting is seen in S, or
    in φ where S does not fall.

    Announcements follow from the measurements up to `announced`, and are never taken back: of the first
    part of a trace, those that were made by its end are found.

    Args:
        steps: (measurements,), in any order.
        mean_norm: (measurements,) ‖μ‖₂; measurements that are not finite are left out.
        std_norm: (measurements,) ‖σ‖₂, likewise.
        residual_order: (measurements,) φ of the weights, if known; here and below, NaN where nothing was
            measured, for which the newest value stands.
        pde_snr: (measurements,) S of the PDE part, if known.
        error: (measurements,) relative error, if known.
        loss: (measurements,) if known.
    """
    evidence = Evidence.of(steps, mean_norm, std_norm, residual_order, pde_snr, error, loss)
    if len(evidence) < 2 * HELD:
        return Phases((), ("too few measurements to see a phase",))
    found = tuple(change.announced(evidence) for change in changes(evidence))
    return Phases(found, _notes(evidence, found))


def changes(evidence: Evidence, sure: float = SURE) -> list[Change]:
    """What is announced, with at least so much confidence: looked for whenever a bin is complete."""
    found: list[Change] = []
    begin = 0
    for end in range(2 * HELD, len(evidence)):
        if not found and (ended := _end_of_fitting(evidence, end, sure)):
            found.append(ended)
            begin = ended.turn
        elif begun := _total_diffusion(evidence, begin, end, bool(found), sure):
            return [*found, begun]
    return found


def _end_of_fitting(evidence: Evidence, end: int, sure: float) -> Change | None:
    for begin, scores in filter(None, (evidence.disagreement(end), evidence.dispersion(end))):
        change = Change.of(DIFFUSION, scores, begin, end)
        if change and change.holds(evidence, ENOUGH[DIFFUSION], sure):
            return change
    return None


def _total_diffusion(
    evidence: Evidence, begin: int, end: int, fitting_seen: bool, sure: float
) -> Change | None:
    change = Change.of(TOTAL_DIFFUSION, evidence.order(begin, end), begin, end)
    missed = evidence.steps[0] <= BEGINNING and not fitting_seen
    enough = ENOUGH[TOTAL_DIFFUSION] * (ALONE if missed else 1)
    return change if change and change.holds(evidence, enough, sure) else None


@frozen(eq=False)
class Change:
    """Where the sum of the scores turns from falling to rising, in bins from `begin` to `end`.

    Attributes:
        turn: the first bin of the new phase.
        fallen, risen: by how much, up to the turn and from it on.
    """

    to: str
    kinds: tuple[str, ...]
    total: Floats
    begin: int
    turn: int
    end: int
    fallen: float
    risen: float

    @classmethod
    def of(cls, to: str, scores: Scores, begin: int, end: int) -> Change | None:
        """None where nothing turns."""
        if not scores:
            return None
        total = np.sum(list(scores.values()), axis=0)
        sums = np.concatenate([[0.0], np.cumsum(total)])
        turn = len(total) - int(sums[::-1].argmin())
        if turn in (0, len(total)):
            return None
        fallen, risen = sums[:turn].max() - sums[turn], sums[-1] - sums[turn]
        return cls(to, tuple(scores), total, begin, begin + turn, end, float(fallen), float(risen))

    def holds(self, evidence: Evidence, enough: float, sure: float) -> bool:
        return (
            self.fallen >= STOOD
            and self.risen >= enough
            and evidence.step(self.end) >= LASTED[self.to] * evidence.step(self.turn)
            and self.signs.separation >= SEPARATED
            and self.confidence >= sure
        )

    @property
    def signs(self) -> Signs:
        return Signs.of(self.total, self.turn - self.begin, len(self.kinds))

    @property
    def confidence(self) -> float:
        return confidence(self.to, self.signs)

    def announced(self, evidence: Evidence) -> Transition:
        return Transition(
            to=self.to,
            step=evidence.step(self.turn),
            previous=int(evidence.steps[evidence.first[self.turn] - 1]),
            announced=evidence.step(self.end),
            confidence=round(self.confidence, 3),
            evidence=", ".join(f"{kind} {self._medians(evidence, kind)}" for kind in self.kinds),
        )

    def _medians(self, evidence: Evidence, kind: str) -> str:
        """Before → after."""
        levels, value = {
            GRADIENTS: (evidence.agreement[0].levels, lambda x: 10**x),
            RESIDUALS: (evidence.unevenness.levels, lambda x: 1 / math.sqrt(1 + x)),
            ERROR: (evidence.error.levels, math.sqrt),
            LOSS: (evidence.loss.levels, float),
        }[kind]
        near = max(self.begin, self.turn - NEAR)
        parts = levels[near : self.turn], levels[self.turn : self.end]
        medians = [np.median(part[~np.isnan(part)]) for part in parts if not np.isnan(part).all()]
        return " → ".join(f"{value(float(median)):.2g}" for median in medians)


def _notes(evidence: Evidence, found: tuple[Transition, ...]) -> tuple[str, ...]:
    reached = {transition.to for transition in found}
    notes = []
    if DIFFUSION not in reached:
        notes.append(
            "no end of fitting is seen"
            if evidence.steps[0] <= BEGINNING
            else f"measurements begin at step {evidence.steps[0]:.0f}: fitting may have ended before"
        )
    if TOTAL_DIFFUSION not in reached:
        notes.append(f"total diffusion is not reached by step {evidence.steps[-1]:.0f}")
    return tuple(notes)
