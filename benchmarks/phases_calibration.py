"""How often announced phases are right: synthetic traces of known truth, kind by kind.

    python -m benchmarks.phases_calibration --output benchmarks/results/phases_calibration.json

A phase is right if its step is within a factor of 2 of the truth. The map from the signs of a change to
the confidence in it is fitted to one half of the traces; all that is written is of the other half.
With --fit, the weights that the first half gives are printed; analyzers/phases_confidence.py has them.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from attrs import astuple, frozen
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.phases_synthetic import KINDS, SyntheticTrace, synthetic
from pinn.analyzers.phases_confidence import WEIGHTS, Signs
from pinn.analyzers.phases_detection import (
    DIFFUSION,
    SURE,
    TOTAL_DIFFUSION,
    changes,
)
from pinn.analyzers.phases_evidence import Evidence

FACTOR = 2
SEEN_LONG = 4
"""A phase should have been found if the run goes on to so many times its step."""
PHASES = (DIFFUSION, TOTAL_DIFFUSION)
CONFIDENCES = (0.8, 0.9, 0.95, 0.98, 1.0)


@frozen
class Announced:
    """One announcement; the factor between its step and the truth, None where there is none."""

    kind: str
    to: str
    signs: Signs
    confidence: float
    factor: float | None

    @property
    def right(self) -> bool:
        return self.factor is not None and self.factor < FACTOR


@frozen
class Judged:
    """What was announced of a synthetic trace, and what should have been.

    Attributes:
        true: phases that begin in it.
        due: those of them after which it goes on long enough.
    """

    kind: str
    announced: tuple[Announced, ...]
    true: frozenset[str]
    due: frozenset[str]

    def of(self, to: str) -> list[Announced]:
        return [a for a in self.announced if a.to == to]


def traces(count: int, half: int, kinds: Iterable[str] = KINDS) -> Iterable[SyntheticTrace]:
    """`count` of each kind; those of the two halves, 0 and 1, differ."""
    numbers = {kind: number for number, kind in enumerate(KINDS)}
    for kind in kinds:
        for number in range(count):
            yield synthetic(kind, np.random.default_rng([half, numbers[kind], number]))


def judged(trace: SyntheticTrace, sure: float = SURE) -> Judged:
    evidence = Evidence.of(**trace.columns)
    announced = []
    for change in changes(evidence, sure):
        factor = _factor(evidence.step(change.turn), trace.truth(change.to))
        announced.append(Announced(trace.kind, change.to, change.signs, change.confidence, factor))
    truths = {to: truth for to in PHASES if (truth := trace.truth(to)) is not None}
    due = {to for to, truth in truths.items() if truth * SEEN_LONG < evidence.steps[-1]}
    return Judged(trace.kind, tuple(announced), frozenset(truths), frozenset(due))


def _factor(step: int, truth: float | None) -> float | None:
    return None if truth is None else max(step / truth, truth / step)


def fitted(announced: Sequence[Announced], steps: int = 50) -> NDArray[np.float64]:
    """Weights of the signs and a constant: logistic regression by Newton's method, a little ridge."""
    signs = np.array([[*astuple(a.signs), 1.0] for a in announced])
    right = np.array([float(a.right) for a in announced])
    weights = np.zeros(signs.shape[1])
    ridge = 0.1 * np.diag([*np.ones(len(weights) - 1), 1e-6])
    for _ in range(steps):
        stated = 1 / (1 + np.exp(-signs @ weights))
        slope = signs.T @ (right - stated) - ridge @ weights
        curvature = (signs.T * (stated * (1 - stated))) @ signs + ridge
        weights = weights + np.linalg.solve(curvature, slope)
    return weights


def reliability(announced: Sequence[Announced]) -> list[dict[str, Any]]:
    """Stated confidence against the share that is right."""
    rows = []
    for low, high in pairwise(CONFIDENCES):
        chosen = [a for a in announced if low <= a.confidence < high or a.confidence == high == 1]
        if chosen:
            rows.append({"from": low, "to": high, **_shares(chosen)})
    return rows


def _shares(announced: Sequence[Announced]) -> dict[str, Any]:
    return {
        "announced": len(announced),
        "stated": _mean(a.confidence for a in announced),
        "right": _mean(a.right for a in announced),
    }


def summary(runs: Sequence[Judged]) -> dict[str, Any]:
    return {"runs": len(runs), **{to: _of_phase(to, runs) for to in PHASES}}


def _of_phase(to: str, runs: Sequence[Judged]) -> dict[str, Any]:
    """Precision, recall, median factor of what is right, and what is announced where nothing is."""
    announced = [a for run in runs for a in run.of(to)]
    found = [any(a.right for a in run.of(to)) for run in runs if to in run.due]
    factors = [a.factor for a in announced if a.factor is not None and a.right]
    without = [len(run.of(to)) for run in runs if to not in run.true]
    return {
        **(_shares(announced) if announced else {"announced": 0}),
        **({"due": len(found), "recall": _mean(found)} if found else {}),
        **({"median_factor": round(statistics.median(factors), 3)} if factors else {}),
        **({"without": len(without), "false_per_run": _mean(without)} if without else {}),
    }


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)


def document(runs: Sequence[Judged]) -> dict[str, Any]:
    """All of them, and kind by kind."""
    announced = [a for run in runs for a in run.announced]
    return {
        "all": summary(runs),
        "reliability": {to: reliability([a for a in announced if a.to == to]) for to in PHASES},
        "kinds": {kind: summary([run for run in runs if run.kind == kind]) for kind in KINDS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="traces of each kind in each half")
    parser.add_argument(
        "--fit", action="store_true", help="print weights that the first half gives"
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.fit:
        runs = [judged(trace, sure=0.0) for trace in traces(arguments.count, half=0)]
        for to in PHASES:
            weights = fitted([a for run in runs for a in run.announced if a.to == to])
            print(f'    "{to}": ({", ".join(f"{w:.2f}" for w in weights)}),')
        return
    runs = [judged(trace) for trace in traces(arguments.count, half=1)]
    made_by = {"count": arguments.count, "weights": WEIGHTS, "machine": describe()}
    text = json.dumps({**document(runs), **made_by}, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
