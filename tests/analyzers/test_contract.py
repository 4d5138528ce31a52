"""Every registered analyzer is a pure observer whose quantities can be recorded."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import pytest
import torch

from pinn.core import Config, train
from pinn.core.registry import registry

MakeConfig = Callable[..., Config]

ANALYZERS = [part.cls for part in registry().parts("analyzer")]
PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 2}


def final_parameters(config: Config) -> dict[str, torch.Tensor]:
    return train(config).network().state_dict()


@pytest.fixture
def variants(make_config: MakeConfig) -> Callable[..., Config]:
    def make(directory: str, analyzers: list[dict[str, Any]], sampler: str = "lhs") -> Config:
        config = make_config(
            PROBLEM,
            run={"seed": 3},
            points={"sampler": sampler, "redraw": 2},
            weighting={"name": "rba", "eta": 0.1},
            optimizers=[{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 2}],
            analyzers=analyzers,
        )
        return config.in_directory(config.directory / directory)

    return make


@pytest.mark.parametrize("cls", ANALYZERS, ids=lambda cls: cls.name)
def test_analyzers_do_not_change_training(cls: type[Any], variants: Callable[..., Config]) -> None:
    without = final_parameters(variants("without", []))
    observed = final_parameters(variants("with", [{"name": cls.name, "every": 1}]))
    assert without.keys() == observed.keys()
    assert all(torch.equal(without[name], observed[name]) for name in without)


def test_all_analyzers_together_do_not_change_training(variants: Callable[..., Config]) -> None:
    every = [{"name": cls.name, "every": 1 + i} for i, cls in enumerate(ANALYZERS)]
    without = final_parameters(variants("without", []))
    observed = final_parameters(variants("with", every))
    assert all(torch.equal(without[name], observed[name]) for name in without)


@pytest.mark.parametrize("cls", ANALYZERS, ids=lambda cls: cls.name)
def test_what_is_measured_is_recorded_at_its_steps(
    cls: type[Any], variants: Callable[..., Config]
) -> None:
    run = train(variants("run", [{"name": cls.name, "every": 2}]))
    before = train(variants("bare", [])).metrics()
    found = {name: series for name, series in run.metrics().items() if name not in before}
    assert found
    for name, (steps, values) in found.items():
        assert name.isascii()
        assert set(steps) <= {2, 4, 6}
        assert steps[-1] == 6 or name.startswith("adam")
        assert np.isfinite(values.astype(float)).all()
    if cls.shows is not None:
        assert cls.shows in found


@pytest.mark.parametrize("cls", ANALYZERS, ids=lambda cls: cls.name)
def test_the_value_shown_is_a_number(cls: type[Any], variants: Callable[..., Config]) -> None:
    run = train(variants("run", [{"name": cls.name, "every": 6}]))
    if cls.shows is not None:
        assert isinstance(run.summary["final"][cls.shows], Real)
