"""The facts of one run that the papers' findings are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from attrs import evolve, frozen

from benchmarks.reproduction.evidence import Array, Evidence
from benchmarks.reproduction.statistics import Time
from pinn.analyzers.phases_detection import DIFFUSION, TOTAL_DIFFUSION, Phases
from pinn.analyzers.phases_traces import trace_of
from pinn.analyzers.phases_transition import Change, around

WINDOW = 0.25
"""Decades of steps over which the fall of the error is taken."""
NEAR = 0.5
"""Decades before and after a transition that are compared."""


@frozen(eq=False, slots=False)
class Facts:
    """What is read off the numbers of one run."""

    evidence: Evidence

    @cached_property
    def phases(self) -> Phases:
        return trace_of(self.evidence.rows()).phases()

    @property
    def fitting_ends(self) -> int | None:
        return self.phases.step(DIFFUSION)

    @property
    def total_diffusion(self) -> int | None:
        return self.phases.step(TOTAL_DIFFUSION)

    @property
    def time_to_total_diffusion(self) -> Time:
        step = self.total_diffusion
        return Time(self.last_step, False) if step is None else Time(step, True)

    @property
    def last_step(self) -> float:
        return self.evidence.last_step

    def series(self, name: str) -> tuple[Array, Array]:
        return self.evidence.series.get(name, (np.empty(0), np.empty(0)))

    def measured(self, name: str) -> bool:
        return bool(len(self.series(name)[0]))

    def last(self, name: str) -> float:
        return float(self.series(name)[1][-1])

    def error(self, until: float = np.inf) -> float:
        """The relative L2 error at the last measurement up to that step."""
        steps, errors = self.series("rel_l2")
        return float(errors[steps <= until][-1]) if (steps <= until).any() else float("nan")

    def at_transition(self, name: str) -> Change | None:
        """A quantity before and after total diffusion begins; None where one of them is not known."""
        if self.total_diffusion is None:
            return None
        change = around(*self.series(name), self.total_diffusion, NEAR)
        return change if np.isfinite([change.before, change.after]).all() else None

    def layers(self, quantity: str) -> list[str]:
        """The recorded names of a quantity of every hidden layer, from the input on."""
        found = [re.fullmatch(rf"{quantity}\.layer(\d+)", name) for name in self.evidence.series]
        numbered = {int(match[1]): match[0] for match in found if match}
        return [numbered[number] for number in sorted(numbered)]

    @cached_property
    def steepest_fall(self) -> tuple[float, float, float]:
        """(first step, last step, decades): where log10 of the error falls most within WINDOW."""
        steps, errors = self.series("rel_l2")
        if len(steps) < 3 or np.log10(steps[-1] / steps[0]) <= WINDOW:
            return float("nan"), float("nan"), 0.0
        logs, error = np.log10(steps), np.log10(errors)
        ends = np.arange(logs[0] + WINDOW, logs[-1], 0.02)
        falls = np.interp(ends - WINDOW, logs, error) - np.interp(ends, logs, error)
        end = ends[int(np.argmax(falls))]
        return float(10 ** (end - WINDOW)), float(10**end), float(falls.max())

    def share_of_steps_after(self, step: float) -> float:
        """Of the decades in which the error was measured, those from `step` on."""
        steps, _ = self.series("rel_l2")
        whole = np.log10(steps[-1] / steps[0])
        return float(np.clip(np.log10(steps[-1] / step) / whole, 0, 1))

    def shuffled(self, generator: np.random.Generator) -> Facts:
        """The same numbers in random order, each quantity by itself: a run in which nothing follows."""
        series: Mapping[str, tuple[Array, Array]] = {
            name: (steps, generator.permutation(values))
            for name, (steps, values) in self.evidence.series.items()
        }
        return Facts(evolve(self.evidence, series=series))
