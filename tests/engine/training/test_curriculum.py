"""Stages with options of the problem of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pinn.core.errors import PinnError
from pinn.engine import check, train
from pinn.engine.configuration.config import Config
from tests.conftest import MakeConfig

BURGERS = {"name": "burgers", "viscosity": 0.02}
STAGES = [
    {"name": "adam", "steps": 4, "problem": {"viscosity": 0.1}},
    {"name": "ss-broyden", "steps": 3, "redraw": 2, "problem": {"viscosity": 0.05}},
    {"name": "adam", "steps": 3},
]


@pytest.fixture
def made(make_config: MakeConfig, tmp_path: Path) -> Any:
    def make(
        name: str,
        stages: list[dict[str, Any]] = STAGES,
        problem: Mapping[str, Any] = MappingProxyType(BURGERS),
        run: Mapping[str, Any] = MappingProxyType({}),
    ) -> Config:
        return make_config(
            dict(problem),
            run={"directory": str(tmp_path / name), "record": 1, "precision": "float64", **run},
            points={"interior": 30, "conditions": 6},
            optimizers=stages,
            analyzers=[{"name": "error", "at": [1]}],
        )

    return make


def losses(config: Config) -> list[float]:
    return list(train(config).metrics()["loss.burgers"][1])


def test_each_stage_solves_its_own_problem(made: Any) -> None:
    """The first step of a stage sees the parameters that the stage before left."""
    easy = {"name": "adam", "steps": 4}
    last = {"name": "adam", "steps": 1}
    first = losses(made("first", [easy], {**BURGERS, "viscosity": 0.1}))
    found = losses(made("both", [{**easy, "problem": {"viscosity": 0.1}}, last]))
    other = losses(made("one", [easy, last]))
    assert found[:4] == first
    assert found[4] not in first
    assert found[:4] != other[:4]


def test_the_error_is_that_of_the_problem_of_the_run(made: Any) -> None:
    """Whichever a stage solves: the same network is as far from the solution."""
    stages = [{"name": "adam", "steps": 1, "lr": 1e-12, "problem": {"viscosity": 0.5}}]
    changed = train(made("changed", stages)).metrics()["rel_l2"][1]
    plain = train(made("plain", [{"name": "adam", "steps": 1, "lr": 1e-12}])).metrics()["rel_l2"][1]
    assert changed == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("checkpoint", [1, 3])
def test_a_killed_run_goes_on_with_the_problem_that_it_was_at(
    made: Any,
    tmp_path: Path,
    checkpoint: int,
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    run = {"checkpoint": checkpoint}
    train(made("whole", run=run))
    train_with_crashes(made("parts", run=run), 1, 4, 5, 7, 8)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (BURGERS, {"viscosty": 1}, r"\[\[optimizers\]\] 1 problem viscosty: unknown key"),
        (
            BURGERS,
            {"viscosity": -1},
            r"\[\[optimizers\]\] 1 problem viscosity: expected at least 0.001",
        ),
        (
            BURGERS,
            {"name": "helmholtz"},
            "1 problem name: a stage may set other options of the same",
        ),
        (BURGERS, {"hard": True}, "1 problem: with it the conditions are none, and otherwise"),
        ({"name": "cavity"}, {"formulation": "velocity"}, "would change the fields or the domain"),
    ],
)
def test_what_a_stage_may_not_change(
    made: Any, problem: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(PinnError, match=message):
        check(made("refused", [{"name": "adam", "steps": 1, "problem": options}], problem))


def test_the_configuration_keeps_what_the_stages_change(made: Any) -> None:
    config = made("kept")
    assert [stage.problem.viscosity for stage in config.stages] == [0.1, 0.05, 0.02]
    assert config.table()["optimizers"][0]["problem"] == {"viscosity": 0.1}
    assert "problem" not in config.table()["optimizers"][2]
