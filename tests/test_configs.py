"""The configuration files that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

import pinn.plugins.commands
from pinn.engine import load_config, train

ROOT = Path(__file__).parents[1]
PAPER = sorted((ROOT / "configs").glob("*.toml"))


def test_all_four_problems_come_with_both_weightings() -> None:
    problems = ("allen-cahn", "burgers", "cavity", "helmholtz")
    expected = sorted(f"{problem}-{w}" for problem in problems for w in ("rba", "vanilla"))
    assert [path.stem for path in PAPER] == expected


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_papers_set_up_trains(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    assert (config.steps, config.table()["network"]["width"]) == (300_000, 128)
    short = [
        f"run.directory={tmp_path / 'run'}",
        "run.device=cpu",
        "points.interior=64",
        "network.width=8",
        "optimizers.0.steps=3",
    ]
    losses = train(load_config(path, short)).metrics()["loss"][1]
    assert losses[-1] > 0


def test_init_writes_the_shipped_configuration() -> None:
    template = Path(pinn.plugins.commands.__file__).parent / "templates" / "pinn.toml"
    shipped = ROOT / "pinn.toml"
    assert template.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_shipped_configuration_reaches_one_percent(tmp_path: Path) -> None:
    run = train(load_config(ROOT / "pinn.toml", [f"run.directory={tmp_path / 'run'}"]))
    assert run.metrics()["rel_l2.u"][1][-1] < 1e-2
