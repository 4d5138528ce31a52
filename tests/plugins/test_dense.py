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
from pinn.engine import Config, open_run
from pinn.engine.training.run import train
from pinn.plugins.optimizers import dense
from pinn.plugins.optimizers.gauss_newton import GaussNewton
from pinn.plugins.optimizers.self_scaled import SelfScaledBFGS, SelfScaledBroyden
from pinn.testing.small_runs import Killed

CPU = torch.device("cpu")
DENSE = [GaussNewton, SelfScaledBFGS, SelfScaledBroyden]
MakeConfig = Callable[..., Config]


def parameters(count: int, dtype: torch.dtype = torch.float64) -> list[torch.nn.Parameter]:
    """So many, which take no memory."""
    numbers = torch.zeros(1, dtype=dtype).expand(count)
    return [torch.nn.Parameter(numbers[: count // 2]), torch.nn.Parameter(numbers[count // 2 :])]


def limited(monkeypatch: pytest.MonkeyPatch, there: int | None) -> None:
    monkeypatch.setattr(dense, "memory", lambda device: there)


def test_the_memory_of_a_device_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    there = dense.memory(CPU)
    assert there is None or 2**28 < there < 2**48
    assert dense.memory(torch.device("meta")) is None
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 80 * device.index))
    assert dense.memory(torch.device("cuda:1")) == 80


@given(st.integers(1, 19_999), st.integers(1, 4))
def test_matrices_fit_up_to_the_last_byte(unknowns: int, held: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        limited(patch, held * 8 * unknowns**2)
        dense.check_square("any", unknowns, held, CPU)
        limited(patch, held * 8 * unknowns**2 - 1)
        with pytest.raises(PinnError, match=r"this machine has .* GB in all. Choose a narrower"):
            dense.check_square("any", unknowns, held, CPU)
        limited(patch, None)
        dense.check_square("any", unknowns, held, CPU)


@pytest.mark.parametrize("cls", DENSE[1:])
def test_too_many_parameters_are_refused(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 24 * 10**9)
    with pytest.raises(PinnError, match=rf"{cls.name}.*100,000 x 100,000.*240\.0 GB.*24\.0 GB"):
        cls().build(parameters(100_000))


@pytest.mark.parametrize("cls", DENSE[1:])
def test_many_parameters_are_slow(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 10**12)
    with pytest.warns(UserWarning, match=r"30,000 x 30,000.*9e\+12 operations; faster is .*lbfgs"):
        cls().build(parameters(30_000))


@pytest.mark.parametrize("cls", DENSE)
def test_single_precision_is_advised_against_and_double_is_not(cls: Any) -> None:
    with pytest.warns(UserWarning, match=r'\[run\] precision = "float64"') as told:
        cls().build(parameters(10, torch.float32))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls().build(parameters(10))


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize(("interior", "fits"), [(200, False), (20, True)])
def test_gauss_newton_needs_the_matrix_where_residuals_are_many(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, interior: int, fits: bool
) -> None:
    """Of fewer residuals than parameters the other system is solved, which is smaller."""
    limited(monkeypatch, 1000)
    config = make_config(
        {"name": "burgers"},
        points={"interior": interior, "conditions": 4},
        run={"precision": "float64"},
        optimizers=[{"name": "gauss-newton", "steps": 2}],
    )
    if fits:
        train(config)
        return
    with pytest.raises(PinnError, match="gauss-newton' holds 2 matrices of 67 x 67"):
        train(config)


def test_a_run_ends_before_its_first_step_where_matrices_do_not_fit(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, 1000)
    config = make_config({"name": "burgers"}, optimizers=[{"name": "ss-broyden", "steps": 2}])
    with pytest.raises(PinnError, match=r"^optimizer 'ss-broyden' holds 3 matrices of 67 x 67"):
        train(config)


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
