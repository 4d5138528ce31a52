"""Stages with points, chunks and factors of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from pinn.core.errors import PinnError
from pinn.engine import Run, load_config, open_run, train
from pinn.engine.configuration.config import Config
from pinn.engine.training import ready
from pinn.engine.training.checkpoint import newest_first, read
from tests.conftest import MakeConfig

HELMHOLTZ = {"name": "helmholtz", "a1": 1, "a2": 1}
STAGES = [
    {"name": "adam", "steps": 3},
    {
        "name": "ss-broyden",
        "steps": 4,
        "interior": 20,
        "redraw": 2,
        "chunk": 7,
        "factors": {"walls": 10.0},
    },
    {"name": "gauss-newton", "steps": 3, "interior": 30},
]


def saved(run: Run) -> dict[str, Any]:
    return read(newest_first(run.path / "checkpoints")[0])


@pytest.fixture
def made(make_config: MakeConfig, tmp_path: Path) -> Any:
    def make(
        name: str,
        stages: list[dict[str, Any]] = STAGES,
        run: Mapping[str, Any] = MappingProxyType({}),
    ) -> Config:
        fixed = {"directory": str(tmp_path / name), "record": 1, "precision": "float64"}
        points = {"sampler": "rad", "interior": 40, "conditions": 8}
        return make_config(HELMHOLTZ, run={**fixed, **run}, points=points, optimizers=stages)

    return make


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_each_stage_has_its_number_of_points(made: Any, stage: int) -> None:
    state = saved(train(made("run", STAGES[:stage])))
    assert len(state["interior"]) == [40, 20, 30][stage - 1]
    assert state["weights"].shape == (1, [40, 20, 30][stage - 1])


def test_points_of_a_stage_are_redrawn_when_it_says_so(made: Any) -> None:
    _, middle, _ = STAGES
    kept = saved(train(made("kept", [{**middle, "redraw": 0, "steps": 3}])))
    moved = saved(train(made("moved", [{**middle, "steps": 3}])))
    assert (kept["draws"], moved["draws"]) == (1, 2)
    assert not torch.equal(kept["interior"], moved["interior"])


def test_factors_of_a_stage_weigh_its_loss(made: Any) -> None:
    """The first loss of a stage, at parameters and points that both runs share."""
    losses = []
    for name, factors in (("one", {"walls": 1.0}), ("ten", {"walls": 10.0})):
        stages = [{"name": "adam", "steps": 3}, {"name": "adam", "steps": 1, "factors": factors}]
        rows = train(made(name, stages)).metrics()
        losses.append(rows["loss.walls"][1])
    assert losses[0][:3] == pytest.approx(losses[1][:3], rel=1e-14)
    assert losses[1][3] == pytest.approx(10 * losses[0][3], rel=1e-12)


def test_chunks_of_a_stage_change_rounding_alone(made: Any) -> None:
    whole, chunks = (
        train(made(name, [{"name": "adam", "steps": 3, "chunk": chunk}]))
        for name, chunk in (("whole", 0), ("chunks", 7))
    )
    assert whole.metrics()["loss"][1] == pytest.approx(chunks.metrics()["loss"][1], rel=1e-10)


@pytest.mark.parametrize("checkpoint", [1, 3])
def test_stages_go_on_exactly_where_they_were_killed(
    made: Any,
    tmp_path: Path,
    checkpoint: int,
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    """In every stage, at its end, and where points are drawn anew."""
    run = {"checkpoint": checkpoint}
    train(made("whole", run=run))
    train_with_crashes(made("parts", run=run), 1, 3, 4, 5, 7, 8)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


def test_the_loss_of_every_stage_is_compiled(
    made: Any,
    train_with_crashes: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a run goes on in a later stage."""
    called: list[str] = []

    def compiler(function: Callable[..., Any], same_points: bool, took: Any) -> Callable[..., Any]:
        def compiled(*arguments: Any) -> Any:
            called.append(getattr(function, "__name__", "rows"))
            return function(*arguments)

        return compiled

    monkeypatch.setattr(ready, "compile_lazily", compiler)
    run = {"checkpoint": 1, "compile": "always"}
    train_with_crashes(made("run", run=run), 3)
    first = called.count("evaluate")
    assert first >= 3
    assert called.count("residuals_alone") > 0, "candidates of rad"
    called.clear()
    train(made("later", run=run))
    assert called.count("rows_of_equations") == 3, "one block a step of gauss-newton"
    losses = [name for name in called if name in ("evaluate", "of_piece")]
    assert len(losses) > 3 + 3 + 3


def test_the_resolved_file_runs_again_with_its_stages(made: Any, tmp_path: Path) -> None:
    train(made("run"))
    again = load_config(tmp_path / "run" / "pinn.toml")
    assert [stage.points.interior for stage in again.stages] == [40, 20, 30]
    assert [dict(stage.factors) for stage in again.stages] == [{}, {"walls": 10.0}, {}]
    assert open_run(tmp_path / "run").complete


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"factors": {"wals": 1.0}}, r"\[\[optimizers\]\] 1 factors wals: .*did you mean 'walls'"),
        ({"factors": {"walls": -1.0}}, r"\[\[optimizers\]\] 1 factors walls: expected at least 0"),
        ({"interior": 0}, r"\[\[optimizers\]\] 1 interior: expected at least 1"),
        ({"redrew": 1}, r"\[\[optimizers\]\] 1 redrew: unknown key .did you mean 'redraw'"),
        ({"sampler": "sobel"}, r"\[\[optimizers\]\] 1 sampler: .*did you mean 'sobol'"),
        ({"inherit": True}, r"\[\[optimizers\]\] 1 inherit: the stage before has no such"),
    ],
)
def test_what_is_wrong_in_a_stage_is_said(made: Any, stage: dict[str, Any], message: str) -> None:
    with pytest.raises(PinnError, match=message):
        train(made("run", [{"name": "adam", "steps": 1, **stage}]))


@pytest.mark.parametrize("other", [{"lr": 1e-2}, {"parameters": "net.0"}])
def test_nothing_is_inherited_from_another_optimizer(made: Any, other: dict[str, Any]) -> None:
    stages = [{"name": "adam", "steps": 1}, {"name": "adam", "steps": 1, "inherit": True, **other}]
    with pytest.raises(PinnError, match=r"2 inherit: the stage before has no such optimizer"):
        made("run", stages)


@pytest.mark.parametrize("name", ["adam", "lbfgs", "ss-broyden"])
def test_two_stages_that_inherit_are_one(made: Any, name: str) -> None:
    """But for the schedule of a learning rate, which each stage begins anew: there is none here."""
    one = {"name": name, "redraw": 0}
    whole = train(made("whole", [{**one, "steps": 6}]))
    parts = train(made("parts", [{**one, "steps": 4}, {**one, "steps": 2, "inherit": True}]))
    anew = train(made("anew", [{**one, "steps": 4}, {**one, "steps": 2}]))
    losses = [run.metrics()["loss"][1].tolist() for run in (whole, parts, anew)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


INHERITED = [
    {"name": "ss-broyden", "steps": 3},
    {"name": "ss-broyden", "steps": 4, "inherit": True, "interior": 30, "sampler": "sobol"},
    {"name": "ss-broyden", "steps": 3, "inherit": True, "redraw": 2},
]


def test_what_is_inherited_survives_a_kill(
    made: Any,
    tmp_path: Path,
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    run = {"checkpoint": 1}
    train(made("whole", INHERITED, run))
    train_with_crashes(made("parts", INHERITED, run), 2, 3, 4, 6, 7, 9)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")


def test_the_points_of_a_stage_are_drawn_by_its_sampler(made: Any) -> None:
    """New ones where the sampler changes, and by that of [points] elsewhere."""
    stage = {"name": "adam", "steps": 2}
    first = saved(train(made("first", [stage])))
    same = saved(train(made("same", [stage, {**stage, "sampler": "rad"}])))
    other = saved(train(made("other", [stage, {**stage, "sampler": "grid", "interior": 49}])))
    assert torch.equal(first["interior"], same["interior"])
    assert len(torch.unique(other["interior"][:, 0])) == 7
