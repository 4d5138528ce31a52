"""Rounding of residuals and gradients: against a run in double precision, and at the floor."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from pinn.analyzers.rounding import (
    FLOOR,
    Rounding,
    in_double,
    relative_difference,
    residuals_and_gradient,
)
from pinn.core import PinnError
from pinn.core.records import Records
from pinn.engine import Config, watch
from pinn.engine.training.ready import prepare
from pinn.plugins.weightings.vanilla import Vanilla

MakeCase = Callable[..., Any]
MakeConfig = Callable[..., Config]
EPS = float(torch.finfo(torch.float32).eps)


@given(st.integers(0, 100), st.integers(1, 4), st.sampled_from([2.0**-60, 1.0, 2.0**60]))
def test_relative_difference_against_numpy(seed: int, parts: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3,), (2, 4), (), (5, 1)][:parts]
    a, b = ([torch.randn(s, generator=generator).double() for s in shapes] for _ in range(2))
    flat_a, flat_b = (np.concatenate([p.numpy().ravel() for p in one]) for one in (a, b))
    expected = np.linalg.norm(flat_a - flat_b) / np.linalg.norm(flat_b)
    assert relative_difference(a, b) == pytest.approx(expected)
    scaled = relative_difference([scale * p for p in a], [scale * p for p in b])
    assert scaled == pytest.approx(expected)
    assert relative_difference(b, b) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_zeros_and_numbers_that_are_not_finite(bad: float) -> None:
    one, other = torch.ones(2), torch.tensor([1.0, bad])
    assert math.isnan(relative_difference([one], [0 * one]))
    assert math.isnan(relative_difference([one], [other]))
    assert math.isnan(relative_difference([other], [one]))


@given(st.integers(0, 30), st.integers(1, 12))
@settings(max_examples=8)
def test_residuals_and_gradient_by_nested_autograd(
    make_case: MakeCase, seed: int, count: int
) -> None:
    case = make_case(seed, count)
    function, points = case.objective(Vanilla()).interior_residuals, case.points.interior
    r, gradient = residuals_and_gradient(function, case.parameters, points)
    naive = case.residuals(points)
    torch.testing.assert_close(r, naive.detach(), rtol=1e-9, atol=1e-9)
    loss = (naive**2).mean(1).sum()
    expected = torch.autograd.grad(loss, case.parameters, materialize_grads=True)
    for mine, theirs in zip(gradient, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-7)
    assert all(p.grad is None for p in case.parameters)


# the analyzer

NETWORKS = [
    {"name": "mlp"}, {"name": "mlp", "normalise": True}, {"name": "modified-mlp"},
    {"name": "mlp", "fourier_features": 5}, {"name": "mlp", "periodic": ["x"]},
]  # fmt: skip


def single_and_double(
    make_config: MakeConfig, problem: str, network: dict[str, Any]
) -> tuple[Any, Any]:
    """Module and objective in either precision, with the same parameters and buffers."""
    built = []
    for precision in ("float32", "float64"):
        config = make_config({"name": problem}, network=network, run={"precision": precision})
        built.append(prepare(config)[:2])
    (single, _), (double, _) = built
    double.load_state_dict(single.state_dict())
    return built[0], built[1]


def view_of(module: nn.Module, function: Any, points: Tensor) -> Any:
    return SimpleNamespace(
        module=module,
        residual_function=function,
        parameters={n: p.detach() for n, p in module.named_parameters() if p.requires_grad},
        points=SimpleNamespace(interior=points),
        records=Records(Path("never-written")),
        step=7,
    )


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("problem", ["burgers", "cavity"])
def test_against_the_network_in_double_precision(
    make_config: MakeConfig, problem: str, network: dict[str, Any]
) -> None:
    (module, objective), (double, exact) = single_and_double(make_config, problem, network)
    points = torch.rand(30, 2, generator=torch.Generator().manual_seed(0))
    chosen = points[[0, 7, 15, 22]]
    found = Rounding(points=4).measure(view_of(module, objective.interior_residuals, points))
    r, gradient = residuals_and_gradient(objective.interior_residuals, objective.parameters, chosen)
    r64, gradient64 = residuals_and_gradient(
        exact.interior_residuals, tuple(double.parameters()), chosen.double()
    )
    assert found["rounding.residual"] == pytest.approx(relative_difference([r], [r64]))
    assert found["rounding.gradient"] == pytest.approx(relative_difference(gradient, gradient64))
    assert 0 < found["rounding.residual"] < 1e3 * EPS
    assert 0 < found["rounding.gradient"] < 1e3 * EPS


def test_parameters_that_are_not_trained_are_in_double_too(make_config: MakeConfig) -> None:
    (module, objective), (_, exact) = single_and_double(make_config, "burgers", {"name": "mlp"})
    next(module.parameters()).requires_grad_(False)
    objective.parameter_names[:] = [n for n, p in module.named_parameters() if p.requires_grad]
    points = torch.rand(5, 2)
    function = in_double(module, objective.interior_residuals)
    found = function(tuple(p.detach().double() for p in objective.parameters), points.double())
    expected = exact.interior_residuals(exact.parameters, points.double())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_keeps_its_precision_and_its_numbers(
    make_config: MakeConfig, fails: bool
) -> None:
    config = make_config({"name": "burgers"}, network={"fourier_features": 5})
    module, objective, _ = prepare(config)
    before = {n: (t, t.clone()) for n, t in module.state_dict(keep_vars=True).items()}

    def function(parameters: Any, points: Tensor) -> Tensor:
        if fails and points.dtype == torch.float64:
            raise RuntimeError("in double")
        return objective.interior_residuals(parameters, points)

    view = view_of(module, function, torch.rand(7, 2))
    if fails:
        with pytest.raises(RuntimeError, match="in double"):
            Rounding().measure(view)
    else:
        Rounding().measure(view)
    after = module.state_dict(keep_vars=True)
    assert after.keys() == before.keys()
    for name, (tensor, values) in before.items():
        assert after[name] is tensor
        assert torch.equal(tensor, values)
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(("offset", "least", "most"), [(0.0, 0, 2 * EPS), (1e5, 0.5, 100)])
def test_the_floor_of_the_precision(offset: float, least: float, most: float) -> None:
    """r = (θ x + c) − c with θ x about 1e-3: where c ε ≫ θ x, all is rounding."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1e-3)

    def function(parameters: Any, x: Tensor) -> Tensor:
        value = parameters[0][0] * x[:, 0]
        return torch.sin((value + offset) - offset)[None]

    points = 1 + torch.rand(50, 1, generator=torch.Generator().manual_seed(0))
    view = view_of(module, function, points)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = Rounding().measure(view)
        view.records.add(view.step, found)
        again = Rounding().measure(view)
    assert least <= found["rounding.residual"] < most
    assert [FLOOR in found, FLOOR in again] == [offset > 0, False]
    assert len(said) == (offset > 0)
    if said:
        assert "the floor of this precision is reached" in str(said[0].message)


def test_residuals_that_are_not_finite_or_zero() -> None:
    module = nn.Linear(1, 1)
    for value in (math.nan, 0.0):
        view = view_of(module, lambda p, x, v=value: v * p[0] * x.T, torch.rand(4, 1))
        assert all(map(math.isnan, Rounding().measure(view).values()))


def test_a_run_in_double_precision_is_not_measured(make_case: MakeCase) -> None:
    assert Rounding().measure(make_case().view(Vanilla(), torch.ones(2, 13))) == {}


def test_a_watched_loop_is_told_why_it_cannot_be_measured(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(PinnError, match="rounding needs the residuals as a function of the param"):
        watch(
            tmp_path, model, torch.optim.SGD(model.parameters(), lr=0.1),
            residuals=lambda x: model(x)[:, 0], points=torch.rand(9, 2), analyzers=["rounding"],
        )  # fmt: skip


def test_the_figure_says_what_was_found() -> None:
    records = Records(Path("never-written"))
    records.rows = [{"step": 9, "rounding.gradient": 3.2e-5}]
    (plot,) = Rounding().figures(records)
    assert plot.title == "Rounding is 3e-05 of the gradient at the end"
