"""Where fitting ends and total diffusion begins, found in a trace of the gradient's moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FITTING, DIFFUSION, TOTAL_DIFFUSION = "fitting", "diffusion", "total_diffusion"

PER_DECADE = 20
"""Bins of the steps, equal in the logarithm: phases differ in length by orders of magnitude."""
BEGINS = 1.5
"""What the beginning of order costs, in bins, and what its end costs."""
ENDS_FITTING = 5.0
"""What the end of fitting costs, in bins: a disorder of less than a third of a decade is a spike."""
HELD = 5
"""A level is held where it is the median of so many bins."""
DROP = 3.0
"""Ratio of the levels of two phases, at least: of S, or of the disorder 1 − φ_r."""
BEGINNING = 20
"""A trace that begins by this step shows the beginning of training, which is fitting."""
CHANCE = 1e-5
"""A transition is refused if it is as probable by chance; its square, if it is the later one alone."""
FEW = 12
"""Up to so many measurements the rank-sum test counts, above it takes the normal distribution."""
DELTA = 0.3
"""Cliff's δ across a transition, at least."""
LASTING = 10
"""The residual order alone shows total diffusion if it stays high for so many bins up to the end."""


@frozen
class Transition:
    """The beginning of a phase.

    Attributes:
        to: the phase.
        step: of its first measurement.
        previous: step of the last measurement before.
        confidence: Cliff's δ of the measurements within half a decade of steps before and after: 1 if
            each of the ones lies above each of the others, 0 if they are alike.
        evidence: what was seen.
    """

    to: str
    step: int
    previous: int
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
) -> Phases:
    """Fitting → diffusion → total diffusion in a trace of S = ‖μ‖ / ‖σ‖.

    Gradients are ordered where S is above c, disordered below; c is 1, signal as large as noise.
    Fitting is ordered, diffusion disordered, total diffusion (*diffusion equilibrium* in the journal
    version of arXiv 2403.18494) ordered again; before and after them may be disorder. The boundaries
    are those for which Σ |order − S² / (S² + c²)|, over medians in bins of equal width in log(step),
    plus a cost for every boundary is least: the most probable path of a Markov chain from left to right
    (Viterbi 1967). The share of signal S² / (S² + c²) is bounded: a spike weighs no more than any bin.

    Where S stays below 1 in fitting, c is there a third of the level that it holds; where S stays on
    one side of 1 throughout, c is halfway (in the logarithm) between its levels, if it falls and rises
    again.

    A transition is kept if S differs across it by a factor of 3 in the median and chance hardly makes
    it: probability below 1e-5 in a rank-sum test (Mann & Whitney 1947), which takes measurement noise as
    independent from one measurement to the next; noise that lasts for several can pass for a phase.

    Args:
        steps: (measurements,), in any order.
        mean_norm: (measurements,) ‖μ‖₂; measurements that are not finite are left out.
        std_norm: (measurements,) ‖σ‖₂, likewise.
        residual_order: (measurements,) φ_r of the weights, if known; NaN where it was not measured, for
            which the newest value stands. Where the gradients show no total diffusion, a lasting rise
            of φ_r does, as in the authors' lid-driven cavity.
    """
    found = np.asarray(mean_norm, float), np.asarray(std_norm, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = found[0] / found[1]
    trace = _Trace.of(steps, ratio, residual_order)
    if len(trace) < 2 * HELD:
        return Phases((), ("too few measurements to see a phase",))
    kept: list[Transition] = []
    for candidate in _candidates(trace):
        transition, chance, factor = trace.transition(*candidate)
        alone = transition.to == TOTAL_DIFFUSION and not kept and trace.from_the_beginning
        enough = chance < (CHANCE**2 if alone else CHANCE)
        if enough and factor >= DROP and transition.confidence >= DELTA:
            kept.append(transition)
    if [transition.to for transition in kept] == [DIFFUSION]:
        kept += _by_residuals(trace, trace.bin_of(kept[0].step))
    return Phases(tuple(kept), _notes(trace, kept))


@frozen(eq=False)
class _Trace:
    """Measurements in the order of their steps, and their bins."""

    steps: Floats
    log_ratio: Floats
    order: Floats | None
    bin: NDArray[np.int64]
    """Of each measurement."""
    first: NDArray[np.int64]
    """Measurement of each bin."""
    levels: Floats
    """Median of log10 S in each bin."""

    @classmethod
    def of(cls, steps: ArrayLike, ratio: Floats, order: ArrayLike | None) -> _Trace:
        at = np.asarray(steps, float)
        usable = np.isfinite(at) & (at >= 1) & ~np.isnan(ratio) & (ratio >= 0)
        chosen = np.flatnonzero(usable)[np.argsort(at[usable], kind="stable")]
        at, log_ratio = at[chosen], np.log10(np.clip(ratio[chosen], 1e-12, 1e12))
        numbers = np.floor(np.log10(at) * PER_DECADE + 1e-9).astype(np.int64)
        _, first, which = np.unique(numbers, return_index=True, return_inverse=True)
        levels = _medians(log_ratio, which, len(first))
        orders = None if order is None else _filled(np.asarray(order, float)[chosen])
        return cls(at, log_ratio, orders, which, first, levels)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def from_the_beginning(self) -> bool:
        return bool(self.steps[0] <= BEGINNING)

    def bin_of(self, step: int) -> int:
        return int(self.bin[np.searchsorted(self.steps, step)])

    def between(self, begin: int, end: int) -> Floats:
        """log10 S in bins `begin` ≤ b < `end`."""
        return self.log_ratio[(self.bin >= begin) & (self.bin < end)]

    def transition(self, to: str, begin: int, at: int, end: int) -> tuple[Transition, float, float]:
        """From bins [begin, at) to [at, end); its probability by chance; the ratio of the levels."""
        near = PER_DECADE // 2
        sign = -1.0 if to == DIFFUSION else 1.0
        before, after = sign * self.between(begin, at), sign * self.between(at, end)
        chance = _rank_sum(after, before)[1]
        confidence = _rank_sum(
            sign * self.between(at, min(end, at + near)),
            sign * self.between(max(begin, at - near), at),
        )[0]
        levels = 10 ** (sign * np.median(before)), 10 ** (sign * np.median(after))
        verb = "falls" if to == DIFFUSION else "rises"
        evidence = f"gradient SNR {verb} from {levels[0]:.2g} to {levels[1]:.2g} (medians)"
        made = self.beginning(to, at, confidence, evidence)
        return made, chance, 10 ** abs(float(np.median(after) - np.median(before)))

    def beginning(self, to: str, at: int, confidence: float, evidence: str) -> Transition:
        """The transition to a phase that begins with bin `at`."""
        previous, step = self.steps[self.first[at] - 1], self.steps[self.first[at]]
        return Transition(to, int(step), int(previous), round(confidence, 3), evidence)


Candidate = tuple[str, int, int, int]
"""A phase; the bins at which the one before begins, at which it begins and at which it ends."""


def _candidates(trace: _Trace) -> list[Candidate]:
    """The transitions, before it is asked whether chance made them."""
    levels = trace.levels
    start = START if trace.from_the_beginning else (Stretch.FITTING, Stretch.DIFFUSION)
    path = _path(levels, 1.0, start)
    if path[0] == path[-1] != Stretch.BEFORE:  # all on one side of c
        found = _transitions(_path(levels, _halfway(levels), start))
        return found if len(found) == 2 else []
    if path[0] != Stretch.BEFORE:
        return _transitions(path)
    rise = int(np.searchsorted(path, Stretch.FITTING))
    fitting = _weaker_fitting(levels, rise)
    if fitting is None:
        return _transitions(path)
    begin, at = fitting
    if rise == len(path):
        boundary = _held(levels[begin:at]) / DROP
        return _transitions(_path(levels, boundary, ends_fitting=BEGINS))
    end = int(np.searchsorted(path, Stretch.DIFFUSION))  # what seemed fitting is order regained
    return [(DIFFUSION, begin, at, rise), (TOTAL_DIFFUSION, at, rise, end)]


def _weaker_fitting(levels: Floats, rise: int) -> tuple[int, int] | None:
    """Bins in which an order below 1, before bin `rise`, begins and ends."""
    lowest = int(_running_median(levels[:rise]).argmin())
    for end in (lowest, rise):
        before = levels[:end]
        if len(before) < HELD:
            continue
        found = _transitions(_path(before, _held(before) / DROP, ends_fitting=BEGINS))
        if found:
            return found[0][1], found[0][2]
    return None


class Stretch(IntEnum):
    """Parts of a trace, from left to right."""

    BEFORE = 0
    FITTING = 1
    DIFFUSION = 2
    TOTAL_DIFFUSION = 3
    AFTER = 4


ORDERED = np.array([0, 1, 0, 1, 0])
START = (Stretch.BEFORE, Stretch.FITTING)


def _path(
    levels: Floats,
    boundary: float,
    start: Sequence[Stretch] = START,
    ends_fitting: float = ENDS_FITTING,
) -> NDArray[np.int64]:
    """The part of each bin: least Σ |order of the part − share of signal| + entrances.

    To end in total diffusion costs as much as to leave it: an order that has just begun must be as
    evident as one that is over.
    """
    share = 1 / (1 + 10 ** (2 * (np.log10(boundary) - levels)))
    costs = np.abs(ORDERED - share[:, None])
    entrance = np.array([0, BEGINS, ends_fitting, BEGINS, BEGINS])
    total = np.where(np.isin(np.arange(len(ORDERED)), start), costs[0], np.inf)
    advanced = []
    for cost in costs[1:]:
        entered = np.concatenate([[np.inf], total[:-1]]) + entrance
        advanced.append(entered < total)
        total = np.minimum(total, entered) + cost
    total[Stretch.TOTAL_DIFFUSION] += entrance[Stretch.AFTER]
    path = [int(np.argmin(total))]
    for entered in reversed(advanced):
        path.append(path[-1] - int(entered[path[-1]]))
    return np.array(path[::-1])


def _transitions(path: NDArray[np.int64]) -> list[Candidate]:
    """Of diffusion and total diffusion, between the part before and the end of the own part."""
    found = []
    for to, part in ((DIFFUSION, Stretch.DIFFUSION), (TOTAL_DIFFUSION, Stretch.TOTAL_DIFFUSION)):
        begin, at, end = np.searchsorted(path, (part - 1, part, part + 1))
        if begin < at < end:
            found.append((to, int(begin), int(at), int(end)))
    return found


def _filled(values: Floats) -> Floats:
    """The newest value in place of NaN; NaN stays where there was none yet."""
    places = np.where(np.isnan(values), 0, np.arange(len(values)))
    return values[np.maximum.accumulate(places)]


def _held(levels: Floats) -> float:
    """The highest ratio that is held."""
    return float(10 ** _running_median(levels).max())


def _halfway(levels: Floats) -> float:
    """Between the lowest ratio that is held and what is held both before and after it."""
    held = _running_median(levels)
    low = int(held.argmin())
    high = min(held[: low + 1].max(), held[low:].max())
    return float(10 ** ((held[low] + high) / 2))


def _running_median(levels: Floats) -> Floats:
    if len(levels) < HELD:
        return np.array([np.median(levels)])
    return np.median(np.lib.stride_tricks.sliding_window_view(levels, HELD), axis=1)


def _medians(values: Floats, which: NDArray[Any], count: int) -> Floats:
    return np.array([np.median(values[which == number]) for number in range(count)])


def _rank_sum(high: Floats, low: Floats) -> tuple[float, float]:
    """Cliff's δ, and the probability that chance alone makes it as large."""
    from scipy.stats import mannwhitneyu

    few = min(len(high), len(low)) <= FEW
    found = mannwhitneyu(high, low, alternative="greater", method="exact" if few else "asymptotic")
    return 2 * float(found.statistic) / (len(high) * len(low)) - 1, float(found.pvalue)


def _by_residuals(trace: _Trace, begin: int) -> list[Transition]:
    """Total diffusion by a fall of the disorder 1 − φ_r after bin `begin` that lasts to the end."""
    if trace.order is None or np.isnan(trace.order).any():
        return []
    disorder = np.log10(1 - _medians(trace.order, trace.bin, len(trace))[begin:].clip(0, 1 - 1e-6))
    held = _running_median(disorder)
    highest, lowest = held.max(), held[held.argmax() :].min()
    if highest - lowest < math.log10(DROP):
        return []
    at = begin + int(np.flatnonzero(disorder > (highest + lowest) / 2)[-1]) + 1
    if len(trace) - at < LASTING or at - begin < HELD:
        return []
    before = trace.order[(trace.bin >= begin) & (trace.bin < at)]
    after = trace.order[trace.bin >= at]
    confidence, chance = _rank_sum(after, before)
    if chance >= CHANCE:
        return []
    rise = f"residual order rises from {1 - 10**highest:.2f} to {1 - 10**lowest:.2f}"
    evidence = f"{rise}; the gradient SNR does not show it"
    # The confidence is halved, because the gradients do not show it.
    return [trace.beginning(TOTAL_DIFFUSION, at, confidence / 2, evidence)]


def _notes(trace: _Trace, kept: Sequence[Transition]) -> tuple[str, ...]:
    reached = {transition.to for transition in kept}
    notes = []
    if DIFFUSION not in reached:
        notes.append(
            "no end of fitting is seen"
            if trace.from_the_beginning
            else f"measurements begin at step {trace.steps[0]:.0f}: fitting may have ended before"
        )
    if TOTAL_DIFFUSION not in reached:
        notes.append(f"total diffusion is not reached by step {trace.steps[-1]:.0f}")
    return tuple(notes)
