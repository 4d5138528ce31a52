"""Weights by the slope of a potential, against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st

from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vrba import POTENTIALS, VariationalAttention
from pinn.testing import check_weighting

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 12))


def random(shape: tuple[int, int], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def updated(
    part: VariationalAttention, weights: torch.Tensor, residuals: torch.Tensor, step: int = 0
) -> torch.Tensor:
    return part.update_at({}, weights, residuals, residuals.new_tensor(step))


@pytest.mark.parametrize("potential", POTENTIALS)
def test_every_potential_is_a_sound_weighting(potential: str) -> None:
    check_weighting(VariationalAttention(potential=potential, phi=0.9))


def test_the_formulas() -> None:
    """Of the residuals 1, −2, 4 after 6 steps, c = 2: ε = 2 · 4 / ln 8; the mean of |r| is 7/3."""
    residuals = torch.tensor([[1.0, -2.0, 4.0]], dtype=torch.float64)
    weights = torch.full((1, 3), 0.5, dtype=torch.float64)
    epsilon, mean = 8 / math.log(8), 7 / 3 / (math.e - 1)
    slopes = {
        "quadratic": [1, 2, 4],
        "power": [1, 4, 16],
        "exponential": [math.exp(r / epsilon) for r in (1, 2, 4)],
        "logarithmic": [math.log(r / mean + 1) for r in (1, 2, 4)],
    }
    for potential, q in slopes.items():
        part = VariationalAttention(potential=potential, eta=0.2, gamma=0.9, phi=0.7, p=3.0, c=2.0)
        expected = [0.45 + 0.2 * (0.7 * each / max(q) + 0.3) for each in q]
        assert updated(part, weights, residuals, 6)[0].tolist() == pytest.approx(expected)


@given(SIZES, st.integers(0, 100))
def test_the_quadratic_potential_is_residual_based_attention(
    shape: tuple[int, int], seed: int
) -> None:
    weights, residuals = random(shape, seed).abs(), random(shape, seed + 1)
    rba = ResidualBasedAttention(eta=0.01, gamma=0.999, shared=False)
    found = updated(VariationalAttention(potential="quadratic"), weights, residuals, 5)
    torch.testing.assert_close(found, rba.update(weights, residuals))


@given(SIZES, st.integers(0, 100), st.sampled_from(POTENTIALS), st.floats(1e-8, 1e8))
def test_the_size_of_all_residuals_does_not_matter(
    shape: tuple[int, int], seed: int, potential: str, size: float
) -> None:
    part = VariationalAttention(potential=potential)
    weights, residuals = random(shape, seed).abs(), random(shape, seed + 1)
    found = updated(part, weights, size * residuals, 40)
    torch.testing.assert_close(found, updated(part, weights, residuals, 40))


@given(st.integers(0, 100), st.sampled_from(POTENTIALS))
def test_a_larger_residual_never_counts_less(seed: int, potential: str) -> None:
    residuals = random((1, 20), seed)
    weights = updated(VariationalAttention(potential=potential), 0 * residuals, residuals, 1000)
    assert (weights[0, residuals[0].abs().argsort()].diff() >= 0).all()


def test_the_exponential_potential_looks_ever_more_at_the_largest() -> None:
    residuals = random((1, 50), 0)
    shares = []
    for step in (0, 10, 1000, 100_000):
        weights = updated(VariationalAttention(), 0 * residuals, residuals, step)
        shares.append(float(weights.mean() / weights.max()))
    assert shares == sorted(shares, reverse=True)
