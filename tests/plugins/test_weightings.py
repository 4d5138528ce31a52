"""The contract of every registered weighting, and the invariants of residual-based attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core.discovery import registry
from pinn.engine import parse_config
from pinn.engine.training.state import initial_weights
from pinn.plugins.weightings.gradient_norms import GradientNorms
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla
from pinn.testing import check_weighting

Close = Callable[..., None]

WEIGHTINGS = [part.cls for part in registry().parts("weighting")]
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 12))
NORMALISATIONS = st.sampled_from(["max", "min-max"])


def random(shape: tuple[int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_the_built_in_weightings_are_registered() -> None:
    assert {GradientNorms, Vanilla, ResidualBasedAttention} <= set(WEIGHTINGS)


@pytest.mark.parametrize("cls", WEIGHTINGS, ids=lambda cls: cls.name)
def test_every_weighting_keeps_its_contract(cls: type[Any]) -> None:
    check_weighting(cls)


@pytest.mark.parametrize("normalisation", ["max", "min-max"])
def test_the_other_forms_of_attention_keep_the_contract(normalisation: str) -> None:
    options = {"start": 0.3, "first_eta": 1.0, "shared": False, "loss": "weight*residual^2"}
    check_weighting(ResidualBasedAttention(normalisation=normalisation, **options))


@pytest.mark.parametrize("part", [Vanilla(joint=True), ResidualBasedAttention(joint=True)])
def test_joint_residuals_keep_the_contract(part: Any) -> None:
    check_weighting(part)


@given(SIZES, st.integers(0, 100), st.sampled_from(["weight*residual^2", "(weight*residual)^2"]))
def test_a_joint_loss_squares_the_sum_of_the_sizes(
    shape: tuple[int, int], seed: int, loss: str
) -> None:
    r, weights = random(shape, seed), random((1, shape[1]), seed + 1).abs()
    size = r.abs().sum(0)
    torch.testing.assert_close(
        Vanilla(joint=True).contributions(torch.ones_like(weights), r).sum(0), size**2
    )
    expected = weights[0] * size**2 if loss == "weight*residual^2" else (weights[0] * size) ** 2
    found = ResidualBasedAttention(joint=True, loss=loss).contributions(weights, r)
    torch.testing.assert_close(found.sum(0), expected)


def test_a_joint_loss_needs_one_weight_a_point() -> None:
    with pytest.raises(ValueError, match="joint = true needs shared = true"):
        ResidualBasedAttention(joint=True, shared=False)


def test_vanilla_is_the_mean_square() -> None:
    r = random((2, 5), 0)
    assert Vanilla.static
    assert torch.equal(Vanilla().contributions(Vanilla().initial(5), r), r**2)


def test_defaults_are_those_of_the_paper() -> None:
    rba = ResidualBasedAttention()
    assert (rba.eta, rba.gamma, rba.start, rba.normalisation) == (0.001, 0.999, 0.0, "max")
    r = torch.tensor([[1.0, -4.0, 2.0]])
    first = rba.update(torch.zeros(1, 3), r)
    torch.testing.assert_close(first, torch.tensor([[0.00025, 0.001, 0.0005]]))
    second = rba.update(first, r)
    torch.testing.assert_close(second, first * 1.999)
    torch.testing.assert_close(rba.contributions(second, r), (second * r) ** 2)


@given(
    SIZES, st.integers(0, 100), st.floats(1e-4, 1), st.floats(0, 0.99), NORMALISATIONS,
    st.booleans(),
)  # fmt: skip
def test_weights_stay_below_their_bound_and_reach_it(
    shape: tuple[int, int], seed: int, eta: float, gamma: float, normalisation: str, shared: bool
) -> None:
    rba = ResidualBasedAttention(eta=eta, gamma=gamma, normalisation=normalisation, shared=shared)
    bound = eta / (1 - gamma)
    weights = torch.zeros(shape, dtype=torch.float64)
    for step in range(20):
        weights = rba.update(weights, random(shape, seed + step))
        assert float(weights.max()) <= bound * (1 + 1e-12)
    if normalisation == "max":
        always_worst = random(shape, seed)
        always_worst[:, 0] = 100.0
        for _ in range(4000):
            weights = rba.update(weights, always_worst)
        assert float(weights[0, 0]) == pytest.approx(bound, rel=1e-6)


@given(SIZES, st.integers(0, 100), st.floats(1e-20, 1e20), NORMALISATIONS, st.booleans())
def test_the_scale_of_the_residuals_does_not_matter(
    close: Close, shape: tuple[int, int], seed: int, scale: float, normalisation: str, shared: bool
) -> None:
    rba = ResidualBasedAttention(normalisation=normalisation, shared=shared)
    before, r = random(shape, seed).abs(), random(shape, seed + 1)
    close(rba.update(before, scale * r), rba.update(before, r), 1e-12)
    close(rba.update(before, -r), rba.update(before, r), 1e-12)


@given(SIZES, st.integers(0, 100), NORMALISATIONS, st.booleans(), st.randoms())
def test_a_permutation_of_the_points_permutes_the_weights(
    shape: tuple[int, int], seed: int, normalisation: str, shared: bool, shuffler: Any
) -> None:
    rba = ResidualBasedAttention(normalisation=normalisation, shared=shared)
    before, r = random(shape, seed).abs(), random(shape, seed + 1)
    order = shuffler.sample(range(shape[1]), shape[1])
    permuted = rba.update(before[:, order], r[:, order])
    assert torch.equal(permuted, rba.update(before, r)[:, order])


@given(SIZES, NORMALISATIONS, st.booleans(), st.sampled_from([0.0, 3.0, -1e-30, 1e-300]))
def test_residuals_that_are_all_the_same(
    shape: tuple[int, int], normalisation: str, shared: bool, value: float
) -> None:
    rba = ResidualBasedAttention(eta=0.1, gamma=0.5, normalisation=normalisation, shared=shared)
    before = random(shape, 0).abs()
    updated = rba.update(before, torch.full(shape, value, dtype=torch.float64))
    gain = 0.1 if value and normalisation == "max" else 0.0
    torch.testing.assert_close(updated, 0.5 * before + gain, rtol=1e-12, atol=0)


def test_min_max_spans_from_zero_to_eta() -> None:
    rba = ResidualBasedAttention(eta=0.5, gamma=0.9, normalisation="min-max")
    updated = rba.update(torch.zeros(1, 3), torch.tensor([[-3.0, 1.0, 2.0]]))
    torch.testing.assert_close(updated, torch.tensor([[0.5, 0.0, 0.25]]))


def test_shared_weights_follow_the_sum_and_others_each_equation() -> None:
    r = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    zero = torch.zeros(2, 2)
    shared = ResidualBasedAttention(eta=1.0, gamma=0.0).update(zero, r)
    each = ResidualBasedAttention(eta=1.0, gamma=0.0, shared=False).update(zero, r)
    torch.testing.assert_close(shared.expand(2, 2), torch.tensor([[1.0, 0.5], [1.0, 0.5]]))
    torch.testing.assert_close(each, torch.tensor([[0.5, 1.0], [1.0, 0.0]]))


@pytest.mark.parametrize("start", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_first_step_may_have_an_eta_of_its_own(start: float, precision: str) -> None:
    table = {
        "problem": {"name": "helmholtz"},
        "optimizers": [{"name": "adam", "steps": 1}],
        "weighting": {"name": "rba", "start": start, "first_eta": 1.0},
    }
    dtype = getattr(torch, precision)
    weights = initial_weights(parse_config(table).weighting, 2, torch.zeros(4, 2, dtype=dtype))
    assert weights.dtype == dtype
    r = torch.tensor([[1.0, -2.0, 4.0, 0.0]], dtype=dtype).expand(2, 4)
    rba = ResidualBasedAttention(start=start, first_eta=1.0)
    size = torch.tensor([0.25, 0.5, 1.0, 0.0], dtype=dtype).expand(2, 4)
    first = rba.update(weights, r)
    torch.testing.assert_close(first, 0.999 * start + size, rtol=1e-6, atol=1e-7)
    second = rba.update(first, r)
    assert second.dtype == dtype
    exact = 1e-15 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(second, 0.999 * first + 0.001 * size, rtol=exact, atol=exact)


def test_forms_of_the_loss() -> None:
    weights, r = torch.tensor([[2.0]]), torch.tensor([[3.0]])
    squared = ResidualBasedAttention(loss="(weight*residual)^2")
    plain = ResidualBasedAttention(loss="weight*residual^2")
    assert float(squared.contributions(weights, r)) == 36
    assert float(plain.contributions(weights, r)) == 18
