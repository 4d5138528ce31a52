"""Phases in synthetic traces, whose transitions are known, and in the authors' recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from pinn.analyzers.phases_detection import DIFFUSION, TOTAL_DIFFUSION, Phases, find_phases
from pinn.analyzers.phases_traces import read_trace

TRACES = Path(__file__).parents[3] / "shared" / "traces"
MARKED = {  # by eye, arXiv 2403.18494
    "allen-cahn_vanilla": (150, 91_700),
    "allen-cahn_rba": (150, 11_100),
    "helmholtz_vanilla": (180, 19_000),
}

Array = NDArray[np.float64]
SEEDS = st.integers(0, 10**6)


def paper_cadence(last: int) -> Array:
    """Every 2 steps up to 300, then every 100."""
    early = np.arange(2, min(last, 300) + 1, 2)
    return np.concatenate([early, np.arange(400, last + 1, 100)]).astype(float)


CADENCES = st.sampled_from([paper_cadence, lambda n: np.arange(1.0, min(n, 5000) + 1),
                            lambda n: np.arange(10.0, n + 1, 10)])  # fmt: skip


def noisy(levels: Array, decades: float, seed: int) -> Array:
    """Log-normal noise of so many decades."""
    return levels * 10 ** (decades * np.random.default_rng(seed).normal(size=levels.shape))


def three_phases(
    steps: Array, first: float, second: float, levels: tuple[float, float, float]
) -> Array:
    fitting, diffusion, total = levels
    return np.where(steps < first, fitting, np.where(steps < second, diffusion, total))


def found(steps: Array, ratio: Array, **named: Any) -> Phases:
    return find_phases(steps, ratio, np.ones_like(ratio), **named)


def summary(phases: Phases) -> list[tuple[str, int]]:
    return [(t.to, t.step) for t in phases.transitions]


KNOWN = {
    "first": st.floats(1.7, 2.4).map(lambda x: 10**x),
    "decades_of_diffusion": st.floats(0.8, 2.0),
    "levels": st.tuples(
        st.floats(0.7, 2.5), st.floats(-3.0, -1.0), st.floats(0.5, 1.5)
    ).map(lambda logs: tuple(10**x for x in logs)),
    "decades_after": st.floats(0.4, 1.2),
    "noise": st.floats(0, 0.4),
    "seed": SEEDS,
}  # fmt: skip


@settings(max_examples=200)
@given(**KNOWN)
def test_known_transitions_are_found(
    first: float,
    decades_of_diffusion: float,
    levels: tuple[float, float, float],
    decades_after: float,
    noise: float,
    seed: int,
) -> None:
    second = max(first * 10**decades_of_diffusion, 1000)
    steps = paper_cadence(int(second * 10**decades_after))
    ratio = noisy(three_phases(steps, first, second, levels), noise, seed)
    phases = found(steps, ratio)
    assert [t.to for t in phases.transitions] == [DIFFUSION, TOTAL_DIFFUSION]
    for transition, known in zip(phases.transitions, (first, second), strict=True):
        assert known / 1.5 < transition.step < 1.5 * known
        assert transition.previous < transition.step
        assert 0.3 <= transition.confidence <= 1
    assert phases.notes == ()


@settings(max_examples=100)
@given(seed=SEEDS, share=st.floats(0, 0.05), height=st.floats(-4, 4))
def test_spikes_do_not_matter(seed: int, share: float, height: float) -> None:
    steps = paper_cadence(100_000)
    ratio = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, seed)
    spikes = np.random.default_rng(seed + 1).random(len(steps)) < share
    spiked = np.where(spikes, ratio * 10**height, ratio)
    for a, b in zip(found(steps, ratio).transitions, found(steps, spiked).transitions, strict=True):
        assert a.to == b.to
        assert a.step / 1.3 < b.step < 1.3 * a.step


@pytest.mark.parametrize("every", [2, 3, 5])
def test_the_cadence_does_not_matter(every: int) -> None:
    steps = paper_cadence(100_000)[every - 1 :: every]
    ratio = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, every)
    (_, first), (_, second) = summary(found(steps, ratio))
    assert 100 < first < 200
    assert 8_000 < second < 13_000


@pytest.mark.parametrize("last", [1_000, 9_000])
def test_a_shorter_run_has_not_reached_total_diffusion(last: int) -> None:
    steps = paper_cadence(last)
    phases = found(steps, noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, 0))
    assert [t.to for t in phases.transitions] == [DIFFUSION]
    assert phases.notes == (f"total diffusion is not reached by step {last}",)
    assert phases.last == DIFFUSION


@settings(max_examples=300)
@given(
    cadence=CADENCES,
    last=st.floats(2.3, 5).map(lambda x: int(10**x)),
    level=st.floats(-3, 3),
    decades=st.floats(0, 1.5),
    seed=SEEDS,
)
def test_nothing_is_found_in_noise(
    cadence: Any, last: int, level: float, decades: float, seed: int
) -> None:
    steps = cadence(last)
    order = np.clip(0.9 + 0.03 * np.random.default_rng(seed + 1).normal(size=len(steps)), 0, 1)
    ratio = noisy(np.full(len(steps), 10**level), decades, seed)
    phases = found(steps, ratio, residual_order=order)
    assert phases.transitions == ()
    assert phases.notes
    assert phases.last == "fitting"


@settings(max_examples=50)
@given(SEEDS, st.randoms(), st.floats(1e-6, 1e6))
def test_neither_the_order_of_rows_nor_the_scale_of_the_loss_matters(
    seed: int, shuffler: Any, scale: float
) -> None:
    steps = paper_cadence(50_000)
    ratio = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.3, seed)
    order = np.array(shuffler.sample(range(len(steps)), len(steps)))
    shuffled = find_phases(steps[order], scale * ratio[order], np.full(len(steps), scale))
    assert summary(shuffled) == summary(found(steps, ratio))


def test_a_fitting_that_stays_below_one_is_seen() -> None:
    steps = paper_cadence(100_000)
    levels = np.where((steps > 40) & (steps < 150), 0.5, 0.01)
    levels = np.where(steps > 10_000, 3.0, levels)
    (_, first), (_, second) = summary(found(steps, noisy(levels, 0.1, 0)))
    assert 120 < first < 180
    assert 9_000 < second < 12_000


@pytest.mark.parametrize("levels", [(300, 3, 100), (0.8, 0.02, 0.5)])
@pytest.mark.parametrize("begin", [2, 40])
def test_levels_on_one_side_of_one_are_told_apart(
    levels: tuple[float, float, float], begin: int
) -> None:
    steps = paper_cadence(100_000)
    steps = steps[steps >= begin]
    (_, first), (_, second) = summary(
        found(steps, noisy(three_phases(steps, 150, 10_000, levels), 0.1, 0))
    )
    assert 130 < first < 180
    assert 9_000 < second < 12_000


def test_order_that_falls_again_late_leaves_the_transition() -> None:
    steps = paper_cadence(300_000)
    levels = three_phases(steps, 150, 10_000, (30, 0.03, 5))
    levels = np.where(steps > 100_000, 0.001, levels)
    assert [to for to, _ in summary(found(steps, noisy(levels, 0.2, 0)))] == [
        DIFFUSION,
        TOTAL_DIFFUSION,
    ]


def test_measurements_that_begin_late_miss_the_end_of_fitting() -> None:
    steps = np.arange(500.0, 100_000, 100)
    phases = found(steps, noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, 0))
    ((to, step),) = summary(phases)
    assert to == TOTAL_DIFFUSION
    assert 9_000 < step < 12_000
    assert phases.notes == ("measurements begin at step 500: fitting may have ended before",)


def test_residual_order_alone_shows_total_diffusion() -> None:
    """As in the authors' cavity: the gradients hardly change, the residuals become homogeneous."""
    steps = paper_cadence(200_000)
    generator = np.random.default_rng(0)
    ratio = noisy(np.where(steps < 150, 30, 0.3), 0.2, 0)
    order = np.where(steps < 20_000, 0.7, 0.95) + 0.01 * generator.normal(size=len(steps))
    phases = found(steps, ratio, residual_order=order)
    assert [to for to, _ in summary(phases)] == [DIFFUSION, TOTAL_DIFFUSION]
    assert 18_000 < phases.transitions[1].step < 24_000
    assert "residual order rises from 0." in phases.transitions[1].evidence
    assert phases.transitions[1].confidence <= 0.5
    assert [to for to, _ in summary(found(steps, ratio))] == [DIFFUSION]
    unknown = np.full(len(steps), np.nan)
    assert found(steps, ratio, residual_order=unknown) == found(steps, ratio)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_measurements(count: int) -> None:
    phases = found(np.arange(1.0, count + 1), np.ones(count))
    assert phases.transitions == ()
    assert phases.notes == ("too few measurements to see a phase",)


@given(SEEDS, st.sampled_from([np.nan, np.inf, -1.0, 0.0]))
def test_measurements_that_are_no_numbers_are_left_out(seed: int, wrong: float) -> None:
    steps = paper_cadence(50_000)
    mean = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, seed)
    std = np.ones_like(mean)
    some = np.random.default_rng(seed).random(len(steps)) < 0.02
    mean[some] = wrong
    assert [to for to, _ in summary(find_phases(steps, mean, std))] == [DIFFUSION, TOTAL_DIFFUSION]


def test_batches_that_agree_wholly_are_ordered() -> None:
    steps = paper_cadence(50_000)
    ratio = three_phases(steps, 150, 10_000, (30, 0.03, 5))
    std = np.where(steps < 100, 0.0, 1.0)
    assert len(find_phases(steps, ratio, std).transitions) == 2


@pytest.mark.skipif(not TRACES.exists(), reason="the authors' recorded runs are not here")
@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_the_authors_runs(name: str, every: int) -> None:
    trace = read_trace(TRACES / f"{name}.csv")
    rows = slice(every - 1, None, every)
    phases = find_phases(
        trace.steps[rows], trace.mean_norm[rows], trace.std_norm[rows], trace.residual_order[rows]
    )
    assert [t.to for t in phases.transitions] == [DIFFUSION, TOTAL_DIFFUSION]
    for transition, marked in zip(phases.transitions, MARKED[name], strict=True):
        assert marked / 2 < transition.step < 2 * marked


@pytest.mark.skipif(not TRACES.exists(), reason="the authors' recorded runs are not here")
@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("last", [2_000, 5_000, 9_000])
def test_the_authors_runs_cut_short(name: str, last: int) -> None:
    trace = read_trace(TRACES / f"{name}.csv")
    rows = trace.steps <= last
    phases = find_phases(
        trace.steps[rows], trace.mean_norm[rows], trace.std_norm[rows], trace.residual_order[rows]
    )
    assert [t.to for t in phases.transitions] == [DIFFUSION]
