"""Scores of the evidence: bounded, of the right sign, and of nothing that comes later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from pinn.analyzers.phases_confidence import WEIGHTS, Signs, confidence
from pinn.analyzers.phases_evidence import (
    ERROR,
    GRADIENTS,
    HELD,
    LOSS,
    PER_DECADE,
    RESIDUALS,
    Binned,
    Evidence,
)

Array = NDArray[np.float64]
SEEDS = st.integers(0, 10**6)
STEPS = np.concatenate([np.arange(2, 301, 2), np.arange(400, 20_001, 100)]).astype(float)
ALL = 66
"""The number of their bins."""


def evidence(ratio: Any, **others: Any) -> Evidence:
    ones = np.ones_like(STEPS)
    return Evidence.of(STEPS, ratio * ones, ones, **{k: v * ones for k, v in others.items()})


def drawn(seed: int) -> dict[str, Array]:
    """Everything at random, as walks over decades; some of it missing at first."""
    generator = np.random.default_rng(seed)
    walk = lambda: 10 ** np.cumsum(0.1 * generator.normal(size=len(STEPS)))  # noqa: E731
    columns = {name: walk() for name in ("ratio", "pde_snr", "error", "loss")}
    columns["residual_order"] = 1 / np.sqrt(1 + walk())
    for name in ("pde_snr", "error", "residual_order"):
        columns[name][: generator.integers(200)] = np.nan
    return columns


def every_score(of: Evidence, end: int) -> list[Array]:
    early = [scores for found in (of.disagreement(end), of.dispersion(end)) if found
             for scores in found[1].values()]  # fmt: skip
    return [*early, *of.order(3, end).values()]


@given(SEEDS)
def test_bins_against_their_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    first = np.unique([0, *generator.integers(1, 60, size=12)])
    values = generator.normal(size=60)
    binned = Binned.of(values, first)
    levels = [np.median(part) for part in np.split(values, first[1:])]
    np.testing.assert_allclose(binned.levels, levels)
    held = [np.median(levels[i : i + HELD]) for i in range(len(levels) - HELD + 1)]
    np.testing.assert_allclose(binned.held, held)
    for end in range(len(levels) + 1):
        inside, windows = binned.between(2, end)
        assert len(inside) == max(end - 2, 0)
        assert len(windows) == max(end - 2 - HELD + 1, 0)


def test_bins_are_equal_in_the_logarithm_and_none_is_empty() -> None:
    of = evidence(1.0)
    numbers = [math.floor(math.log10(STEPS[i]) * PER_DECADE + 1e-9) for i in of.first]
    assert numbers == sorted(set(numbers))
    assert of.step(0) == 2
    assert len(of) == ALL


@given(SEEDS, st.integers(2 * HELD, 50))
def test_scores_are_bounded_and_know_nothing_of_what_comes_later(seed: int, end: int) -> None:
    columns = drawn(seed)
    whole = evidence(**columns)
    last = whole.first[end]
    later = {k: np.where(np.arange(len(STEPS)) < last, v, 0.1) for k, v in columns.items()}
    expected = every_score(whole, end)
    for scores, same in zip(expected, every_score(evidence(**later), end), strict=True):
        np.testing.assert_array_equal(scores, same)
        assert (np.abs(scores) <= 0.5).all()


@given(SEEDS, st.floats(1e-6, 1e6))
def test_the_scale_of_error_and_loss_does_not_matter(seed: int, scale: float) -> None:
    columns = drawn(seed)
    for name in ("error", "loss"):
        scaled = evidence(**columns | {name: scale * columns[name]})
        for scores, same in zip(
            every_score(evidence(**columns), 40), every_score(scaled, 40), strict=True
        ):
            np.testing.assert_allclose(scores, same, atol=1e-9)


def test_gradients_on_one_level_speak_against_order_below_one_and_say_nothing_above() -> None:
    assert GRADIENTS not in evidence(3.0).order(0, ALL)
    assert (evidence(0.3).order(0, ALL)[GRADIENTS] < -0.4).all()
    rising = evidence(np.where(STEPS < 3000, 0.02, 0.5)).order(0, ALL)[GRADIENTS]
    assert rising[0] < -0.45 < 0.2 < rising[-1]
    low = evidence(np.where(STEPS < 3000, 0.001, 0.07)).order(0, ALL)[GRADIENTS]
    assert (low < 0).all(), "what is below 0.2 is disordered, whatever was before"


def test_gradients_that_agree_wholly_do_not_disagree_more_while_they_still_do() -> None:
    """As early in a run of RBA, where S falls from 1e6."""
    falling = evidence(np.maximum(1e7 / STEPS**2, 12.0))
    assert falling.disagreement(60) is None
    assert evidence(np.where(STEPS < 150, 1e5, 0.5)).disagreement(60) is not None


def test_residuals_count_where_they_were_uneven() -> None:
    assert RESIDUALS not in evidence(1.0, residual_order=0.99).order(0, ALL)
    nearly = evidence(1.0, residual_order=0.97).order(0, ALL)[RESIDUALS]
    never = evidence(1.0, residual_order=0.7).order(0, ALL)[RESIDUALS]
    assert (nearly > -0.1).all()
    assert (never < -0.4).all()
    risen = evidence(1.0, residual_order=np.where(STEPS < 3000, 0.7, 0.98)).order(0, ALL)
    assert risen[RESIDUALS][-1] > 0.3


def test_a_dip_of_the_residual_order_shows_the_end_of_fitting() -> None:
    assert evidence(3.0, residual_order=0.99).dispersion(50) is None
    assert evidence(3.0, residual_order=0.7).dispersion(50) is None
    dips = evidence(3.0, residual_order=np.where(STEPS < 150, 0.99, 0.6)).dispersion(50)
    assert dips is not None
    begin, scores = dips
    assert begin == 0
    assert scores[RESIDUALS][0] < -0.1 < 0.3 < scores[RESIDUALS][-1]


def test_the_loss_counts_until_an_error_is_known() -> None:
    late = np.where(STEPS < 1000, np.nan, 1.0)
    of = evidence(1.0, error=late, loss=1.0)
    assert list(of.order(0, 20)) == [LOSS]
    assert list(of.order(0, ALL)) == [ERROR]


# confidence


@given(SEEDS, st.integers(2, 40), st.integers(2, 40))
def test_the_separation_is_a_rank_sum(seed: int, before: int, after: int) -> None:
    scores = np.random.default_rng(seed).integers(-5, 5, size=before + after) / 10
    expected = mannwhitneyu(scores[before:], scores[:before], use_continuity=False).statistic
    spread = math.sqrt(before * after * (before + after + 1) / 12)
    signs = Signs.of(scores, before, 1)
    assert signs.separation == pytest.approx((expected - before * after / 2) / spread)


@given(st.floats(3, 6), st.floats(0, 1), st.integers(1, 3))
def test_confidence_is_a_probability_that_grows_with_contrast(
    separation: float, contrast: float, kinds: int
) -> None:
    for to in WEIGHTS:
        sure, surer = (
            confidence(to, Signs(separation, c, kinds)) for c in (contrast, contrast + 0.1)
        )
        assert 0 < sure < surer < 1
