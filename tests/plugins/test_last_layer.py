"""The last layer by least squares: exact for linear equations, and nothing else moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pinn.core import PinnError
from pinn.engine import Config
from pinn.engine.training.build import build
from pinn.engine.training.run import train
from pinn.engine.training.state import initial_state
from pinn.plugins.optimizers.gauss_newton import GaussNewton

pytestmark = pytest.mark.usefixtures("without_results")

MakeConfig = Callable[..., Config]


def trained(make_config: MakeConfig) -> tuple[Config, Any]:
    config = make_config(
        run={"precision": "float64"},
        problem={"name": "helmholtz", "a1": 1, "a2": 1, "hard": True},
        network={"name": "mlp", "width": 12, "depth": 2},
        points={"interior": 100},
        optimizers=[{"name": "gauss-newton", "last_layer": 1, "steps": 1}],
        analyzers=[],
    )
    return config, train(config)


def test_one_step_is_the_least_squares_fit(make_config: MakeConfig) -> None:
    config, run = trained(make_config)
    module, objective, _ = build(config)
    state = initial_state(config, module, 1)
    ((r, j),) = objective.jacobian(objective.parameters, state.points, state.weights, 100)
    last = module[-1]
    size = last.weight.numel() + last.bias.numel()
    fitted = torch.linalg.lstsq(j[:, -size:], -r).solution
    best = float(((r + j[:, -size:] @ fitted) ** 2).sum())
    with torch.no_grad():
        for here, there in zip(module.parameters(), run.network().parameters(), strict=True):
            moved = here.shape in (last.weight.shape, last.bias.shape) and here.numel() in (12, 1)
            assert moved or torch.equal(here, there)
            here.copy_(there.to(here))
    left = objective.weighted_residuals(objective.parameters, state.points, state.weights)
    assert float((left**2).sum()) == pytest.approx(best, rel=1e-4)
    assert best < 0.9 * float((r**2).sum())


def test_a_network_without_a_matrix_is_refused() -> None:
    with pytest.raises(PinnError, match="last_layer, but the network has no matrix"):
        GaussNewton(last_layer=1).build([torch.nn.Parameter(torch.zeros(3))])
