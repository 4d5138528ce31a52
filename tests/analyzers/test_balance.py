"""Gradients of the loss terms: against nested autograd, their bounds, and what watched loops have."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pinn.analyzers import balance as module
from pinn.analyzers.balance import Balance, balance, cosine
from pinn.core.records import Records
from pinn.engine import Config, open_run, train, watch
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.testing import arrays, check_bounds, check_invariant, permuted, scaled, sign_flipped

Array = NDArray[np.float64]
MakeCase = Callable[..., Any]
FACTORS = {"first": 2.0, "second": 1.0, "initial": 0.5, "walls": 3.0}


def of_columns(pair: Array) -> float:
    return cosine(pair[:, 0], pair[:, -1])


# --- measures


def test_the_cosine_keeps_its_bounds() -> None:
    check_bounds(of_columns, arrays(2), low=-1, high=1)


@pytest.mark.parametrize("change", [scaled, permuted(0), sign_flipped(0)])
def test_the_cosine_is_one_of_directions(change: Any) -> None:
    check_invariant(of_columns, change, arrays(2))


@given(st.floats(-math.pi, math.pi), st.floats(1e-9, 1e9))
def test_the_cosine_of_an_angle(angle: float, length: float) -> None:
    vector = length * np.array([math.cos(angle), math.sin(angle)])
    assert cosine(np.array([1.0, 0.0]), vector) == pytest.approx(math.cos(angle), abs=1e-12)


def test_a_gradient_that_is_zero_has_no_direction() -> None:
    zero, one = np.zeros(2), np.array([1.0, 0.0])
    assert math.isnan(cosine(zero, one))
    found = balance({"heat": zero}, {"start": one})
    assert math.isnan(found["balance"])
    assert balance({"heat": one}, {"start": zero})["balance"] == 0
    assert math.isnan(balance({"heat": np.array([math.nan, 1.0])}, {"start": one})["balance"])


def test_names_of_few_terms_and_of_many() -> None:
    one, other = np.array([3.0, 0.0]), np.array([0.0, 4.0])
    assert balance({"a": one, "b": other}, {"c": one + other}) == pytest.approx(
        {
            "gradient_norm.a": 3, "gradient_norm.b": 4, "gradient_norm.c": 5,
            "gradient_norm.equations": 5, "gradient_cosine.a.b": 0, "gradient_cosine.a.c": 0.6,
            "gradient_cosine.b.c": 0.8, "balance": 1,
        }
    )  # fmt: skip
    assert set(balance({"a": one}, {})) == {"gradient_norm.a"}
    many = balance({"a": one, "b": other}, {f"c{i}": one for i in range(5)})
    cosines = {name: value for name, value in many.items() if "cosine" in name}
    assert set(cosines) == {
        f"gradient_cosine.equations.{n}" for n in ("a", "b", *map("c{}".format, range(5)))
    }
    assert cosines["gradient_cosine.equations.b"] == pytest.approx(0.8)


# --- the analyzer


def naive(case: Any, weights: Tensor, chosen: Any = slice(None)) -> Mapping[str, Array]:
    """By nested autograd, term by term."""
    r = case.residuals(case.points.interior[chosen])
    inside = ((weights[:, chosen] * r) ** 2).mean(1)
    terms = dict(zip(FACTORS, [*inside, *case.condition_losses()], strict=True))
    found = {}
    for name, term in terms.items():
        gradient = torch.autograd.grad(
            FACTORS[name] * term, case.parameters, retain_graph=True, materialize_grads=True
        )
        found[name] = torch.cat([g.flatten() for g in gradient]).numpy()
    return found


@pytest.mark.parametrize(("points", "at_once"), [(0, 4096), (0, 5), (4, 4096), (99, 3)])
@given(st.integers(0, 50))
@settings(max_examples=4)
def test_the_analyzer_against_nested_autograd(
    make_case: MakeCase, points: int, at_once: int, seed: int
) -> None:
    case = make_case(seed)
    weights = torch.rand(2, 13, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        view = case.view(ResidualBasedAttention(), weights, FACTORS)
        found = Balance(points=points).measure(view)
    expected = naive(case, weights, [0, 3, 6, 9] if points == 4 else slice(None))
    first, second, initial, walls = expected.values()
    for name, gradient in expected.items():
        assert found[f"gradient_norm.{name}"] == pytest.approx(np.linalg.norm(gradient), rel=1e-9)
    together = np.linalg.norm(first + second)
    assert found["gradient_norm.equations"] == pytest.approx(together, rel=1e-9)
    largest = max(np.linalg.norm(initial), np.linalg.norm(walls))
    assert found["balance"] == pytest.approx(largest / together, rel=1e-9)
    by_hand = initial @ walls / (np.linalg.norm(initial) * np.linalg.norm(walls))
    assert found["gradient_cosine.initial.walls"] == pytest.approx(by_hand, abs=1e-9)
    assert len(found) == 4 + 1 + 6 + 1
    assert all(p.grad is None for p in case.parameters)


def test_the_norms_are_those_of_the_gradient_that_trains(make_case: MakeCase) -> None:
    """Where all terms but one have no weight."""
    case = make_case()
    weights = torch.ones(2, 13, dtype=torch.float64)
    factors = {"first": 0.0, "second": 0.0, "initial": 0.0, "walls": 1.0}
    found = Balance().measure(case.view(ResidualBasedAttention(), weights, factors))
    objective = case.objective(ResidualBasedAttention(), factors)
    whole = objective.evaluate(case.parameters, case.points, weights, update=False).gradient
    length = math.sqrt(sum(float((g**2).sum()) for g in whole))
    assert found["gradient_norm.walls"] == pytest.approx(length)
    assert found["gradient_norm.equations"] == 0
    assert math.isnan(found["balance"])


def test_a_term_that_no_parameter_changes_has_no_gradient() -> None:
    net = torch.nn.Linear(1, 1)
    view: Any = SimpleNamespace(
        points=SimpleNamespace(interior=torch.zeros(3, 1)),
        weights=torch.ones(1, 3),
        module=net,
        parameters=dict(net.named_parameters()),
        loss_terms=lambda chosen: ({"heat": net.bias.sum()}, {"start": torch.tensor(2.0)}),
    )
    found = Balance().measure(view)
    assert (found["gradient_norm.start"], found["balance"]) == (0, 0)
    assert math.isnan(found["gradient_cosine.heat.start"])


@pytest.mark.usefixtures("without_results")
def test_a_run_without_conditions_has_no_balance(make_config: Callable[..., Config]) -> None:
    config = make_config(
        {"name": "burgers", "hard": True}, analyzers=[{"name": "balance", "every": 1}]
    )
    metrics = train(config).metrics()
    assert len(metrics["gradient_norm.burgers"][0]) == 5
    assert not {name for name in metrics if "cosine" in name or name == "balance"}


@pytest.mark.parametrize("squared", [False, True])
def test_a_watched_loop_has_one_term_of_all_conditions(tmp_path: Path, squared: bool) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    points = torch.rand(9, 2)

    def residuals(points: Tensor) -> dict[str, Tensor]:
        u = net(points)[:, 0]
        return {"one": u, "two": torch.autograd.grad(u.sum(), points, create_graph=True)[0][:, 0]}

    weights = None if squared else torch.rand(2, 9)
    given: dict[str, Any] = {"residuals": residuals, "weights": weights}
    if squared:
        given = {"losses": lambda p: {n: r**2 for n, r in residuals(p).items()}}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with watch(
        tmp_path, net, optimizer, points=points, analyzers=["balance"],
        conditions=lambda: (net(points[:3]) ** 2).mean(), **given,
    ) as watcher:  # fmt: skip
        watcher.step()
        own = torch.ones(2, 9) if weights is None else weights
        leaf = points.clone().requires_grad_()
        r = torch.stack([*residuals(leaf).values()])
        first, second = torch.unbind(((own * r) ** 2).mean(1))
        gradients = [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(
                        term, net.parameters(), retain_graph=True, materialize_grads=True
                    )
                ]
            )
            for term in (first, second, first + second, (net(points[:3]) ** 2).mean())
        ]
    row = {name: values[-1] for name, (_, values) in open_run(tmp_path).metrics().items()}
    lengths = [float(g.norm()) for g in gradients]
    names = ("one", "two", "equations", "conditions")
    for name, length in zip(names, lengths, strict=True):
        assert row[f"gradient_norm.{name}"] == pytest.approx(length, rel=1e-4)
    assert row["balance"] == pytest.approx(lengths[3] / lengths[2], rel=1e-4)


def test_figures(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    assert not list(Balance().figures(records))
    records.append(1, balance({"heat": np.array([2.0, 0.0])}, {}))
    (norms,) = Balance().figures(records)
    assert norms.title == "How hard each term of the loss pulls"
    records.append(2, balance({"heat": np.array([2.0, 0.0])}, {"start": np.array([1.0, 1.0])}))
    norms, cosines = Balance().figures(records)
    assert norms.title == "The condition that pulls hardest ends at 0.71 of the equations"
    assert norms.quantities == {"gradient_norm.heat": "heat", "gradient_norm.start": "start"}  # type: ignore[union-attr]
    assert cosines.quantities == {"gradient_cosine.heat.start": "heat · start"}  # type: ignore[union-attr]
