"""The shape of transitions: steps of known height, logistic rises of known width, known mixtures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from pinn.analyzers.phases_transition import (
    BIMODAL_NORMAL,
    BIMODAL_UNIFORM,
    Change,
    abruptness,
    around,
    bimodality,
    rise_width,
    scatter,
    scatter_around,
)
from pinn.testing import arrays, check_bounds, check_invariant, permuted, scaled

Array = NDArray[np.float64]
FACTORS = st.floats(-3, 3).filter(lambda power: abs(power) > 0.3).map(lambda power: 10**power)
SEEDS = st.integers(0, 100)


def logistic(places: Array, width: float) -> Array:
    """0 → 1 around 0, from 10 % to 90 % in `width`."""
    return 1 / (1 + np.exp(-2 * math.log(9) * places / width))


# --- change across a transition


@given(FACTORS, st.floats(1e-6, 1e6), st.integers(3, 5000))
def test_a_step_of_known_height(factor: float, level: float, at: int) -> None:
    steps = np.unique(np.geomspace(1, 20_000, 500).round())
    values = np.where(steps < at, level, level * factor)
    found = around(steps, values, at)
    assert (found.before, found.after) == (level, level * factor)
    assert found.ratio == pytest.approx(factor)
    assert found.difference == pytest.approx(level * (factor - 1))
    assert abruptness(steps, values, at).jump == pytest.approx(factor)


@given(SEEDS, st.randoms())
def test_order_and_what_is_not_finite_do_not_matter(seed: int, shuffler: object) -> None:
    generator = np.random.default_rng(seed)
    steps = np.arange(10, 1000, 7)
    values = 10 ** generator.standard_normal(len(steps))
    mixed = generator.permutation(len(steps) + 3)
    worse = np.append(steps, [100, 120, 140]), np.append(values, [math.nan, math.inf, -math.inf])
    assert around(*(w[mixed] for w in worse), 110) == around(steps, values, 110)
    assert abruptness(*(w[mixed] for w in worse), 110) == abruptness(steps, values, 110)


def test_only_what_is_near_counts_and_later_values_do_not() -> None:
    steps = np.array([1, 40, 50, 99, 100, 150, 200, 10_000])
    values = np.array([9.0, 1, 2, 3, 5, 6, 7, 100])
    assert around(steps, values, 100) == Change(2, 6)
    assert around(steps, values, 100, decades=0.01) == Change(3, 5)
    assert around(steps, values, 100, decades=3) == Change(2.5, 6.5)


def test_a_side_without_measurements_is_unknown() -> None:
    found = around([100, 200], [1.0, 2.0], 100)
    assert math.isnan(found.before)
    assert found.after == 1.5
    assert math.isnan(found.ratio)
    assert math.isnan(found.difference)
    assert math.isnan(Change(0.0, 2.0).ratio)
    nothing = abruptness([], [], 100)
    assert all(map(math.isnan, (nothing.jump, nothing.width, nothing.resolution)))


# --- width


@pytest.mark.parametrize("width", [0.03, 0.1, 0.3, 0.8])
@given(st.floats(-3, 3).filter(lambda rise: abs(rise) > 0.1), st.floats(-0.1, 0.1))
@settings(max_examples=5)
def test_a_logistic_rise_of_known_width(width: float, rise: float, off: float) -> None:
    places = np.linspace(-0.5, 0.5, 2000)
    found = rise_width(places, 2 + rise * logistic(places - off, width))
    assert found == pytest.approx(width, rel=0.02)


@pytest.mark.parametrize("width", [0.1, 0.4])
def test_noise_and_spikes_hardly_change_the_width(width: float) -> None:
    found = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        places = np.linspace(-0.5, 0.5, 1000)
        values = logistic(places, width) + 0.1 * generator.standard_normal(1000)
        values += 2 * (generator.random(1000) < 0.03)
        found.append(rise_width(places, values))
    assert np.median(found) == pytest.approx(width, rel=0.1)
    assert np.std(found) < 0.25 * width


@given(st.integers(10, 100), FACTORS)
@settings(max_examples=10)
def test_a_jump_is_as_wide_as_the_gap_between_measurements(apart: int, factor: float) -> None:
    steps = np.arange(1000, 30_000, apart)
    at = int(steps[np.searchsorted(steps, 5000)])
    found = abruptness(steps, np.where(steps < at, 1.0, factor), at)
    assert found.resolution == pytest.approx(math.log10(at / (at - apart)))
    assert found.resolution <= found.width < 0.03 + found.resolution


@given(st.floats(0.2, 5), st.floats(-3, 3), SEEDS)
@settings(max_examples=8)
def test_units_of_the_values_do_not_matter(power: float, shift: float, seed: int) -> None:
    places = np.linspace(0, 1, 200)
    noise = np.random.default_rng(seed).standard_normal(200)
    values = logistic(places - 0.4, 0.3) + 0.02 * noise
    assert rise_width(places, power * values + shift) == pytest.approx(
        rise_width(places, values), rel=1e-3
    )


def test_too_little_to_fit() -> None:
    assert math.isnan(rise_width(np.linspace(0, 0.05, 100), np.arange(100.0)))
    assert math.isnan(rise_width(np.linspace(0, 1, 100), np.ones(100)))


# --- bimodality


@pytest.mark.parametrize("change", [permuted(0), scaled])
def test_bimodality_depends_on_the_shape_alone(change: object) -> None:
    check_invariant(bimodality, change, arrays(1, most=30), relative=1e-6)  # type: ignore[arg-type]


def test_bimodality_is_at_least_zero() -> None:
    check_bounds(bimodality, arrays(1, most=50), low=0, high=1.2)


@given(st.integers(5, 30), SEEDS)
def test_bimodality_against_scipy(count: int, seed: int) -> None:
    from scipy.stats import kurtosis, skew

    values = np.random.default_rng(seed).gamma(2, size=count)
    g, k = skew(values, bias=False), kurtosis(values, bias=False)
    expected = (g**2 + 1) / (k + 3 * (count - 1) ** 2 / ((count - 2) * (count - 3)))
    assert bimodality(values) == pytest.approx(expected, rel=1e-9)


def test_bimodality_of_known_distributions() -> None:
    generator = np.random.default_rng(0)
    count = 20_000
    assert bimodality(generator.uniform(size=count)) == pytest.approx(BIMODAL_UNIFORM, abs=0.01)
    assert bimodality(generator.standard_normal(count)) == pytest.approx(BIMODAL_NORMAL, abs=0.01)


@given(st.floats(0.1, 0.9), st.floats(0, 4), SEEDS)
@settings(max_examples=10)
def test_bimodality_of_a_mixture(share: float, apart: float, seed: int) -> None:
    """Two normal peaks: (γ² + 1) / κ from the central moments of the mixture."""
    generator = np.random.default_rng(seed)
    second = generator.random(20_000) < share
    values = generator.standard_normal(20_000) + apart * second
    variance = 1 + share * (1 - share) * apart**2
    third = share * (1 - share) * (1 - 2 * share) * apart**3
    of_two = share * (1 - share) * (1 - 3 * share * (1 - share)) * apart**4
    fourth = 3 + 6 * share * (1 - share) * apart**2 + of_two
    expected = (third**2 / variance**3 + 1) / (fourth / variance**2)
    assert bimodality(values) == pytest.approx(expected, abs=0.02)


@given(st.floats(0.1, 0.9))
def test_two_values_are_as_bimodal_as_can_be_in_whatever_shares(share: float) -> None:
    values = (np.arange(10_000) < share * 10_000).astype(float)
    assert bimodality(values) == pytest.approx(1, abs=1e-2)


def test_measurements_that_crowd_behind_a_jump_do_not_hide_it() -> None:
    """A steady rise is uniform, and a jump bimodal, where measurements are equidistant."""
    steps = np.arange(1000, 100_000, 20)
    jump = abruptness(steps, np.where(steps < 10_000, 1.0, 50.0), 10_000)
    ramp = abruptness(steps, steps**1.5, 10_000)
    assert jump.bimodality == pytest.approx(1, abs=0.05)
    assert ramp.bimodality == pytest.approx(BIMODAL_UNIFORM, abs=0.03)
    assert ramp.width > 0.5 > 0.02 > jump.width


def test_few_values_have_no_shape() -> None:
    assert math.isnan(bimodality(np.array([1.0, 2.0, 3.0])))
    assert math.isnan(bimodality(np.full(20, 0.1)))


# --- scatter


@given(st.floats(0.01, 2), SEEDS)
def test_the_scatter_of_normal_noise_is_its_standard_deviation(size: float, seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(4000)
    assert scatter(size * noise) == pytest.approx(size, rel=0.12)


@given(st.floats(-1, 1), st.integers(-3, 3), SEEDS)
def test_a_trend_is_no_scatter(slope: float, power: int, seed: int) -> None:
    assert scatter(slope * np.arange(100.0)) == pytest.approx(0, abs=1e-12)
    noise = np.random.default_rng(seed).standard_normal(300)
    assert scatter(noise * 2.0**power) == scatter(noise) * 2.0**power
    assert scatter(-noise) == scatter(noise)


def test_spikes_are_hardly_scatter() -> None:
    noise = np.random.default_rng(0).standard_normal(2000)
    spiky = np.where(np.arange(2000) % 20 == 0, 1e6, noise)
    assert scatter(spiky) == pytest.approx(scatter(noise), rel=0.15)


def test_the_scatter_of_a_loss_that_calms_down() -> None:
    generator = np.random.default_rng(0)
    steps = np.arange(100, 100_000, 10)
    size = np.where(steps < 10_000, 0.3, 0.03)
    losses = steps**-2.0 * 10 ** (size * generator.standard_normal(len(steps)))
    losses[::50] = math.nan
    found = scatter_around(steps, losses, 10_000)
    assert found.before == pytest.approx(0.3, rel=0.12)
    assert found.after == pytest.approx(0.03, rel=0.12)
    assert math.isnan(scatter_around(steps[:15], losses[:15], 150).before)
