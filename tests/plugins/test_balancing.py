"""Factors of the terms of a loss, against their formulas; in training, killed and continued."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from pinn.core import PinnError, Terms, Weighting
from pinn.engine import Config, train
from pinn.plugins.weightings.augmented_lagrangian import AugmentedLagrangian
from pinn.plugins.weightings.gradient_norms import GradientNorms
from pinn.plugins.weightings.ntk import TangentKernel
from pinn.plugins.weightings.relobralo import RelativeLossBalancing

MakeConfig = Callable[..., Config]
EQUATIONS, CONDITIONS = ("a", "b"), ("c", "d")
NAMES = EQUATIONS + CONDITIONS
ONES = dict.fromkeys(NAMES, 1.0)


def terms(
    losses: Sequence[float] = (1, 1, 1, 1),
    gradients: Any = None,
    traces: Sequence[float] = (1, 1, 1, 1),
    factors: Mapping[str, float] = ONES,
    memory: Mapping[str, torch.Tensor] | None = None,
) -> Terms:
    return Terms(
        EQUATIONS,
        CONDITIONS,
        factors,
        torch.tensor(losses, dtype=torch.float64),
        torch.ones(4, 3) if gradients is None else torch.tensor(gradients, dtype=torch.float64),
        lambda: torch.tensor(traces),
        memory or {},
        np.random.default_rng(0),
    )


def test_tangent_kernels() -> None:
    found = TangentKernel(alpha=0.25).balance(terms(traces=(1, 3, 4, 0)))
    assert found == pytest.approx({"a": 0.75 + 2, "b": 0.75 + 0.25 * 8 / 3, "c": 0.75 + 0.5})


def test_all_gradients_are_brought_to_one_length() -> None:
    part, factors = GradientNorms(rule="all"), dict(ONES)
    gradients = [[3.0, 4, 0], [0, 0, 1], [10, 0, 0], [0, 0.1, 0]]
    for _ in range(300):
        factors |= part.balance(terms(gradients=gradients, factors=factors))
    lengths = [
        f * float(torch.tensor(g).double().norm())
        for f, g in zip(factors.values(), gradients, strict=True)
    ]
    assert lengths == pytest.approx([16.1] * 4)


def test_running_norms() -> None:
    """‖∇(a + b)‖ = 5 and ‖∇c‖ = 2, then 10 and 1, with γ = 0.5: 7.5 / 1.5."""
    part = GradientNorms(rule="running", gamma=0.5, alpha=1.0)
    first = terms(gradients=[[3.0, 0, 0], [0, 4, 0], [2, 0, 0], [0, 0, 0]])
    assert part.balance(first) == pytest.approx({"c": 2.5})
    then = terms(
        gradients=[[6.0, 8, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]], memory=part.remember(first)
    )
    assert part.balance(then) == pytest.approx({"c": 5.0})


def test_relative_losses() -> None:
    part = RelativeLossBalancing(alpha=0.5, rho=1.0, temperature=1.0)
    first = terms((4, 2, 1, 1))
    assert part.balance(first) == pytest.approx(ONES)
    memory = part.remember(first)
    found = part.balance(terms((2, 2, 1, 0.1), memory=memory))
    shares = [math.exp(each) for each in (0.5, 1, 1, 0.1)]
    expected = [0.5 + 0.5 * 4 * each / sum(shares) for each in shares]
    assert list(found.values()) == pytest.approx(expected)
    assert part.remember(terms((2, 2, 1, 0.1), memory=memory))["first"].tolist() == [4, 2, 1, 1]
    back = RelativeLossBalancing(alpha=1.0, rho=0.0, temperature=1.0)
    looked_back = back.balance(terms((2, 2, 1, 0.1), memory=memory))
    assert list(looked_back.values()) == pytest.approx([4 * each / sum(shares) for each in shares])


@given(st.lists(st.floats(0, 1e3), min_size=4, max_size=4), st.integers(0, 20))
def test_relative_losses_keep_the_sum_of_the_factors(losses: list[float], seed: int) -> None:
    part, factors, memory = RelativeLossBalancing(rho=0.5), ONES, {}
    for each in np.random.default_rng(seed).permutation(losses * 2).reshape(2, 4).tolist():
        now = terms(each, factors=factors, memory=memory)
        factors, memory = dict(part.balance(now)), dict(part.remember(now))
    assert sum(factors.values()) == pytest.approx(4)


def test_multipliers() -> None:
    """√v = C/2 with ζ = 3/4 at first, so that μ C is 2 γ."""
    part = AugmentedLagrangian(gamma=0.1, zeta=0.75, epsilon=1e-300)
    first = terms((9, 9, 0.5, 0.0))
    assert part.balance(first) == pytest.approx({"c": 1 + 0.2 + 0.2, "d": 1.0})
    kept = part.remember(first)
    assert kept["multipliers"].tolist() == pytest.approx([1.2, 1.0])
    root = math.sqrt(0.75 * 0.0625 + 0.25 * 0.01)
    found = part.balance(terms((9, 9, 0.1, 0.0), memory=kept))
    assert found["c"] == pytest.approx(1.2 + 2 * 0.1 * 0.1 / root)


def test_the_traces_are_those_of_the_jacobian(make_config: MakeConfig) -> None:
    """Of the jacobian written out point by point."""
    from pinn.engine.training.ready import prepare
    from pinn.engine.training.state import initial_state

    config = make_config({"name": "burgers"}, run={"precision": "float64"})
    module, objective, _ = prepare(config)
    state = initial_state(config, module, 1)
    found = objective.traces(state.points, state.weights, rows=7)
    blocks = list(objective.jacobian(objective.parameters, state.points, state.weights, 10**6))
    expected = [float((jacobian**2).sum()) for _, jacobian in blocks]
    assert found.tolist() == pytest.approx(expected)


BALANCING: list[dict[str, Any]] = [
    {"name": "ntk", "every": 2},
    {"name": "relobralo", "every": 2, "rho": 0.5},
    {"name": "augmented-lagrangian"},
    {"name": "gradient-norms", "every": 2, "rule": "running"},
    {"name": "gradient-norms", "every": 2, "rule": "all"},
]


@pytest.mark.parametrize("weighting", BALANCING, ids=lambda w: w["name"] + w.get("rule", ""))
def test_points_are_weighed_by_one_and_terms_balanced_by_another(
    weighting: dict[str, Any], make_config: MakeConfig
) -> None:
    config = make_config(
        {"name": "burgers"},
        weighting={"name": "rba", "balance": weighting},
        optimizers=[{"name": "adam", "steps": 6}],
        run={"record": 1},
    )
    assert (config.weighting.name, config.balancing.name) == ("rba", weighting["name"])
    run = train(config)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    factors = [row.get("factor.initial", 1.0) for row in rows]  # at first rba weighs all points 0
    assert len(set(factors)) >= 3
    assert all(math.isfinite(row["loss"]) for row in rows)


def test_what_balances_nothing_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(PinnError, match=r"\[weighting.balance\] name: rba weighs points"):
        make_config({"name": "burgers"}, weighting={"name": "rba", "balance": {"name": "rba"}})
    balance = {"name": "ntk", "alfa": 1}
    with pytest.raises(PinnError, match=r"\[weighting.balance\] alfa: unknown key"):
        make_config({"name": "burgers"}, weighting={"name": "rba", "balance": balance})


def test_a_weighting_balances_by_itself_unless_told() -> None:
    assert Weighting.balanced_every(GradientNorms()) == 0
    assert GradientNorms().balanced_every() == 10
