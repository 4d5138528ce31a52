"""Curvature: against dense Hessians of small networks, and steps that do or do not converge."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pinn.analyzers import curvature
from pinn.analyzers.curvature import (
    Curvature,
    geometric_complexity,
    hessian_product,
    step_sizes,
    trace,
)
from pinn.analyzers.spectrum_lanczos import lanczos
from pinn.core.records import Records
from pinn.engine import open_run, watch
from pinn.plugins.weightings.rba import ResidualBasedAttention

Array = NDArray[np.float64]
MakeCase = Callable[..., Any]
FACTORS = {"first": 2.0, "walls": 3.0}


def weights_of(seed: int) -> Tensor:
    return torch.rand(2, 13, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(case: Any, weights: Tensor, chosen: Any = slice(None)) -> Array:
    """The Hessian, a column a unit vector, of the loss that is written out by hand."""
    r = case.residuals(case.points.interior[chosen])
    first, second = torch.unbind(((weights[:, chosen] * r) ** 2).mean(1))
    initial, walls = case.condition_losses()
    loss = 2 * first + second + initial + 3 * walls
    slopes = torch.autograd.grad(loss, case.parameters, create_graph=True)
    flat = torch.cat([slope.flatten() for slope in slopes])
    rows = [
        torch.autograd.grad(one, case.parameters, retain_graph=True, materialize_grads=True)
        for one in flat
    ]
    return np.array([torch.cat([part.flatten() for part in row]).numpy() for row in rows])


def quadratic(matrix: Array) -> tuple[Any, Tensor]:
    """½ θᵀ A θ, and its θ."""
    unknowns = torch.ones(len(matrix), dtype=torch.float64, requires_grad=True)
    symmetric = torch.as_tensor(matrix)
    return lambda: unknowns @ symmetric @ unknowns / 2, unknowns


def symmetric(size: int, seed: int) -> Array:
    half = np.random.default_rng(seed).standard_normal((size, size))
    return half + half.T


# --- measures


@given(st.integers(1, 8), st.integers(0, 50))
def test_products_with_the_hessian_of_a_quadratic(size: int, seed: int) -> None:
    matrix, vector = symmetric(size, seed), np.random.default_rng(seed).standard_normal(size)
    loss, unknowns = quadratic(matrix)
    halves = [lambda: 0.25 * loss(), lambda: 0.75 * loss()]
    for losses in ([loss], halves):
        product = hessian_product(losses, [unknowns])
        for _ in range(2):
            np.testing.assert_allclose(product(vector), matrix @ vector, atol=1e-10)


def test_a_linear_loss_has_no_curvature() -> None:
    x, unused = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    product = hessian_product([lambda: x.sum()], [x, unused])
    np.testing.assert_array_equal(product(np.ones(5)), np.zeros(5))


@given(st.integers(2, 12), st.integers(0, 12), st.integers(0, 50))
def test_the_trace_is_exact_where_all_is_known(size: int, steps: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix, signs = symmetric(size, seed), generator.choice([-1.0, 1.0], (4, size))
    known = lanczos(lambda v: matrix @ v, generator.standard_normal(size), size)
    found, error = trace(lambda v: matrix @ v, known, signs)
    assert found == pytest.approx(np.trace(matrix), abs=1e-9)
    assert error == pytest.approx(0, abs=1e-9)
    diagonal = np.diag(np.diag(matrix))  # random signs have no noise on a diagonal matrix
    nothing = lanczos(lambda v: diagonal @ v, np.zeros(size), 1)
    assert trace(lambda v: diagonal @ v, nothing, signs) == pytest.approx((np.trace(matrix), 0))


def test_the_trace_is_within_its_error() -> None:
    off = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        matrix = symmetric(40, seed) + np.diag([100.0] + [1.0] * 39)
        known = lanczos(lambda v, a=matrix: a @ v, generator.standard_normal(40), 5)
        signs = generator.choice([-1.0, 1.0], (10, 40))
        found, error = trace(lambda v, a=matrix: a @ v, known, signs)
        off.append((found - np.trace(matrix)) / error)
    assert abs(np.mean(off)) < 0.5
    assert 0.7 < np.std(off) < 1.6


# --- the edge of stability


@pytest.mark.parametrize("excess", [0.95, 1.05])
@pytest.mark.parametrize(
    ("momentum", "nesterov", "dampening"),
    [(0.0, False, 0.0), (0.9, False, 0.0), (0.7, True, 0.0), (0.8, False, 0.5)],
)
def test_gradient_descent_converges_below_one_and_not_above(
    momentum: float, nesterov: bool, dampening: float, excess: float
) -> None:
    loss, unknowns = quadratic(np.diag([4.0, 1.0]))
    options: dict[str, Any] = {
        "momentum": momentum, "nesterov": nesterov, "dampening": dampening,
    }  # fmt: skip
    unit = step_sizes(torch.optim.SGD([unknowns], lr=1.0, **options), [unknowns])
    assert unit is not None
    optimizer = torch.optim.SGD([unknowns], lr=excess / (4 * unit[0]), **options)
    for _ in range(300):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert (float(loss().detach()) < 1) == (excess < 1)


@given(st.floats(0.01, 0.99), st.floats(1e-4, 1), st.integers(0, 50))
def test_the_step_of_adam_is_the_rate_over_the_threshold(beta: float, lr: float, seed: int) -> None:
    x = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    gradient = np.random.default_rng(seed).standard_normal(5)
    gradient[2] = 0.0
    optimizer = torch.optim.Adam([x], lr=lr, betas=(beta, 0.99), eps=1e-6)
    x.grad = torch.as_tensor(gradient)
    optimizer.step()
    sizes = step_sizes(optimizer, [x])
    threshold = (2 + 2 * beta) / ((1 - beta) * lr)
    expected = np.where(gradient == 0, 0, 1 / (np.abs(gradient) + 1e-6)) / threshold
    np.testing.assert_allclose(sizes, expected, rtol=1e-9)


def test_other_optimizers_have_no_edge() -> None:
    x = torch.zeros(2, requires_grad=True)
    other = torch.zeros(1, requires_grad=True)
    assert step_sizes(torch.optim.LBFGS([x]), [x]) is None
    assert step_sizes(torch.optim.RMSprop([x]), [x]) is None
    assert step_sizes(torch.optim.Adam([x]), [x]) is None  # no step yet
    assert step_sizes(torch.optim.SGD([x], lr=1.0), [x, other]) is None


# --- the analyzer


@pytest.mark.parametrize(("points", "seed"), [(0, 0), (4, 1)])
def test_the_analyzer_against_a_dense_hessian(make_case: MakeCase, points: int, seed: int) -> None:
    case, weights = make_case(seed), weights_of(seed)
    optimizer = torch.optim.Adam(case.parameters, lr=0.01)
    for p in case.parameters:
        p.grad = torch.full_like(p, 0.1) + p.detach() ** 2
    optimizer.step()
    for p in case.parameters:
        p.grad = None
    chosen = [0, 3, 6, 9] if points == 4 else slice(None)
    matrix = dense(case, weights, chosen)
    view = case.view(ResidualBasedAttention(), weights, FACTORS, optimizer=optimizer)
    found = Curvature(points=points, steps=49, probes=3).measure(view)
    values = np.linalg.eigvalsh(matrix)
    assert found["hessian.largest"] == pytest.approx(values[-1], rel=1e-8)
    assert found["hessian.largest.error"] <= 1e-6 * values[-1]
    assert found["hessian.trace"] == pytest.approx(np.trace(matrix), rel=1e-6)
    assert found["hessian.share"] == pytest.approx(values[-1] / np.trace(matrix), rel=1e-6)
    root = np.sqrt(step_sizes(optimizer, case.parameters))
    stepped = np.linalg.eigvalsh(root[:, None] * matrix * root)
    assert found["hessian.stability"] == pytest.approx(stepped[-1], rel=1e-8)
    assert all(p.grad is None for p in case.parameters)


def test_pieces_do_not_matter(make_case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    case, weights = make_case(), weights_of(0)
    part = Curvature(steps=3, probes=2)
    whole = part.measure(case.view(ResidualBasedAttention(), weights, FACTORS))
    monkeypatch.setattr(curvature, "AT_ONCE", 5)
    pieces = part.measure(case.view(ResidualBasedAttention(), weights, FACTORS))
    assert pieces == pytest.approx(whole, rel=1e-7)


def test_few_steps_find_the_largest_eigenvalue_and_say_how_well(make_case: MakeCase) -> None:
    case, weights = make_case(1), weights_of(1)
    found = Curvature(steps=12).measure(case.view(ResidualBasedAttention(), weights, FACTORS))
    matrix = dense(case, weights)
    off = abs(np.linalg.eigvalsh(matrix) - found["hessian.largest"]).min()
    assert off <= found["hessian.largest.error"] < 0.01 * found["hessian.largest"]
    assert abs(found["hessian.trace"] - np.trace(matrix)) < 5 * found["hessian.trace.error"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_not_measured(bad: float) -> None:
    net = torch.nn.Linear(2, 1)
    view: Any = SimpleNamespace(
        points=SimpleNamespace(interior=torch.zeros(3, 2)),
        weights=torch.ones(1, 3),
        module=net,
        forward=None,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        parameters=dict(net.named_parameters()),
        generator=lambda name: torch.Generator().manual_seed(0),
        loss_terms=lambda chosen: ({"heat": bad * (net.weight**2).sum()}, {}),
    )
    found = Curvature().measure(view)
    slope = float((net.weight.detach() ** 2).sum())
    assert found.pop("geometric_complexity") == pytest.approx(slope)
    assert all(map(math.isnan, found.values()))
    view.loss_terms = lambda chosen: ({"heat": 0 * (net.weight**2).sum()}, {})
    found = Curvature().measure(view)
    assert found["hessian.largest"] == found["hessian.trace"] == found["hessian.stability"] == 0
    assert math.isnan(found["hessian.share"])


def test_a_watched_loop_is_measured_like_a_run(tmp_path: Path) -> None:
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)
    ).double()
    points = torch.rand(9, 2, dtype=torch.float64)

    def residuals(points: Tensor) -> Tensor:
        u = net(points)[:, 0]
        return torch.autograd.grad(u.sum(), points, create_graph=True)[0][:, 0] - u

    def start() -> Tensor:
        return ((net(points[:3]) - 1) ** 2).mean()

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    asked = [{"name": "curvature", "steps": 13}]
    with watch(
        tmp_path,
        net,
        optimizer,
        points=points,
        residuals=residuals,
        conditions=start,
        analyzers=asked,
    ) as watcher:
        watcher.step()
        leaf = points.clone().requires_grad_()
        product = hessian_product(
            [lambda: (residuals(leaf) ** 2).mean() + start()], list(net.parameters())
        )
        matrix = np.array([product(unit) for unit in np.eye(13)])
    row = {name: values[-1] for name, (_, values) in open_run(tmp_path).metrics().items()}
    largest = np.linalg.eigvalsh(matrix)[-1]
    assert row["hessian.largest"] == pytest.approx(largest)
    assert row["hessian.trace"] == pytest.approx(np.trace(matrix))
    assert row["hessian.stability"] == pytest.approx(0.1 * largest / 2)


# --- geometric complexity


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 50))
def test_a_linear_network_has_the_square_of_its_weights(
    inputs: int, outputs: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64)
    points = torch.randn(5, inputs, generator=generator, dtype=torch.float64)
    found = geometric_complexity(lambda x: x @ weight.T + 3, points)
    assert found == pytest.approx(float((weight**2).sum()))
    assert not points.requires_grad


@given(st.floats(0.1, 5), st.floats(0.1, 3))
def test_a_wave_has_half_the_square_of_its_slope(wave: float, height: float) -> None:
    """mean (h k cos kx)² = h² k² / 2 over whole periods; stretched coordinates count inversely."""
    x = torch.linspace(0, 2 * math.pi / wave, 1001, dtype=torch.float64)[1:, None]
    found = geometric_complexity(lambda x: height * torch.sin(wave * x), x)
    assert found == pytest.approx((height * wave) ** 2 / 2)


# --- figures


def test_figures(tmp_path: Path, make_case: MakeCase) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    assert not list(Curvature().figures(records))
    case = make_case()
    view = case.view(
        ResidualBasedAttention(), weights_of(0), optimizer=torch.optim.LBFGS(case.parameters)
    )
    records.append(1, Curvature(steps=3, probes=2).measure(view))
    names = [plot.name for plot in Curvature().figures(records)]
    assert names == ["hessian", "geometric-complexity"]
    records.append(2, {"hessian.stability": 0.5, "hessian.largest": 2.0, "hessian.share": None})
    titles = [plot.title for plot in Curvature().figures(records)]
    assert titles[:2] == [
        "The largest curvature of the loss ends at 2",
        "The step is 0.5 of the largest stable one",
    ]
