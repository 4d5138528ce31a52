"""Steps that fit their points alone: undone when new points show it, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, Problem, Sampler
from pinn.engine import Config, Run, train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.run import trained
from tests.told import Told

MakeConfig = Callable[..., Config]
Offer = Callable[..., None]


@frozen
class Peak(Problem):
    """u = 20 exp(−30 x), point by point: whoever knows its beginning alone goes wrong elsewhere."""

    name = "peak"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> dict[str, torch.Tensor]:
        return {"value": q.u - 20 * torch.exp(-30 * q.x)}


@frozen
class Sides(Sampler):
    """The left tenth first, then everywhere, which a network that has seen the first does not know."""

    name = "sides"

    def draw(self, box: Box, count: int, generator: np.random.Generator) -> Any:
        return 0.1 * box.uniform(count, generator)

    def redraw(
        self, domain: Any, points: Any, residuals: Any, generator: np.random.Generator
    ) -> Any:
        return domain.uniform(len(points), generator)


@pytest.fixture
def config(make_config: MakeConfig, offer: Offer, tmp_path: Path) -> Callable[..., Config]:
    offer(Peak, Sides)

    def made(steps: int = 130, name: str = "run", **tables: Any) -> Config:
        stage = {"name": "adam", "steps": steps, "lr": 0.02}
        return make_config(
            {"name": "peak"},
            run={"directory": str(tmp_path / name), "precision": "float64", "record": 1},
            **{
                "optimizers": [stage],
                "points": {"sampler": "sides", "interior": 32, "redraw": 100, "undo": 2},
                **tables,
            },
        )

    return made


def parameters(run: Run) -> dict[str, torch.Tensor]:
    module: dict[str, torch.Tensor] = read(newest_first(run.path / "checkpoints")[0])["module"]
    return module


def undone(notes: Told) -> list[str]:
    return [text for text in notes.notes if "undone" in text]


def test_network_and_optimizer_are_as_they_were(config: Callable[..., Config]) -> None:
    with trained(config(100), Told()) as trainer:
        kept = trainer.state.kept
        moved = trainer.state.module.state_dict()
        assert any(not torch.equal(kept["module"][name], moved[name]) for name in moved)
    notes = Told()
    with trained(config(101, "longer"), notes) as trainer:
        (text,) = undone(notes)
        assert text.startswith("step 100: the residual's mean square is ")
        # One step of Adam from the beginning moves no number by more than its rate.
        for name, value in trainer.state.module.state_dict().items():
            assert float((value - kept["module"][name]).abs().max()) <= 0.02 * (1 + 1e-9)
        (state, *_) = trainer.state.optimizer.state.values()
        assert float(state["step"]) == 1
        assert trainer.state.step == 101


@pytest.mark.parametrize(
    "points",
    [
        {"sampler": "sides", "interior": 32, "redraw": 100, "undo": 0},
        {"sampler": "sides", "interior": 32, "redraw": 100, "undo": 1e9},
        {"sampler": "uniform", "interior": 32, "redraw": 100, "undo": 2},
    ],
)  # fmt: skip
def test_other_steps_stay(config: Callable[..., Config], points: dict[str, Any]) -> None:
    notes = Told()
    train(config(points=points), notes)
    assert undone(notes) == []


def test_a_stage_of_its_own_goes_back_to_its_own_beginning(config: Callable[..., Config]) -> None:
    first = {"name": "adam", "steps": 50, "lr": 1e-6, "redraw": 0}
    later = {"name": "adam", "steps": 60, "lr": 0.02, "redraw": 100}
    notes = Told()
    run = train(config(optimizers=[first, later]), notes)
    assert len(undone(notes)) == 1
    alone = train(config(name="first", optimizers=[first]))
    before, behind = parameters(alone), parameters(run)
    for name, value in behind.items():  # ten steps from the beginning
        assert float((value - before[name]).abs().max()) <= 10 * 0.02 * 1.1


@pytest.mark.parametrize("stop", [60, 100, 115])
def test_a_run_that_is_interrupted_goes_on_bitwise(
    config: Callable[..., Config], stop: int
) -> None:
    whole = train(config(name="whole"))
    cut = config(name="cut")
    told = Told()
    with trained(cut, told, stop=lambda: stop in told.steps) as trainer:
        assert trainer.state.step == stop
    again = train(cut)
    for name, value in parameters(whole).items():
        assert torch.equal(value, parameters(again)[name])


@frozen
class Plate(Problem):
    """With one hot wall: a network that knows nothing has no residual, and no wall either."""

    name = "plate"
    fields = ("T",)
    domain = Box(x=(0, 1), y=(0, 1))

    def equations(self, q: Any) -> dict[str, torch.Tensor]:
        return {"heat": q.T_xx + q.T_yy}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("hot", "y=1", lambda q: q.T - 100 * torch.sin(torch.pi * q.x))


def test_steps_that_fit_conditions_stay(make_config: MakeConfig, offer: Offer) -> None:
    offer(Plate)
    notes = Told()
    points = {"interior": 100, "conditions": 20, "redraw": 50, "undo": 2}
    stages = [{"name": "adam", "steps": 120, "lr": 0.02}]
    train(make_config({"name": "plate"}, points=points, optimizers=stages), notes)
    assert undone(notes) == []
