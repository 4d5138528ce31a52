"""The facts of a run that the papers' findings are about."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from attrs import asdict, frozen
from numpy.typing import NDArray

from pinn.analyzers.phases_detection import DIFFUSION, TOTAL_DIFFUSION, Phases
from pinn.analyzers.phases_traces import read_trace
from pinn.engine import Run

Series = tuple[NDArray[Any], NDArray[Any]]
Metrics = dict[str, Series]

WINDOW = 0.25
"""Decades of steps over which the fall of the error is taken."""
ORDER = "residual_order.rba.10cells"


@frozen
class Facts:
    """Numbers of one run.

    Attributes:
        error: relative L2 of the headline observable at the end.
        best: its least value.
        phases: with steps and confidence.
        steepest: (first, last) step of the quarter decade of steps in which log error falls most.
        fall: by how many decades it falls there.
        steepest_phase: the phase in the middle of it.
        gradient_order, residual_order: medians of φ_g and φ_r within it.
        saturation: percent, of each hidden layer, the largest that was measured from then on.
        information: I(X;T) of each hidden layer over log₂ N, at the end.
        seconds: of training, without analyzers.
    """

    steps: int
    error: float
    best: float
    phases: Phases
    steepest: tuple[int, int]
    fall: float
    steepest_phase: str
    gradient_order: float
    residual_order: float
    saturation: tuple[float, ...]
    information: tuple[float, ...]
    seconds: float
    observing: float

    def as_document(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def three_phases(self) -> bool:
        return self.diffusion is not None and self.total_diffusion is not None

    @property
    def diffusion(self) -> int | None:
        return self.phases.step(DIFFUSION)

    @property
    def total_diffusion(self) -> int | None:
        return self.phases.step(TOTAL_DIFFUSION)

    @property
    def most_saturated(self) -> int:
        """Number of the layer, from 1."""
        return int(np.argmax(self.saturation)) + 1


def facts_of(run: Run) -> Facts:
    metrics = run.metrics()
    phases = read_trace(run.path).phases()
    error_steps, errors = metrics["rel_l2"]
    begin, end, fall = steepest_fall(error_steps, errors)
    seconds = dict(run.summary["seconds"])
    return Facts(
        steps=int(run.summary["steps"]),
        error=float(errors[-1]),
        best=float(errors.min()),
        phases=phases,
        steepest=(begin, end),
        fall=fall,
        steepest_phase=phase_at(phases, (begin * end) ** 0.5),
        gradient_order=median_between(metrics["gradient_order"], begin, end),
        residual_order=median_between(metrics[ORDER], begin, end),
        saturation=by_layer(metrics, "saturation"),
        information=tuple(
            bits / float(metrics["information_x"][1][-1])
            for bits in by_layer(metrics, "information_xt")
        ),
        seconds=seconds.pop("training"),
        observing=sum(seconds.values()),
    )


def steepest_fall(steps: NDArray[Any], errors: NDArray[Any]) -> tuple[int, int, float]:
    """The stretch of WINDOW decades of steps in which log10 of the error falls most."""
    logs, error = np.log10(steps), np.log10(errors)
    ends = np.arange(logs[0] + WINDOW, logs[-1], 0.02)
    falls = np.interp(ends - WINDOW, logs, error) - np.interp(ends, logs, error)
    end = ends[int(np.argmax(falls))]
    return round(10 ** (end - WINDOW)), round(10**end), float(falls.max())


def phase_at(phases: Phases, step: float) -> str:
    passed = [t.to for t in phases.transitions if t.step <= step]
    return passed[-1].replace("_", " ") if passed else "fitting"


def median_between(series: Series, begin: float, end: float) -> float:
    steps, values = series
    chosen = values[(steps >= begin) & (steps <= end)].astype(float)
    return float(np.median(chosen)) if chosen.size else float("nan")


def by_layer(metrics: Metrics, quantity: str) -> tuple[float, ...]:
    """The last value of each hidden layer."""
    layers = sorted(
        (int(found[1]), name)
        for name in metrics
        if (found := re.fullmatch(rf"{quantity}\.layer(\d+)", name))
    )
    return tuple(float(metrics[name][1][-1]) for _, name in layers)
