"""Burgers between walls that are the network's: zero there for an odd and periodic one alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pinn.engine import Config
from pinn.engine.training.ready import prepare

MakeConfig = Callable[..., Config]
PARITY = {"odd": ["x"], "periodic": ["x"], "modes": 3}


@pytest.mark.parametrize("network", [PARITY, {**PARITY, "odd": []}, {**PARITY, "periodic": []}])
def test_the_walls_hold(make_config: MakeConfig, network: dict[str, Any]) -> None:
    config = make_config(
        {"name": "burgers", "hard": True, "hard_walls": False},
        network=network,
        run={"precision": "float64"},
    )
    module, objective, _ = prepare(config)
    assert [*objective.conditions] == ["walls"]
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    points = torch.cat([torch.stack([end * torch.ones_like(t), t], 1) for end in (-1, 1)])
    found = float(objective.conditions["walls"](module, points).detach().abs().max())
    assert (found < 1e-14) == (network == PARITY)
