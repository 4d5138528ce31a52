"""Factors of the conditions by the size of gradients, and how training uses them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.core import PinnError, Terms, offered
from pinn.engine import Config, train
from pinn.plugins.weightings.gradient_norms import GradientNorms
from pinn.plugins.weightings.vanilla import Vanilla

pytestmark = pytest.mark.usefixtures("without_results")

MakeConfig = Callable[..., Config]


def terms(gradients: Any, factors: Mapping[str, float]) -> Terms:
    return Terms(
        ("a", "b"),
        ("c", "d"),
        factors,
        torch.ones(4),
        torch.tensor(gradients),
        lambda: torch.ones(4),
        {},
        np.random.default_rng(0),
    )


def test_the_formula() -> None:
    """max|∇(a + b)| = 6; mean|∇c| = 2, mean|∇d| = 0.5."""
    found = GradientNorms(alpha=0.25).balance(
        terms([[1.0, -2, 0], [2, -4, 1], [3, -3, 0], [0, 0, 1.5]], {"a": 1, "b": 1, "c": 4, "d": 1})
    )
    assert found == pytest.approx({"c": 0.75 * 4 + 0.25 * 3, "d": 0.75 + 0.25 * 12})


@given(st.floats(1e-6, 1e6), st.floats(0.1, 10))
def test_it_settles_where_the_gradients_are_alike(scale: float, factor: float) -> None:
    """After many balances f_c mean|∇L_c| = max|∇L_eq|, whatever the size of the condition."""
    factors = {"a": 1.0, "b": 1.0, "c": factor, "d": factor}
    for _ in range(400):
        gradients = [[1.0, -2.0], [0.0, 0.0], [scale, scale], [-scale, 3 * scale]]
        factors |= GradientNorms().balance(terms(gradients, factors))
    assert factors["c"] * scale == pytest.approx(2, rel=1e-4)
    assert factors["d"] * 2 * scale == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("gradients", [[[0.0]] * 4, [[1.0], [1.0], [0.0], [0.0]]])
def test_a_gradient_of_zero_leaves_the_factors(gradients: Any) -> None:
    assert GradientNorms().balance(terms(gradients, {"c": 3.0, "d": 1.0})) == {}


def test_training_uses_and_records_them(make_config: MakeConfig) -> None:
    config = make_config(
        {"name": "burgers"},
        weighting={"name": "gradient-norms", "every": 5, "factors": {"initial": 2.0}},
        optimizers=[{"name": "adam", "steps": 12}],
        run={"record": 1},
    )
    run = train(config)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    factors = [row["factor.initial"] for row in rows]
    assert len(set(factors)) == 3  # before the steps 1, 6 and 11
    assert factors[0] == factors[4] != factors[5] == factors[9] != factors[10]
    assert all("factor.burgers" not in row for row in rows)
    row = rows[-1]
    unweighted = row["loss.burgers"] + sum(
        row[f"loss.{name}"] / (fixed * row[f"factor.{name}"])
        for name, fixed in (("initial", 2.0), ("walls", 1.0))
    )
    assert row["loss.unweighted"] == pytest.approx(unweighted, rel=1e-5)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"initail": 1.0}, "balances 'initail'"),
        ({"initial": math.nan}, "with nan"),
        ({"initial": -1.0}, "with -1.0"),
    ],
)
def test_factors_that_cannot_be(
    found: dict[str, float], message: str, make_config: MakeConfig
) -> None:
    @frozen
    class Wrong(Vanilla):
        """Balances what is not there."""

        name = "wrong"

        def balanced_every(self) -> int:
            return 1

        def balance(self, terms: Terms) -> Mapping[str, float]:
            return found

    with offered(Wrong), pytest.raises(PinnError, match=message):
        train(
            make_config(
                {"name": "burgers"},
                weighting={"name": "wrong"},
                optimizers=[{"name": "adam", "steps": 2}],
            )
        )
