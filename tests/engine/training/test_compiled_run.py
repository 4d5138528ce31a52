"""Compiled runs resume as exactly as eager ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pinn.engine import load_config, train

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_compiled_run_that_was_interrupted_ends_bitwise_the_same(tmp_path: Path) -> None:
    def run(name: str, adam: int, lbfgs: int) -> list[torch.Tensor]:
        overrides = [
            f"run.directory={tmp_path / name}",
            "run.compile=always",
            "run.device=cpu",
            "points.interior=512",
            f"optimizers.0.steps={adam}",
            f"optimizers.1.steps={lbfgs}",
        ]
        network = train(load_config(ROOT / "pinn.toml", overrides)).network()
        return [parameter.detach() for parameter in network.parameters()]

    run("interrupted", 30, 7)
    torch._dynamo.reset()
    continued = run("interrupted", 30, 20)
    torch._dynamo.reset()
    straight = run("straight", 30, 20)
    assert all(torch.equal(a, b) for a, b in zip(continued, straight, strict=True))
