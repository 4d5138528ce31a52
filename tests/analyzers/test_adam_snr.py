"""Step-wise signal-to-noise ratio: against moments by hand and its closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.analyzers.adam_snr import AdamSignalToNoise, adam_moments, adam_norms
from pinn.engine import Config, train
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]


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
        numerator, root, mean = adam_norms(first, second, 1e-6)
        expected = np.linalg.norm(corrected) / np.linalg.norm(denominator)
        assert numerator / root == pytest.approx(expected, rel=1e-5)
        assert mean == pytest.approx(np.abs(corrected / denominator).mean(), rel=1e-4)


def test_the_first_adam_step_has_snr_one_and_the_analyzer_reports_it(make_case: MakeCase) -> None:
    case = make_case()
    optimizer = torch.optim.Adam(case.parameters, eps=1e-12)
    for p in case.parameters:
        p.grad = torch.randn_like(p)
    optimizer.step()
    view = case.view(Vanilla(), torch.ones(2, 13), optimizer=optimizer)
    found = AdamSignalToNoise().measure(view)
    assert found["adam_snr"] == pytest.approx(1, rel=1e-6)
    assert found["adam_snr.mean"] == pytest.approx(1, rel=1e-6)


def test_an_optimizer_without_moments_has_no_adam_snr() -> None:
    x = torch.zeros(2, requires_grad=True)
    x.grad = torch.ones(2)
    for optimizer in (torch.optim.SGD([x], lr=0.1), torch.optim.RMSprop([x], lr=0.1)):
        optimizer.step()
        assert adam_moments(optimizer) == ([], [])


def test_where_no_step_was_made_nothing_is_measured(make_case: MakeCase) -> None:
    case = make_case()
    for optimizer in (torch.optim.Adam(case.parameters), torch.optim.SGD(case.parameters, lr=1.0)):
        view = case.view(Vanilla(), torch.ones(2, 13), optimizer=optimizer)
        assert AdamSignalToNoise().measure(view) == {}


tensors = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def drawn(sizes: list[int], seed: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    first = [torch.randn(n, generator=generator, dtype=torch.float64) for n in sizes]
    return first, [torch.rand(n, generator=generator, dtype=torch.float64) + 0.1 for n in sizes]


@given(tensors, st.integers(0, 100), st.sampled_from([0.0, 1e-8, 0.5]))
def test_norms_against_naive_loops(sizes: list[int], seed: int, eps: float) -> None:
    first, second = drawn(sizes, seed)
    ms = [m for t in first for m in t.tolist()]
    roots = [math.sqrt(v) + eps for t in second for v in t.tolist()]
    assert adam_norms(first, second, eps) == pytest.approx(
        (
            math.sqrt(math.fsum(m * m for m in ms)),
            math.sqrt(math.fsum(r * r for r in roots)),
            math.fsum(abs(m) / r for m, r in zip(ms, roots, strict=True)) / len(ms),
        ),
        rel=1e-12,
    )


@given(tensors, st.integers(0, 100), st.floats(1e-6, 1e6))
def test_the_scale_of_the_loss_does_not_matter(sizes: list[int], seed: int, scale: float) -> None:
    first, second = drawn(sizes, seed)
    mean, root, each = adam_norms(first, second, 0.0)
    scaled = adam_norms([scale * m for m in first], [scale**2 * v for v in second], 0.0)
    assert scaled == pytest.approx((scale * mean, scale * root, each), rel=1e-9)


@given(st.floats(1e-3, 1e3), st.integers(1, 30))
def test_gradients_that_stay_the_same_have_snr_one(size: float, steps: int) -> None:
    x = torch.zeros(3, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.Adam([x], eps=0.0)
    for _ in range(steps):
        x.grad = torch.tensor([size, -size, 2 * size], dtype=torch.float64)
        optimizer.step()
    mean, root, each = adam_norms(*adam_moments(optimizer), 0.0)
    assert mean / root == pytest.approx(1, rel=1e-6)
    assert each == pytest.approx(1, rel=1e-6)


def test_gradients_that_alternate_cancel() -> None:
    x = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.Adam([x])
    for step in range(200):
        x.grad = torch.tensor([(-1.0) ** step], dtype=torch.float64)
        optimizer.step()
    mean, root, _ = adam_norms(*adam_moments(optimizer))
    assert mean / root < 0.06


def test_a_gradient_that_vanishes_is_zero_and_nan_stays_nan() -> None:
    zero = [torch.zeros(3)]
    assert adam_norms(zero, zero)[0] == 0
    assert adam_norms(zero, zero)[2] == 0
    assert math.isnan(adam_norms([torch.tensor([math.nan])], [torch.ones(1)])[0])


@pytest.mark.usefixtures("without_results")
def test_a_run_records_it_in_the_stages_that_have_moments(
    make_config: Callable[..., Config],
) -> None:
    config = make_config(
        {"name": "helmholtz", "a1": 1, "a2": 1},
        optimizers=[{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 2}],
        analyzers=[{"name": "adam-snr", "every": 1}],
    )
    metrics = train(config).metrics()
    steps, values = metrics["adam_snr"]
    assert steps.tolist() == [1, 2, 3, 4]
    ratio = metrics["adam_first_moment_norm"][1] / metrics["adam_second_moment_norm"][1]
    np.testing.assert_allclose(values, ratio, rtol=1e-12)
    assert values[0] == pytest.approx(1, rel=1e-3)
