"""Dense methods say what they cannot do: too many parameters, single precision, steps in vain."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from pinn.core import PinnError, Problem
from pinn.engine import Config, check, open_run
from pinn.engine.training import memory
from pinn.engine.training.run import train
from pinn.plugins.optimizers.gauss_newton import GaussNewton
from pinn.plugins.optimizers.self_scaled import SelfScaledBFGS, SelfScaledBroyden
from pinn.testing.small_runs import Killed

DENSE = [GaussNewton, SelfScaledBFGS, SelfScaledBroyden]
MakeConfig = Callable[..., Config]


def parameters(count: int, dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    """So many, which take no memory."""
    numbers = torch.zeros(1, dtype=dtype).expand(count)
    return [torch.nn.Parameter(numbers[: count // 2]), torch.nn.Parameter(numbers[count // 2 :])]


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_gauss_newton_holds_the_smaller_system(parameters: int, residuals: int) -> None:
    held = GaussNewton().holds(parameters, residuals)
    assert 2 * min(parameters, residuals) ** 2 <= held <= 3 * parameters**2
    assert held <= 3 * residuals * parameters


@pytest.mark.parametrize("cls", DENSE[1:])
def test_many_parameters_are_slow(cls: Any) -> None:
    with pytest.warns(UserWarning, match=r"30,000 x 30,000.*9e\+12 operations; faster are .*lbfgs"):
        cls().build(parameters(30_000))


@pytest.mark.parametrize("cls", DENSE)
def test_single_precision_is_advised_against_and_double_is_not(cls: Any) -> None:
    with pytest.warns(UserWarning, match=r'\[run\] precision = "float64"') as told:
        cls().build(parameters(10, torch.float32))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls().build(parameters(10))


@pytest.mark.parametrize(
    ("optimizer", "interior", "needed"),
    [
        ("gauss-newton", 200, 8 * 2 * 67**2),
        ("gauss-newton", 20, 8 * (2 * 28**2 + 28 * 67)),  # 20 points, 4 of each of two conditions
        ("ss-broyden", 200, 8 * 3 * 67**2),
        ("ss-bfgs", 20, 8 * 3 * 67**2),
    ],
)
def test_matrices_fit_up_to_the_last_byte_or_are_refused_before_the_first_step(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    interior: int,
    needed: int,
) -> None:
    """By a check as by a run, in the same words."""
    config = make_config(
        {"name": "burgers"},
        points={"interior": interior, "conditions": 4},
        run={"precision": "float64"},
        optimizers=[{"name": optimizer, "steps": 1}],
    )
    monkeypatch.setattr(memory, "available", lambda device=None: needed)
    check(config)
    monkeypatch.setattr(memory, "available", lambda device=None: needed - 1)
    monkeypatch.setattr(memory, "check_memory", lambda config: None)
    said = []
    for tried in (check, train):
        with pytest.raises(PinnError) as refused:
            tried(config)
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert (
        f"[[optimizers]] 1 {optimizer}: for 67 parameters and {interior + 8} residuals" in said[0]
    )
    assert "lbfgs" in said[0]


@pytest.mark.usefixtures("without_results")
def test_training_goes_on_where_systems_are_singular_and_that_is_told_once_a_stage(
    make_config: MakeConfig,
    offer: Callable[..., None],
    constant: type[Problem],
    crashing: Any,
    tmp_path: Path,
) -> None:
    offer(constant)
    dense_stage = {"name": "gauss-newton", "steps": 4}
    config = make_config(
        {"name": "constant"},
        run={"precision": "float64", "record": 1, "checkpoint": 1},
        optimizers=[dense_stage, {"name": "adam", "steps": 2}, dense_stage],
        analyzers=[{"name": "search", "every": 1}],
    )
    first, then = crashing(3), crashing()

    def told(reporter: Any) -> int:
        return sum(
            "gauss-newton refuses a step: its system is singular" in n for n in reporter.notes
        )

    with pytest.raises(Killed):
        train(config, first)
    assert told(first) == 1
    train(config, then)
    assert told(then) == 1  # the last stage; the first one told already
    steps, refused = open_run(tmp_path / "run").metrics()["search.refused"]
    assert steps.tolist() == [1, 2, 3, 4, 7, 8, 9, 10]
    assert refused.tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
