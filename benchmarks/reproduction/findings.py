"""The papers' claims, each with a measure that can fail, its chance level, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

import numpy as np
from attrs import frozen

from benchmarks.reproduction.facts import Facts
from benchmarks.reproduction.plan import MARKED
from benchmarks.reproduction.statistics import Share
from pinn.analyzers.phases_detection import LASTED, TOTAL_DIFFUSION
from pinn.analyzers.phases_transition import abruptness, scatter_around

SHUFFLES = 8
HALF = 0.5
Outcome = bool | None
"""Whether a run shows it; None where it cannot be said of this run."""


@frozen
class Finding:
    """A claim about single runs.

    Attributes:
        claim: as arXiv 2403.18494 or 2307.00379 makes it, short.
        measure: what is counted, so that a stranger can count it again.
        holds: of one run.
        chance: the share of runs that would show it by chance; None: that of shuffled runs, which is
            measured.
        contradiction: what to say where the runs show the opposite.
        of_every_run: chance alone makes it so rarely that one run would be above it, and the claim is
            that it is the rule: more than half of the runs have to show it.
    """

    claim: str
    measure: str
    holds: Callable[[Facts], Outcome]
    chance: float | Callable[[Facts], float] | None = HALF
    contradiction: str = ""
    of_every_run: bool = False


@frozen
class PairFinding:
    """A claim about runs with and without residual-based attention, of the same problem and seed."""

    claim: str
    measure: str
    holds: Callable[[Facts, Facts], Outcome]
    contradiction: str = ""


@frozen
class Verdict:
    """What the runs say of a claim; `by_set_up` is "3 of 5" for each set-up or problem."""

    claim: str
    measure: str
    share: Share
    by_set_up: Mapping[str, str]
    contradiction: str

    @property
    def word(self) -> str:
        return self.share.word


def judge(finding: Finding | PairFinding, runs: Sequence[Facts]) -> Verdict:
    if isinstance(finding, PairFinding):
        outcomes = {key: finding.holds(*pair) for key, pair in pairs(runs).items()}
        chance = HALF
    else:
        outcomes = {(f.evidence.set_up, f.evidence.seed): finding.holds(f) for f in runs}
        counted = [f for f in runs if outcomes[f.evidence.set_up, f.evidence.seed] is not None]
        chance = chance_of(finding, counted)
        if finding.of_every_run:
            chance = max(chance, HALF)
    known = {key: outcome for key, outcome in outcomes.items() if outcome is not None}
    by_set_up = {}
    for set_up in dict.fromkeys(key[0] for key in known):
        own = [outcome for (name, _), outcome in known.items() if name == set_up]
        by_set_up[set_up] = f"{sum(own)} of {len(own)}"
    return Verdict(
        finding.claim,
        finding.measure,
        Share.counted(list(known.values()), chance),
        by_set_up,
        finding.contradiction,
    )


def pairs(runs: Sequence[Facts]) -> dict[tuple[str, int], tuple[Facts, Facts]]:
    """{(problem, seed): (RBA, vanilla)}"""
    by = {(f.evidence.problem, f.evidence.weighting, f.evidence.seed): f for f in runs}
    return {
        (problem, seed): (facts, by[problem, "vanilla", seed])
        for (problem, weighting, seed), facts in by.items()
        if weighting == "rba" and (problem, "vanilla", seed) in by
    }


def chance_of(finding: Finding, runs: Sequence[Facts]) -> float:
    """The share of runs that show it by chance: said by the finding, or counted in shuffled runs."""
    if isinstance(finding.chance, float):
        return finding.chance
    if finding.chance is not None:
        return mean(map(finding.chance, runs)) if runs else HALF
    generator = np.random.default_rng(0)
    shuffled = [finding.holds(f.shuffled(generator)) for f in runs for _ in range(SHUFFLES)]
    counted = [outcome for outcome in shuffled if outcome is not None]
    return sum(counted) / len(counted) if counted else 0.0


def three_phases(facts: Facts) -> Outcome:
    """Not known of a run that is too short to show them, also where it happens to have.

    Long enough are twice the steps at which the authors mark the last of them, since a phase is
    announced once it has lasted as long as it took to come; without a mark, all steps that are planned.
    """
    _, marked = MARKED.get(facts.evidence.set_up, (0, None))
    enough = facts.evidence.planned_steps if marked is None else LASTED[TOTAL_DIFFUSION] * marked
    if facts.last_step < enough:
        return None
    return facts.fitting_ends is not None and facts.total_diffusion is not None


def rba_is_sooner(rba: Facts, vanilla: Facts) -> Outcome:
    """A run that has not seen it by its last step counts as later than one that has by then."""
    first, second = rba.time_to_total_diffusion, vanilla.time_to_total_diffusion
    if first.happened and (second.happened or second.step >= first.step):
        return first.step < second.step or not second.happened
    if second.happened and first.step >= second.step:
        return False
    return None


def rba_generalises_better(rba: Facts, vanilla: Facts) -> Outcome:
    end = min(rba.last_step, vanilla.last_step)
    first, second = rba.error(end), vanilla.error(end)
    return first < second if np.isfinite([first, second]).all() else None


def falls_fastest_in_total_diffusion(facts: Facts) -> Outcome:
    begin, end, fall = facts.steepest_fall
    if facts.total_diffusion is None or not fall > 0:
        return None
    return bool(np.sqrt(begin * end) >= facts.total_diffusion)


def share_of_total_diffusion(facts: Facts) -> float:
    return facts.share_of_steps_after(facts.total_diffusion or facts.last_step)


def grows(quantity: str, sign: int = 1) -> Callable[[Facts], Outcome]:
    """Whether a quantity is larger (smaller, with sign −1) behind the transition than before it."""

    def holds(facts: Facts) -> Outcome:
        change = facts.at_transition(quantity)
        return None if change is None or not change.difference else sign * change.difference > 0

    return holds


def layers_grow(quantity: str) -> Callable[[Facts], Outcome]:
    """The same of the mean over the hidden layers, or the weight matrices."""

    def holds(facts: Facts) -> Outcome:
        names = [name for name in facts.evidence.series if name.startswith(f"{quantity}.")]
        changes = [c for name in names if (c := facts.at_transition(name)) is not None]
        return mean(c.difference for c in changes) > 0 if changes else None

    return holds


def middle_saturates_most(facts: Facts) -> Outcome:
    last = [facts.series(name)[1][-1] for name in facts.layers("saturation")]
    third = len(last) // 3
    return bool(third <= int(np.argmax(last)) < len(last) - third) if len(last) >= 3 else None


def middle_share(facts: Facts) -> float:
    count = len(facts.layers("saturation"))
    return (count - 2 * (count // 3)) / count


def deep_layers_keep_information(facts: Facts) -> Outcome:
    names = facts.layers("information_kept")
    if not names:
        return None
    _, kept = facts.series(names[-1])
    return bool(kept[-1] >= 0.95 * kept[0])


def stagnates(facts: Facts) -> Outcome:
    """In diffusion, more than a quarter of the points have large residuals and small gradients."""
    steps, share = facts.series("stagnation.share")
    begin = facts.fitting_ends
    if begin is None or not len(steps):
        return None
    inside = (steps >= begin) & (steps < (facts.total_diffusion or np.inf))
    return bool(np.median(share[inside]) > 0.25) if inside.any() else None


def jumps(facts: Facts) -> Outcome:
    """Within a quarter of a decade, by a factor of two at least."""
    if facts.total_diffusion is None:
        return None
    found = abruptness(*facts.series("snr"), facts.total_diffusion)
    if not np.isfinite([found.jump, found.width]).all():
        return None
    return bool(found.jump > 2 and found.width < 0.25)


def converges_stably(facts: Facts) -> Outcome:
    if facts.total_diffusion is None:
        return None
    change = scatter_around(*facts.series("loss"), facts.total_diffusion)
    return (
        change.after < change.before if np.isfinite([change.before, change.after]).all() else None
    )


FINDINGS: tuple[Finding | PairFinding, ...] = (
    Finding(
        "Three phases in every run",
        "the end of fitting and the beginning of total diffusion are announced",
        three_phases,
        None,
        "most runs do not have them",
        of_every_run=True,
    ),
    PairFinding(
        "RBA reaches total diffusion sooner",
        "it is announced at an earlier step than without RBA, or there not by then",
        rba_is_sooner,
        "without RBA it comes sooner",
    ),
    PairFinding(
        "RBA generalises better",
        "a lower relative L2 error at the last step that both have made",
        rba_generalises_better,
        "the error without RBA is lower",
    ),
    Finding(
        "The error falls fastest in total diffusion",
        "the quarter decade of steps in which the error falls most lies behind its beginning",
        falls_fastest_in_total_diffusion,
        share_of_total_diffusion,
        "it falls fastest before",
    ),
    Finding(
        "Total diffusion comes as a jump",
        "SNR doubles within a quarter of a decade of steps",
        jumps,
        None,
        "the rise is gradual",
        of_every_run=True,
    ),
    Finding(
        "Convergence is stable in total diffusion",
        "the loss scatters less in the half decade behind its beginning than before",
        converges_stably,
        HALF,
        "it scatters more",
    ),
    Finding(
        "A step changes all samples alike in total diffusion",
        "order of |Δr_i|: higher behind its beginning than before",
        grows("sensitivity.order"),
        HALF,
        "it is lower",
    ),
    Finding(
        "In diffusion, samples with large residuals have vanishing gradients",
        "over a quarter of the points have |r| above and ‖∇r‖ below their medians",
        stagnates,
        HALF,
        "large residuals have large gradients",
    ),
    Finding(
        "Adam's learning rates reach an equilibrium",
        "their drift per decade of steps is smaller behind the beginning of total diffusion than before",
        grows("learning_rates.drift", -1),
        HALF,
        "they drift more",
    ),
    Finding(
        "Layers saturate at the transition",
        "mean saturation over the layers: higher behind it than before",
        layers_grow("saturation"),
        HALF,
        "it is lower",
    ),
    Finding(
        "Activations become binary at the transition",
        "share of |a| ≥ 0.9, mean over the layers: higher behind it than before",
        layers_grow("binarisation"),
        HALF,
        "it is lower",
    ),
    Finding(
        "Weights grow at the transition",
        "mean Frobenius norm of the weight matrices: higher behind it than before",
        layers_grow("weight_norm"),
        HALF,
        "they shrink",
    ),
    Finding(
        "Middle layers saturate most",
        "the most saturated layer at the end is in the middle third",
        middle_saturates_most,
        middle_share,
        "another third does",
    ),
    Finding(
        "Deep layers lose almost no information",
        "the last layer keeps at least 95 % of what it kept untrained, of log₂ N bits of 25,600 points",
        deep_layers_keep_information,
        HALF,
        "it keeps less",
    ),
)
