"""Traces of training whose phases are known, made to look like recorded ones.

What is known of recorded runs and drawn here at random, a kind of trace each: see KINDS. Steps are
logarithmic throughout: a level changes over a factor in steps, noise is correlated over one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEVER = 1e12


@frozen(eq=False)
class SyntheticTrace:
    """Columns as `find_phases` takes them, and the truth.

    Attributes:
        kind: of KINDS.
        columns: {argument of find_phases: (measurements,)}.
        diffusion, total_diffusion: the steps at which they begin; None where they do not.
    """

    kind: str
    columns: dict[str, Floats]
    diffusion: float | None
    total_diffusion: float | None

    def truth(self, to: str) -> float | None:
        return {"diffusion": self.diffusion, "total_diffusion": self.total_diffusion}[to]


@frozen
class Course:
    """What a run goes through.

    Attributes:
        last: step.
        first, second: steps at which fitting ends and total diffusion begins; beyond `last`: never.
        levels: S in fitting, diffusion, total diffusion.
        start: S at the first step, from where it goes to the level of fitting until `settled`.
        settled: step.
        drift: decades by which S falls in a decade of steps of diffusion.
        flips: share of measurements in diffusion and total diffusion at which S is at the other's level.
        noise: decades of S, correlated over `memory` decades of steps; and as much from one measurement
            to the next.
        transient: (begin, factor in steps, S, φ_r) of a rise in diffusion that passes.
        late_fall: factor in steps after which total diffusion is disordered again.
        orders: φ_r at first, in diffusion, in total diffusion.
        lag: factor in steps by which φ_r and error come after S.
        error: at first, and in diffusion by the factor in steps to the power −`creep`; at the beginning
            of total diffusion times `fall`, after it by the factor in steps to the power −`rate`.
    """

    last: float = 300_000
    first: float = 150
    second: float = 20_000
    levels: tuple[float, float, float] = (30, 0.03, 5)
    start: float = 30
    settled: float = 1
    drift: float = 0.0
    flips: float = 0.0
    noise: float = 0.2
    memory: float = 0.1
    transient: tuple[float, float, float, float] | None = None
    late_fall: float = NEVER
    orders: tuple[float, float, float] = (0.99, 0.8, 0.97)
    lag: float = 1.0
    error: float = 1.0
    creep: float = 0.05
    fall: float = 0.6
    rate: float = 0.7


def paper_cadence(last: float) -> Floats:
    """Every 2 steps up to 300, then every 100."""
    early = np.arange(2, min(last, 300) + 1, 2)
    return np.concatenate([early, np.arange(400, last + 1, 100)]).astype(float)


def along(kind: str, course: Course, generator: Generator) -> SyntheticTrace:
    """A trace along this course, some of the evidence left out, at one of several cadences."""
    steps = _cadence(course.last, generator)
    snr = _snr(steps, course, generator)
    columns = {"steps": steps, "mean_norm": snr, "std_norm": np.ones_like(snr)}
    scale = 10 ** generator.uniform(-3, 3)
    columns |= {"mean_norm": scale * snr, "std_norm": np.full_like(snr, scale)}
    order, error = _order(steps, course, generator), _error(steps, course, generator)
    order_known, error_known = generator.random() < 0.75, generator.random() < 0.6
    if order_known or kind in ALONE:
        columns["residual_order"] = order
    if error_known:
        columns["error"] = error
    elif generator.random() < 0.6:
        columns["loss"] = 0.1 * error**2 * 10 ** (0.1 * generator.normal(size=len(steps)))
    if generator.random() < 0.3:
        columns["pde_snr"] = snr * 10 ** (0.1 + 0.1 * generator.normal(size=len(steps)))
    seen = steps[-1] / 1.1
    return SyntheticTrace(
        kind,
        columns,
        course.first if course.first < seen else None,
        course.second if course.second < seen else None,
    )


def synthetic(kind: str, generator: Generator) -> SyntheticTrace:
    """A trace of this kind."""
    course = KINDS[kind](generator)
    harder = 10 ** generator.uniform(-0.2, 0.35)
    course = evolve(course, noise=course.noise * harder, flips=min(course.flips * harder, 0.45))
    return along(kind, course, generator)


def _cadence(last: float, generator: Generator) -> Floats:
    which = generator.random()
    if which < 0.7 or last > 100_000:
        return paper_cadence(last)
    if which < 0.85:  # the default of an analyzer: every 10 up to 300, then every 100
        return np.concatenate([np.arange(10, 301, 10), np.arange(400, last + 1, 100)]).astype(float)
    return np.arange(10, last + 1, 10 if last < 30_000 else 50).astype(float)


def _rise(steps: Floats, begin: float, width: float) -> Floats:
    """From 0 to 1 over `width` decades about `begin`."""
    return (1 + np.tanh(np.log10(steps / begin) * 4 / width)) / 2


def _correlated(steps: Floats, memory: float, generator: Generator) -> Floats:
    """Unit noise, correlated over `memory` decades of steps."""
    logs = np.log10(steps)
    knots = np.arange(logs[0] - memory, logs[-1] + 2 * memory, memory)
    return np.interp(logs, knots, generator.normal(size=len(knots)))


def _snr(steps: Floats, c: Course, generator: Generator) -> Floats:
    fitting, diffusion, total = np.log10(c.levels)
    early = np.clip(np.log10(steps) / np.log10(c.settled + 1e-9), 0, 1) if c.settled > 1 else 1.0
    at_first = np.log10(c.start) + (fitting - np.log10(c.start)) * early
    ends = _rise(steps, c.first, 0.3)
    begins = _rise(steps, c.second, generator.uniform(0.03, 0.3))
    diffusion = diffusion - c.drift * np.log10(np.clip(steps / c.first, 1, 100))
    logs = at_first + (diffusion - at_first) * ends + (total - diffusion) * begins
    begun = (steps > c.first) & (c.flips > 0)
    other = np.where(steps < c.second, np.maximum(total, diffusion + 1), diffusion)
    logs = np.where(begun & _episodes(steps, c.flips, generator), other, logs)
    if c.transient is not None:
        begin, factor, level, _ = c.transient
        logs = np.where((steps >= begin) & (steps < begin * factor), np.log10(level), logs)
    logs = np.where(steps > c.second * c.late_fall, diffusion - 1, logs)
    spikes = generator.random(len(steps)) < 0.01
    logs = logs + spikes * generator.uniform(-3, 3, size=len(steps))
    own = generator.normal(size=len(steps))
    return 10 ** (logs + c.noise * (_correlated(steps, c.memory, generator) + own))


def _episodes(steps: Floats, share: float, generator: Generator) -> NDArray[np.bool_]:
    """True for a share of the measurements, a few at a time."""
    if share == 0:
        return np.zeros(len(steps), dtype=bool)
    lengths = generator.geometric(1 / 4, size=len(steps))
    states = np.repeat(generator.random(len(steps)) < share, lengths)
    return states[: len(steps)]


def _order(steps: Floats, c: Course, generator: Generator) -> Floats:
    """φ_r through its squared coefficient of variation, which is what changes by factors."""
    first, low, high = (np.log10(max(1 / φ**2 - 1, 1e-4)) for φ in c.orders)
    logs = first + (low - first) * _rise(steps, c.first * 1.5, generator.uniform(0.3, 1.2))
    logs += (high - low) * _rise(steps, c.second * c.lag, generator.uniform(0.1, 0.4))
    if c.transient is not None:
        begin, factor, _, φ = c.transient
        bump = np.log10(max(1 / φ**2 - 1, 1e-4))
        logs = np.where((steps >= begin) & (steps < begin * factor), np.minimum(logs, bump), logs)
    logs = (
        logs + 0.05 * _correlated(steps, 0.1, generator) + 0.02 * generator.normal(size=len(steps))
    )
    return 1 / np.sqrt(1 + 10**logs)


def _error(steps: Floats, c: Course, generator: Generator) -> Floats:
    second = c.second * c.lag
    logs = np.log10(c.error) - c.creep * np.log10(np.maximum(steps / c.first, 1))
    logs += np.log10(c.fall) * _rise(steps, second, generator.uniform(0.1, 0.5))
    logs -= c.rate * np.log10(np.maximum(steps / second, 1))
    return 10 ** (
        logs + 0.03 * (_correlated(steps, 0.1, generator) + generator.normal(size=len(steps)))
    )


def _any(g: Generator) -> Course:
    """As the authors' Allen-Cahn and Helmholtz."""
    first = 10 ** g.uniform(1.8, 2.5)
    second = first * 10 ** g.uniform(1.0, 2.8)
    levels = 10 ** g.uniform(0.5, 2.5), 10 ** g.uniform(-3, -0.9), 10 ** g.uniform(0.3, 1.3)
    last = min(max(second * 10 ** g.uniform(0.5, 1.3), 1000), 300_000)
    low = g.uniform(0.6, 0.92)
    return Course(
        last=max(last, 3 * second) if second < 100_000 else 300_000,
        first=first,
        second=min(second, 120_000),
        levels=levels,
        start=levels[0] * 10 ** g.uniform(0, 1),
        settled=20,
        drift=max(g.uniform(-0.8, 0.8), 0),
        noise=g.uniform(0.05, 0.35),
        memory=g.uniform(0.05, 0.2),
        orders=(g.uniform(0.97, 0.999), low, 1 - (1 - low) * g.uniform(0.03, 0.3)),
        lag=10 ** g.uniform(-0.05, 0.1),
        error=g.uniform(0.5, 3),
        creep=g.uniform(0, 0.25),
        fall=g.uniform(0.2, 0.7),
        rate=g.uniform(0.4, 1.5),
    )


def _bimodal(g: Generator) -> Course:
    return evolve(_any(g), flips=g.uniform(0.15, 0.35), noise=g.uniform(0.1, 0.4))


def _noise_first(g: Generator) -> Course:
    """RBA, whose weights begin at 0: hardly any noise at first."""
    course = _any(g)
    return evolve(
        course, start=10 ** g.uniform(4, 7), settled=course.first, levels=(3.0, *course.levels[1:])
    )


def _fast(g: Generator) -> Course:
    """As the authors' Helmholtz with RBA: early, few measurements, spiky."""
    first = g.uniform(50, 110)
    return evolve(
        _any(g),
        last=300_000 if g.random() < 0.3 else 10 ** g.uniform(4, 5),
        first=first,
        second=10 ** g.uniform(2.85, 3.5),
        start=10 ** g.uniform(0, 5),
        settled=first,
        levels=(10 ** g.uniform(0, 1.5), 10 ** g.uniform(-2, -1), 10 ** g.uniform(0.3, 1)),
        flips=g.uniform(0.1, 0.3),
        error=g.uniform(1, 4),
    )


def _late_fall(g: Generator) -> Course:
    return evolve(_any(g), late_fall=10 ** g.uniform(0.6, 1.0))


def _weak(g: Generator) -> Course:
    """As Helmholtz (6,6): the gradients begin disordered and never agree well while it fits."""
    course, fitting = _any(g), g.uniform(0.5, 1.5)
    start = 10 ** g.uniform(-2, -1)
    return evolve(
        course,
        start=start,
        settled=40,
        levels=(fitting, 10 ** g.uniform(-4, -1.7), g.uniform(1, 4)),
    )


def _below(g: Generator) -> Course:
    course = _any(g)
    fitting = g.uniform(0.5, 0.9)
    levels = fitting, 10 ** g.uniform(-3, -1.7), g.uniform(0.4, 0.9)
    return evolve(course, start=fitting, levels=levels, noise=g.uniform(0.05, 0.15))


def _above(g: Generator) -> Course:
    course, diffusion = _any(g), g.uniform(1.5, 4)
    levels = diffusion * 10 ** g.uniform(0.9, 2), diffusion, diffusion * 10 ** g.uniform(0.8, 1.5)
    return evolve(course, start=levels[0], levels=levels, drift=0, noise=g.uniform(0.05, 0.15))


def _order_only(g: Generator) -> Course:
    """As the authors' cavity: S falls once and stays above 1, φ_r dips and rises again."""
    course, diffusion = _any(g), g.uniform(2, 6)
    return evolve(
        course,
        last=300_000,
        second=10 ** g.uniform(3.8, 4.7),
        levels=(diffusion * 10 ** g.uniform(0.5, 1.5), diffusion, diffusion * g.uniform(1, 2)),
        orders=(g.uniform(0.98, 0.999), g.uniform(0.5, 0.75), g.uniform(0.85, 0.95)),
        creep=g.uniform(0, 0.1),
        fall=g.uniform(0.5, 0.9),
        rate=g.uniform(0.05, 1.0),
        drift=0,
        noise=g.uniform(0.05, 0.2),
    )


def _with_transient(g: Generator, course: Course) -> Course:
    """Of S, of φ_r, or of both; the error takes no part in it."""
    begin = 10 ** g.uniform(
        np.log10(course.first * 2.5), np.log10(min(course.second, course.last) / 3)
    )
    which = g.integers(3)
    level = course.levels[1] if which == 1 else course.levels[2]
    order = 0.1 if which == 0 else g.uniform(0.95, 0.99)
    factor = g.uniform(1.1, 3 if which == 1 else 2)
    return evolve(course, transient=(begin, factor, level, order))


def _transient(g: Generator) -> Course:
    course = _any(g)
    return _with_transient(g, evolve(course, second=max(course.second, course.first * 50)))


def _only_diffusion(g: Generator) -> Course:
    course = evolve(_any(g), second=NEVER, last=10 ** g.uniform(3.5, 5.5), flips=g.uniform(0, 0.2))
    return course if g.random() < 0.5 else _with_transient(g, course)


def _only_fitting(g: Generator) -> Course:
    course = evolve(_noise_first(g) if g.random() < 0.5 else _any(g), first=NEVER, second=NEVER)
    last = 10 ** g.uniform(2.3, 4)
    return evolve(
        course,
        last=last,
        settled=last if course.settled > 20 else 20,
        orders=(0.99, 0.99, 0.99),
        creep=0,
    )


def _noise(g: Generator) -> Course:
    level = 10 ** g.uniform(-3, 3)
    return Course(
        last=10 ** g.uniform(2.5, 5.3),
        first=NEVER,
        second=NEVER,
        levels=(level, level, level),
        start=level,
        noise=g.uniform(0, 0.6),
        memory=g.uniform(0.05, 0.15),
        orders=(g.uniform(0.7, 0.99),) * 3,
        error=g.uniform(0.5, 2),
    )


def _cut_short(g: Generator) -> Course:
    course = _any(g)
    return evolve(
        course, last=10 ** g.uniform(np.log10(course.first / 1.5), np.log10(2 * course.second))
    )


KINDS: dict[str, Callable[[Generator], Course]] = {
    "three phases": _any,
    "bimodal": _bimodal,
    "hardly any noise at first": _noise_first,
    "early and spiky": _fast,
    "disordered again late": _late_fall,
    "weak fitting": _weak,
    "SNR below 1": _below,
    "SNR above 1": _above,
    "residual order alone": _order_only,
    "transient": _transient,
    "cut short": _cut_short,
    "only diffusion": _only_diffusion,
    "only fitting": _only_fitting,
    "only noise": _noise,
}
ALONE = ("residual order alone",)
"""Kinds whose total diffusion nothing but φ_r shows: it is measured there."""
