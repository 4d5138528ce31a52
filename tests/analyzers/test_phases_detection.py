"""Phases in synthetic traces, whose transitions are known, and in the authors' recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import asdict
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
        st.floats(0.7, 2.5), st.floats(-3.0, -1.0), st.floats(0.6, 1.5)
    ).map(lambda logs: tuple(10**x for x in logs)),
    "decades_after": st.floats(0.7, 1.2),
    "noise": st.floats(0, 0.3),
    "seed": SEEDS,
}  # fmt: skip


@settings(max_examples=50)
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
        factor = 1.4 if transition.to == DIFFUSION else 2
        assert transition.announced >= factor * transition.step
        assert 0.8 <= transition.confidence <= 1
    assert phases.notes == ()


@settings(max_examples=25)
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


@settings(max_examples=100)
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


@settings(max_examples=8)
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
    ratio = noisy(np.where(steps < 150, 30, 3), 0.1, 0)
    order = np.where(steps < 150, 0.99, np.where(steps < 20_000, 0.55, 0.89))
    order += 0.01 * generator.normal(size=len(steps))
    phases = found(steps, ratio, residual_order=order)
    assert [to for to, _ in summary(phases)] == [DIFFUSION, TOTAL_DIFFUSION]
    assert 18_000 < phases.transitions[1].step < 24_000
    assert phases.transitions[1].evidence == "residual order 0.55 → 0.89"
    assert [to for to, _ in summary(found(steps, ratio))] == [DIFFUSION]
    constant = np.full_like(ratio, 3)
    without_fall = found(steps, constant, residual_order=order)
    assert [to for to, _ in summary(without_fall)] == [DIFFUSION, TOTAL_DIFFUSION]
    assert without_fall.step(DIFFUSION) == pytest.approx(150, rel=0.1)
    disordered = found(steps, noisy(np.where(steps < 150, 30, 0.07), 0.1, 0), residual_order=order)
    assert [to for to, _ in summary(disordered)] == [DIFFUSION], "gradients speak against it"
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


@given(SEEDS, st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))
def test_other_evidence_that_is_no_number_does_no_harm(seed: int, wrong: float) -> None:
    steps = paper_cadence(50_000)
    ratio = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), 0.2, seed)
    generator = np.random.default_rng(seed)
    for share in (0.02, 1.0):
        some = {
            name: np.where(
                generator.random(len(steps)) < share, wrong, 0.5 - 0.4 * (steps > 10_000)
            )
            for name in ("pde_snr", "error", "loss")
        }
        for transition in found(steps, ratio, **some).transitions:
            assert 0 < transition.confidence <= 1
            assert "nan" not in transition.evidence


def test_batches_that_agree_wholly_are_ordered() -> None:
    steps = paper_cadence(50_000)
    ratio = three_phases(steps, 150, 10_000, (30, 0.03, 5))
    std = np.where(steps < 100, 0.0, 1.0)
    assert len(find_phases(steps, ratio, std).transitions) == 2


# what each kind of evidence can do


def three_runs(noise: float = 0.2) -> tuple[Array, Array]:
    steps = paper_cadence(100_000)
    return steps, noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), noise, 0)


def test_total_diffusion_that_the_error_denies_is_not_announced() -> None:
    """Cells turn while the error is at its peak and S rises, but only to 0.07."""
    steps, ratio = three_runs()
    order = np.where(steps < 10_000, 0.93, 0.99)
    ratio = np.where(steps < 10_000, ratio, 0.07)
    rising = np.where(steps < 10_000, 1.0, 1.3)
    assert found(steps, ratio, residual_order=order, error=rising).last == DIFFUSION


def test_more_evidence_makes_it_known_sooner() -> None:
    steps, ratio = three_runs()
    order = np.where(steps < 10_000, 0.8, 0.98)
    error = np.where(steps < 10_000, 1.0, 0.3)
    alone = found(steps, ratio).transitions[1]
    two = found(steps, ratio, residual_order=order).transitions[1]
    three = found(steps, ratio, residual_order=order, error=error).transitions[1]
    assert three.announced <= two.announced < alone.announced
    assert three.confidence > two.confidence > alone.confidence
    assert three.evidence.count("→") == 3


def test_the_loss_stands_for_the_error_where_that_is_not_known() -> None:
    steps, ratio = three_runs()
    error = np.where(steps < 10_000, 1.0, 0.3)
    by_error, by_loss = (
        found(steps, ratio, **{name: values}).transitions[1]
        for name, values in {"error": error, "loss": 5 * error**2}.items()
    )
    assert (by_error.step, by_error.announced) == (by_loss.step, by_loss.announced)
    assert "loss 5 → 0.45" in by_loss.evidence
    assert found(steps, ratio, error=error, loss=np.ones_like(error)) == found(
        steps, ratio, error=error
    )


def test_a_pde_part_that_stays_disordered_speaks_against_it() -> None:
    steps, ratio = three_runs()
    agrees, disagrees = ratio * 2, noisy(np.full_like(ratio, 0.01), 0.1, 1)
    assert found(steps, ratio, pde_snr=agrees).step(TOTAL_DIFFUSION)
    assert found(steps, ratio, pde_snr=disagrees).step(TOTAL_DIFFUSION) is None


def test_a_rise_that_passes_is_no_transition() -> None:
    steps, ratio = three_runs()
    brief = (steps > 1500) & (steps < 2500)
    order = np.where(steps < 10_000, 0.8, 0.98)
    expected = found(steps, ratio, residual_order=order)
    risen = found(steps, np.where(brief, 5.0, ratio), residual_order=np.where(brief, 0.97, order))
    assert risen.step(TOTAL_DIFFUSION) == expected.step(TOTAL_DIFFUSION)


# announcements stand

EVIDENCE = ("residual_order", "pde_snr", "error", "loss")


def check_prefixes(columns: dict[str, Array], count: int) -> Phases:
    """What is announced of each first part of a trace is what was announced of the whole by its end."""
    whole = find_phases(**columns)
    last = columns["steps"].max()
    for end in np.unique(np.geomspace(5, last, count).astype(int)):
        first = columns["steps"] <= end
        prefix = find_phases(**{name: values[first] for name, values in columns.items()})
        made = tuple(t for t in whole.transitions if t.announced <= columns["steps"][first].max())
        assert prefix.transitions == made, end
    return whole


@settings(max_examples=8)
@given(SEEDS, st.floats(0, 0.6), st.sets(st.sampled_from(EVIDENCE)), st.floats(0, 0.9))
def test_no_announcement_is_ever_taken_back(
    seed: int, noise: float, known: set[str], missing: float
) -> None:
    steps = paper_cadence(100_000)
    ratio = noisy(three_phases(steps, 150, 10_000, (30, 0.03, 5)), noise, seed)
    levels = {
        "residual_order": 1 / noisy(three_phases(steps, 300, 9_000, (1.02, 1.5, 1.05)), 0.01, seed),
        "pde_snr": 2 * ratio,
        "error": noisy(three_phases(steps, 300, 11_000, (1, 0.9, 0.4)), 0.05, seed),
        "loss": noisy(three_phases(steps, 300, 11_000, (1, 0.9, 0.2)), 0.05, seed),
    }
    generator = np.random.default_rng(seed + 1)
    others = {
        name: np.where(generator.random(len(steps)) < missing, np.nan, levels[name])
        for name in sorted(known)
    }
    check_prefixes(
        {"steps": steps, "mean_norm": ratio, "std_norm": np.ones_like(ratio)} | others, 30
    )


RECORDED = pytest.mark.skipif(not TRACES.exists(), reason="the authors' recorded runs are not here")


def recorded(name: str, *without: str) -> dict[str, Array]:
    columns = asdict(read_trace(TRACES / f"{name}.csv"), recurse=False)
    del columns["left_out"]
    return {name: values for name, values in columns.items() if name not in without}


@RECORDED
@pytest.mark.parametrize("name", MARKED)
def test_the_authors_runs_and_every_part_of_them(name: str) -> None:
    """200 parts each; what is announced is right, and not announced before it is there."""
    phases = check_prefixes(recorded(name), 200)
    assert [t.to for t in phases.transitions] == [DIFFUSION, TOTAL_DIFFUSION]
    for transition, marked in zip(phases.transitions, MARKED[name], strict=True):
        assert marked / 2 < transition.step < 2 * marked
        assert transition.confidence > 0.8
    assert phases.transitions[1].announced > MARKED[name][1]


@RECORDED
@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize(
    "without",
    [("loss",), ("error",), ("residual_order",), ("error", "loss"), ("residual_order", "error")],
)
def test_the_authors_runs_with_less_evidence(name: str, without: tuple[str, ...]) -> None:
    phases = find_phases(**recorded(name, *without))
    assert [t.to for t in phases.transitions] == [DIFFUSION, TOTAL_DIFFUSION]
    for transition, marked in zip(phases.transitions, MARKED[name], strict=True):
        assert marked / 2 < transition.step < 2 * marked


@RECORDED
@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("every", [2, 3, 5])
def test_the_authors_runs_measured_more_rarely(name: str, every: int) -> None:
    phases = find_phases(**{k: v[every - 1 :: every] for k, v in recorded(name).items()})
    assert [t.to for t in phases.transitions] == [DIFFUSION, TOTAL_DIFFUSION]
    for transition, marked in zip(phases.transitions, MARKED[name], strict=True):
        assert marked / 2 < transition.step < 2 * marked


@RECORDED
def test_a_period_that_divides_the_cells_announces_nothing_too_soon() -> None:
    """Helmholtz with φ_r of cells that are alike from step 250 on, the error at its peak."""
    columns = recorded("helmholtz_vanilla", "loss")
    steps = columns["steps"]
    columns["residual_order"] = np.where(steps < 250, 0.93, 0.99)
    phases = check_prefixes(columns, 50)
    begun = phases.step(TOTAL_DIFFUSION)
    assert begun is None or 19_000 / 2 < begun < 2 * 19_000
