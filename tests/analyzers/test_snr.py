"""Gradient signal-to-noise ratio: invariants, naive versions, and the order of magnitude 1e7."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from pinn.analyzers.snr import (
    SignalToNoise,
    adam_moments,
    adam_snr,
    gradient_order,
    moments,
    snr,
)
from pinn.core.points import PointSet
from pinn.core.view import BatchGradients, View
from pinn.plugins.weightings.rba import ResidualBasedAttention

Close = Callable[..., None]
MakeCase = Callable[..., Any]

SHAPES = st.tuples(st.integers(2, 9), st.integers(1, 5), st.integers(1, 4))


def gradients(shape: tuple[int, ...], seed: int, mean: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + torch.randn(shape, generator=generator, dtype=torch.float64)


def naive_moments(batches: Tensor) -> tuple[float, float]:
    flat = [batch.flatten().tolist() for batch in batches]
    means, variances = [], []
    for entries in zip(*flat, strict=True):
        mean = math.fsum(entries) / len(entries)
        means.append(mean)
        variances.append(math.fsum((e - mean) ** 2 for e in entries) / len(entries))
    return math.sqrt(math.fsum(m * m for m in means)), math.sqrt(math.fsum(variances))


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 1.0, 1e3]))
def test_moments_against_a_naive_loop(shape: tuple[int, ...], seed: int, mean: float) -> None:
    batches = gradients(shape, seed, mean)
    assert moments(batches) == pytest.approx(naive_moments(batches), rel=1e-12)
    assert snr(batches) == pytest.approx(
        math.prod((naive_moments(batches)[0], 1 / naive_moments(batches)[1])), rel=1e-12
    )


@given(SHAPES, st.integers(0, 100), st.floats(1e-15, 1e15))
def test_the_scale_of_the_loss_does_not_matter(
    shape: tuple[int, ...], seed: int, scale: float
) -> None:
    batches = gradients(shape, seed)
    assert snr(scale * batches) == pytest.approx(snr(batches), rel=1e-10)
    assert snr(-batches) == snr(batches)


@given(SHAPES, st.integers(0, 100), st.randoms())
def test_the_order_of_batches_and_of_parameters_does_not_matter(
    shape: tuple[int, ...], seed: int, shuffler: Any
) -> None:
    batches = gradients(shape, seed)
    order = shuffler.sample(range(shape[0]), shape[0])
    assert snr(batches[order]) == pytest.approx(snr(batches), rel=1e-12)
    assert snr(batches.flip(1).transpose(1, 2)) == pytest.approx(snr(batches), rel=1e-12)


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 0.1, 10.0]))
def test_gradient_order_is_the_mean_over_the_root_mean_square(
    shape: tuple[int, ...], seed: int, mean: float
) -> None:
    batches = gradients(shape, seed, mean)
    rms = float((batches**2).mean(0).sqrt().norm())
    expected = float(batches.mean(0).norm()) / rms
    order = gradient_order(snr(batches))
    assert order == pytest.approx(expected, rel=1e-10)
    assert 0 <= order <= 1


@given(st.floats(0, 1e300))
def test_gradient_order_of_a_ratio(ratio: float) -> None:
    assert gradient_order(ratio) == pytest.approx(ratio / math.hypot(1, ratio), rel=1e-12)


def test_batches_that_agree_have_infinite_snr_and_order_one() -> None:
    batches = torch.full((5, 3, 2), 0.1)
    assert snr(batches) == math.inf
    assert gradient_order(math.inf) == 1


def test_no_gradient_at_all_has_no_ratio() -> None:
    assert math.isnan(snr(torch.zeros(4, 3)))
    assert math.isnan(gradient_order(math.nan))


def test_batches_that_cancel_have_ratio_zero() -> None:
    batches = torch.tensor([[1.0, -2.0], [-1.0, 2.0]])
    assert snr(batches) == 0
    assert gradient_order(0.0) == 0


@given(st.integers(0, 100), st.sampled_from([1e3, 1e5, 1e7, 1e9]))
def test_nothing_cancels_where_the_ratio_is_large(seed: int, ratio: float) -> None:
    noise = gradients((100, 40), seed, 0.0)
    noise = noise - noise.mean(0)
    noise = noise / (float(noise.norm()) / 10)  # ‖σ‖ = 1
    mean = torch.randn(40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean = ratio * mean / mean.norm()
    assert snr(mean + noise) == pytest.approx(ratio, rel=1e-5)
    shortcut = float(((mean + noise) ** 2).mean(0).sum() - ((mean + noise).mean(0) ** 2).sum())
    assert ratio < 1e9 or abs(shortcut - 1) > 0.5  # what a naive formula would give


def test_float32_gradients_are_accumulated_in_float64() -> None:
    batches = torch.cat([torch.ones(4096, 1), 1 + torch.full((4096, 1), 2.0**-20)])
    mean, deviation = moments(batches)
    assert mean == pytest.approx(1 + 2.0**-21, abs=1e-12)
    assert deviation == pytest.approx(2.0**-21, rel=1e-9)


# --- the analyzer


def make_view(case: Any, weights: Tensor, optimizer: Any = None) -> View:
    nothing: Any = None
    objective = case.objective(ResidualBasedAttention(), {"walls": 2.0})
    sgd = torch.optim.SGD(case.parameters, lr=1.0)
    return View(
        step=1,
        problem=case.problem,
        objective=objective,
        points=case.points,
        weights=weights,
        optimizer=optimizer or sgd,
        evaluator=nothing,
        records=nothing,
        seed=0,
    )


@given(st.integers(2, 12), st.integers(0, 50))
def test_the_analyzer_against_the_definition(make_case: MakeCase, batches: int, seed: int) -> None:
    case = make_case(seed, 12)
    weights = torch.rand(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = SignalToNoise(batches=batches).measure(make_view(case, weights))

    names = [name for name, p in case.module.named_parameters() if p.ndim > 1]
    matrices = [p for p in case.parameters if p.ndim > 1]
    rows, pde_rows = [], []
    for block in torch.arange(12).tensor_split(batches):
        r = case.residuals(case.points.interior[block])
        interior = ((weights[:, block] * r) ** 2).mean(1).sum()
        initial, walls = case.condition_losses()
        for kept, loss in ((pde_rows, interior), (rows, interior + initial + 2 * walls)):
            grads = torch.autograd.grad(loss, matrices, retain_graph=True)
            kept.append([g.numpy() for g in grads])

    def ratio(per_batch: list[list[np.ndarray[Any, Any]]], layers: slice) -> tuple[float, float]:
        flat = np.array([np.concatenate([g.ravel() for g in row[layers]]) for row in per_batch])
        return float(np.linalg.norm(flat.mean(0))), float(np.linalg.norm(flat.std(0)))

    mean, deviation = ratio(rows, slice(None))
    pde_mean, pde_deviation = ratio(pde_rows, slice(None))
    assert deviation == pytest.approx(pde_deviation, rel=1e-8)
    assert found["gradient_mean_norm"] == pytest.approx(mean, rel=1e-8)
    assert found["gradient_std_norm"] == pytest.approx(deviation, rel=1e-8)
    assert found["snr"] == pytest.approx(mean / deviation, rel=1e-8)
    assert found["snr.pde"] == pytest.approx(pde_mean / pde_deviation, rel=1e-8)
    assert found["gradient_order"] == pytest.approx(gradient_order(found["snr"]))
    assert found["gradient_order.pde"] == pytest.approx(gradient_order(found["snr.pde"]))
    layers = {key.removeprefix("snr.") for key in found if key.endswith("weight")}
    assert layers == set(names)
    for i, name in enumerate(names):
        layer_mean, layer_deviation = ratio(rows, slice(i, i + 1))
        assert found[f"snr.{name}"] == pytest.approx(layer_mean / layer_deviation, rel=1e-7)
    assert not any(key.startswith("adam") for key in found)


def test_no_more_batches_than_points(make_case: MakeCase) -> None:
    case = make_case(0, 7)
    found = SignalToNoise(batches=100).measure(make_view(case, torch.ones(2, 7)))
    assert math.isfinite(found["snr"])
    same = SignalToNoise(batches=7).measure(make_view(case, torch.ones(2, 7)))
    assert found["snr"] == same["snr"]


def test_points_that_are_all_the_same_agree(make_case: MakeCase) -> None:
    case = make_case(0, 8)
    one = case.points.interior[:1].expand(8, 2).clone()
    points = PointSet(one, case.points.conditions)
    view = make_view(case, torch.ones(2, 8, dtype=torch.float64))
    view.points = points
    found = SignalToNoise(batches=4).measure(view)
    # The vectorised sums may differ by rounding from batch to batch, and need not.
    assert found["snr"] > 1e12
    assert found["gradient_order"] == pytest.approx(1)


class Fixed:
    """A view of given batch gradients."""

    def __init__(self, pde: Tensor, conditions: Tensor) -> None:
        self.gradients = BatchGradients(("w",), (pde,), (conditions,))
        self.points = PointSet(torch.zeros(len(pde), 2), {})
        self.optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)

    def batch_gradients(self, batches: int) -> BatchGradients:
        assert batches == len(self.points.interior)
        return self.gradients


@given(st.integers(0, 100))
def test_a_large_condition_gradient_does_not_spoil_the_deviation(seed: int) -> None:
    """Early under RBA λ ≈ 0: the deviation is 1e-7 of the mean, in float32 gradients."""
    pde = 1e-7 * gradients((10, 4, 3), seed).float()
    conditions = gradients((4, 3), seed + 1).float()
    view: Any = Fixed(pde, conditions)
    found = SignalToNoise().measure(view)
    mean, deviation = naive_moments(pde.double() + conditions.double())
    assume(deviation > 0)
    assert found["snr"] == pytest.approx(mean / naive_moments(pde.double())[1], rel=1e-9)
    assert found["snr"] > 1e6


# --- Adam


@pytest.mark.parametrize("fused", [False, True])
def test_adam_moments_against_hand_computed_ones(fused: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.zeros(3, 2, requires_grad=True), torch.zeros(2, requires_grad=True)]
    optimizer = torch.optim.Adam(parameters, lr=0.1, betas=(0.8, 0.95), eps=1e-6, fused=fused)
    assert adam_moments(optimizer) == ([], [])
    m, v = np.zeros(8), np.zeros(8)
    for step in range(1, 8):
        grads = [torch.randn(p.shape, generator=generator) for p in parameters]
        for p, g in zip(parameters, grads, strict=True):
            p.grad = g
        optimizer.step()
        g = np.concatenate([g.numpy().ravel() for g in grads]).astype(np.float64)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        corrected, square = m / (1 - 0.8**step), v / (1 - 0.95**step)
        first, second = adam_moments(optimizer)
        np.testing.assert_allclose(
            torch.cat([t.ravel() for t in first]), corrected, rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(torch.cat([t.ravel() for t in second]), square, rtol=1e-4)
        denominator = np.sqrt(square) + 1e-6
        total, mean = adam_snr(first, second, 1e-6)
        expected = np.linalg.norm(corrected) / np.linalg.norm(denominator)
        assert total == pytest.approx(expected, rel=1e-5)
        assert mean == pytest.approx(np.abs(corrected / denominator).mean(), rel=1e-4)


def test_the_first_adam_step_has_snr_one_and_the_analyzer_reports_it(make_case: MakeCase) -> None:
    case = make_case()
    optimizer = torch.optim.Adam(case.parameters, eps=1e-12)
    for p in case.parameters:
        p.grad = torch.randn_like(p)
    optimizer.step()
    found = SignalToNoise(batches=3).measure(make_view(case, torch.ones(2, 13), optimizer))
    assert found["adam_snr"] == pytest.approx(1, rel=1e-6)
    assert found["adam_snr.mean"] == pytest.approx(1, rel=1e-6)


def test_an_optimizer_without_moments_has_no_adam_snr() -> None:
    x = torch.zeros(2, requires_grad=True)
    x.grad = torch.ones(2)
    for optimizer in (torch.optim.SGD([x], lr=0.1), torch.optim.RMSprop([x], lr=0.1)):
        optimizer.step()
        assert adam_moments(optimizer) == ([], [])
