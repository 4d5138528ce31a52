"""The reproduction of the papers: what is trained, kept and counted, and that verdicts go both ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, strategies as st

from benchmarks.reproduction import evidence, plan
from benchmarks.reproduction.evidence import Evidence, cut, keep, kept
from benchmarks.reproduction.facts import Facts
from benchmarks.reproduction.findings import (
    FINDINGS,
    Finding,
    PairFinding,
    grows,
    judge,
    rba_generalises_better,
    rba_is_sooner,
    three_phases,
)
from benchmarks.reproduction.plan import ABLATED, SCALES, Job, Scale
from benchmarks.reproduction.statistics import Share, Time, median_time, sooner
from benchmarks.reproduction.training import train_all
from pinn.core import offered
from pinn.engine import parse_config

STEPS = np.unique(np.concatenate([np.arange(2, 300, 2), np.arange(300, 30_001, 100)])).astype(float)


def made(
    begins: float | None, error: float = 0.1, weighting: str = "rba", seed: int = 0, **series: Any
) -> Facts:
    """A run that fits until step 150, and diffuses until step `begins`, for ever if None."""
    generator = np.random.default_rng(seed)
    late = (np.inf if begins is None else begins) <= STEPS
    snr = np.where(STEPS < 150, 30.0, np.where(late, 5.0, 0.02))
    snr = snr * 10 ** (0.1 * generator.normal(size=len(STEPS)))
    falling = np.where(late, error, 1.0)
    whole: Mapping[str, Any] = {
        "gradient_mean_norm": (STEPS, snr),
        "gradient_std_norm": (STEPS, np.ones_like(STEPS)),
        "snr": (STEPS, snr),
        "rel_l2": (STEPS, falling),
        "loss": (STEPS, falling),
        **{name: (STEPS, values) for name, values in series.items()},
    }
    return Facts(Evidence(f"helmholtz-{weighting}", seed, "", whole, "", 1.0))


def finding(claim: str) -> Finding | PairFinding:
    return next(f for f in FINDINGS if f.claim == claim)


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.01, 0.99))
def test_a_share_says_yes_no_or_undecided(held: int, of: int, chance: float) -> None:
    share = Share.counted([place < held for place in range(of)], chance)
    assert 0 <= share.low <= share.held / of <= share.high <= 1
    assert (share.word == "yes") == (share.low > chance)
    assert (share.word == "no") == (share.high < chance)


def test_five_of_five_are_not_enough_against_a_half_and_six_are() -> None:
    assert Share.counted([True] * 5, 0.5).word == "undecided"
    assert Share.counted([True] * 6, 0.5).word == "yes"
    assert Share.counted([False] * 6, 0.5).word == "no"
    assert Share.counted([], 0.5).word == "not measured"


def test_times_that_are_not_over_count_as_later() -> None:
    seen = [Time(step, True) for step in (100, 200, 300)]
    assert median_time(seen) == 200
    assert median_time([*seen, Time(1000, False), Time(1000, False)]) == 300
    assert median_time([Time(1000, False)] * 3) is None
    late = [Time(1000, False)] * 3
    assert sooner(seen, late) < 0.05
    assert sooner(seen, seen) > 0.9
    assert np.isnan(sooner(late, late))


def test_three_phases_are_seen_where_they_are_and_not_by_chance() -> None:
    three = finding("Three phases in every run")
    assert judge(three, [made(3000, seed=s) for s in range(6)]).word == "yes"
    verdict = judge(three, [made(None, seed=s) for s in range(6)])
    assert (verdict.share.held, verdict.share.of, verdict.word) == (0, 6, "no")


def test_a_run_that_is_too_short_to_show_three_phases_counts_neither_way() -> None:
    """Not where it happens to show them either: that would be counting the hits alone."""
    for begins in (3000, None):
        long = made(begins, weighting="vanilla").evidence  # marked at 19,000
        for steps, judged in ((30_000, False), (40_000, True)):
            stretched = {n: (s * steps / STEPS[-1], v) for n, (s, v) in long.series.items()}
            outcome = three_phases(Facts(evolve(long, series=stretched)))
            assert (outcome is not None) is judged


def test_what_is_to_hold_of_every_run_is_no_yes_by_one() -> None:
    """Chance alone makes it never, so that one run in forty would be more."""
    three = finding("Three phases in every run")
    assert judge(three, [made(3000)]).word == "undecided"
    assert judge(three, [made(3000), *(made(None, seed=s) for s in range(1, 9))]).word == "no"


def test_a_run_cut_at_a_step_knows_nothing_of_what_follows() -> None:
    whole = made(3000).evidence
    assert Facts(whole).total_diffusion is not None
    short = cut(whole, 4000)
    assert short.last_step == 4000
    assert Facts(short).total_diffusion is None


def test_sooner_takes_runs_that_end_before_as_later() -> None:
    early, late, never = made(2000), made(10_000, weighting="vanilla"), made(None)
    assert rba_is_sooner(early, late) is True
    assert rba_is_sooner(early, never) is True
    assert rba_is_sooner(never, late) is False
    assert rba_is_sooner(never, never) is None


EVIDENCE = [run for scale in SCALES.values() for run in evidence.all_kept(scale)]


@pytest.mark.parametrize(
    "run", EVIDENCE, ids=lambda run: f"{run.set_up}-{run.variant}-{run.seed}-{run.last_step:.0f}"
)
def test_what_is_announced_of_our_own_runs_is_never_taken_back(run: Evidence) -> None:
    """Ended at any of forty steps: what is announced then stays, within a factor of 1.5."""
    announced: dict[str, int] = {}
    for step in np.geomspace(100, run.last_step, 40):
        phases = Facts(cut(run, step)).phases
        now = {transition.to: transition.step for transition in phases.transitions}
        for phase, begun in announced.items():
            assert begun / 1.5 <= now[phase] <= 1.5 * begun
        announced = announced | now


def test_errors_are_compared_at_the_last_step_that_both_have_made() -> None:
    short, long = made(2000, 0.2), made(20_000, 0.001, "vanilla")
    half = {n: (s[s <= 10_000], v[s <= 10_000]) for n, (s, v) in short.evidence.series.items()}
    assert rba_generalises_better(Facts(evolve(short.evidence, series=half)), long) is True
    assert rba_generalises_better(short, long) is False


@pytest.mark.parametrize(("after", "expected"), [(0.9, True), (0.2, False), (0.5, None)])
def test_growth_at_the_transition(after: float, expected: bool | None) -> None:
    values = np.where(STEPS >= 3000, after, 0.5)
    assert grows("sensitivity.order")(made(3000, **{"sensitivity.order": values})) is expected


@pytest.mark.parametrize(
    "of_runs", [f for f in FINDINGS if isinstance(f, Finding)], ids=lambda f: f.claim
)
def test_what_was_not_measured_is_not_judged(of_runs: Finding) -> None:
    bare = {
        "gradient_mean_norm": (STEPS, 0 * STEPS + 1),
        "gradient_std_norm": (STEPS, 0 * STEPS + 1),
    }
    facts = Facts(Evidence("cavity-rba", 0, "", bare, "", 1.0))
    assert of_runs.holds(facts) in (None, False)


def test_every_planned_run_has_a_configuration(tmp_path: Path) -> None:
    with offered(*ABLATED):
        for scale in SCALES.values():
            configs = {job.name: job.config(tmp_path) for job in scale.jobs()}
            assert len({str(c.directory) for c in configs.values()}) == len(scale.jobs())
    assert configs["cavity-rba-seed0"].problem.name == "cavity"


def test_every_ablation_changes_what_is_trained_or_measured() -> None:
    """Also within its steps: a rate that falls only behind them would change nothing."""
    with offered(*ABLATED):
        tables = [job.table() for job in SCALES["laptop"].jobs() if job.seed == 0 and job.variant]
        configs = [parse_config(table).toml() for table in tables]
    assert len({*configs}) == len(configs) == len(plan.ABLATIONS)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scale:
    """A scale of one run of two steps."""
    (tmp_path / "tiny-rba.toml").write_text(
        '[run]\ncompile = "never"\n[problem]\nname = "helmholtz"\n[network]\nwidth = 4\ndepth = 1\n'
        "[points]\ninterior = 16\nconditions = 4\n"
        '[[optimizers]]\nname = "adam"\nsteps = 40\n[[analyzers]]\nname = "error"\nevery = 10\n'
    )
    monkeypatch.setattr(evidence, "RESULTS", tmp_path / "results")
    return Scale("small", tmp_path, {"tiny-rba": "tiny-rba"}, seeds=1)


def test_what_is_kept_of_a_run_is_what_it_recorded(small: Scale, tmp_path: Path) -> None:
    from pinn.engine import train

    (job,) = small.jobs()
    assert kept(job) is None
    run = train(job.config(tmp_path / "runs"))
    keep(run, job)
    found = kept(job)
    assert found is not None
    assert (found.set_up, found.seed, found.problem) == ("tiny-rba", 0, "tiny")
    steps, errors = run.metrics()["rel_l2"]
    np.testing.assert_array_equal(found.series["rel_l2"][0], steps)
    np.testing.assert_allclose(found.series["rel_l2"][1], errors.astype(float), rtol=1e-6)
    assert 'name = "helmholtz"' in found.toml
    assert [row["step"] for row in found.rows()] == sorted({row["step"] for row in found.rows()})


def test_permuted_weights_are_those_of_other_points() -> None:
    import torch

    residuals = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    plain = plan.ResidualBasedAttention().update(torch.zeros(1, 4), residuals)
    permuted = plan.PermutedAttention().update(torch.zeros(1, 4), residuals)
    assert sorted(permuted[0].tolist()) == sorted(plain[0].tolist())
    assert not torch.equal(permuted, plain)
    frozen = plan.FrozenAttention(level=0.4)
    low, high = torch.tensor([[0.1, 0.2]]), torch.tensor([[0.1, 0.5]])
    assert not torch.equal(frozen.update(low, residuals[:, :2]), low)
    assert torch.equal(frozen.update(high, residuals[:, :2]), high)


def test_a_job_is_named_by_what_it_is() -> None:
    scale = SCALES["laptop"]
    assert Job(scale, "helmholtz-rba", 2, "frozen").name == "helmholtz-rba-frozen-seed2"
    assert train_all([], Path("unused"), 1, None)
