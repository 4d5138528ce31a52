"""Stages in parts of the domain, of parts of the network: windows of time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Ball, Box, Condition, PinnError, Problem, offered
from pinn.engine import Config, check, train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.ready import prepare
from pinn.engine.training.sampling import draw_points
from pinn.plugins.networks.mlp import MLP
from pinn.testing import check_network
from pinn.testing.small_runs import Killed, Killing
from tests.conftest import MakeConfig

pytestmark = pytest.mark.usefixtures("without_results")

BOX = Box(x=(-1, 1), t=(0, 3))
LIKE = torch.zeros((), dtype=torch.float64)


def network(windows: int = 3) -> Any:
    generator = torch.Generator().manual_seed(0)
    return MLP(width=8, depth=2, windows=windows).build(BOX, ("u", "v"), generator).double()


def test_it_is_a_sound_network() -> None:
    check_network(MLP(width=6, depth=2, windows=2, time="x"))


def test_it_is_continuous_where_windows_meet() -> None:
    module, x = network(), torch.linspace(-1, 1, 7, dtype=torch.float64)
    for edge in (1.0, 2.0):
        below, above = (
            module(torch.stack([x, torch.full_like(x, edge + side)], 1)) for side in (-1e-9, 1e-9)
        )
        torch.testing.assert_close(below, above, rtol=0, atol=1e-7)


def test_a_window_moves_nothing_before_it_and_holds_what_is_behind() -> None:
    module = network()
    points = torch.as_tensor(BOX.uniform(60, np.random.default_rng(0)))
    before = module(points).detach()
    with torch.no_grad():
        for parameter in module.windows[1].parameters():
            parameter += 0.1
    change, t = (module(points).detach() - before).abs().amax(1), points[:, 1]
    assert (change[t <= 1] == 0).all()
    assert (change[t > 1] > 0).all()
    late = points[t > 2].clone()
    end = late.clone()
    end[:, 1] = 2.0
    old = network()
    shift = module(late) - old(late)
    torch.testing.assert_close(shift, module(end) - old(end))


def test_a_network_of_one_window_is_the_network() -> None:
    assert not hasattr(network(1), "windows")


STAGES = [
    {
        "name": "adam",
        "steps": 4,
        "redraw": 2,
        "within": {"t": [k / 2, (k + 1) / 2]},
        "parameters": f"windows.{k}",
    }
    for k in (0, 1)
]


@pytest.fixture
def burgers(make_config: MakeConfig, tmp_path: Path) -> Callable[..., Config]:
    def make(name: str = "run", stages: list[dict[str, Any]] = STAGES, **sections: Any) -> Config:
        run = {"directory": str(tmp_path / name), "record": 1, "checkpoint": 1}
        return make_config(
            {"name": "burgers"},
            **{
                "run": {**run, "precision": "float64"},
                "network": {"width": 6, "depth": 2, "windows": 2},
                "optimizers": stages,
                **sections,
            },
        )

    return make


def test_each_stage_trains_its_window_at_points_in_it(burgers: Callable[..., Config]) -> None:
    saved = {}
    for steps, killed in ((4, 5), (5, 6), (8, None)):
        config = burgers(f"after-{steps}")
        if killed is None:
            train(config)
        else:
            with pytest.raises(Killed):
                train(config, Killing(killed))
        saved[steps] = read(newest_first(config.directory / "checkpoints")[0])
    first, second, last = (saved[steps] for steps in (4, 5, 8))
    assert (first["step"], second["step"], last["step"]) == (4, 5, 8)
    t = {steps: saved[steps]["interior"][:, 1] for steps in saved}
    assert (t[4] <= 0.5).all()
    assert (t[5] >= 0.5).all()
    assert (t[8] >= 0.5).all()
    walls = {steps: saved[steps]["conditions"]["walls"][:, 1] for steps in saved}
    assert (walls[4] <= 0.5).all()
    assert (walls[5] >= 0.5).all()
    assert len(walls[4]) == len(walls[5]) == 12
    torch.testing.assert_close(first["conditions"]["initial"], second["conditions"]["initial"])
    for name, value in last["module"].items():
        if name.endswith(("weight", "bias")):
            same = torch.equal(value, first["module"][name])
            assert same == name.startswith("windows.0"), name


@pytest.mark.parametrize("killed", [2, 5])
@pytest.mark.parametrize("optimizer", ["adam", "gauss-newton"])
def test_it_goes_on_as_if_it_had_not_been_killed(
    killed: int, optimizer: str, burgers: Callable[..., Config]
) -> None:
    stages = [{**stage, "name": optimizer} for stage in STAGES]
    whole = train(burgers("whole", stages))
    with pytest.raises(Killed):
        train(burgers("killed", stages), Killing(killed))
    again = train(burgers("killed", stages))
    assert list(whole.metrics()["loss"][1]) == list(again.metrics()["loss"][1])
    one, other = (
        read(newest_first(run.path / "checkpoints")[0])["module"] for run in (whole, again)
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_compiled_it_is_the_same(burgers: Callable[..., Config]) -> None:
    eager = train(burgers("eager")).metrics()["loss"][1]
    options = {"record": 1, "compile": "always", "precision": "float64"}
    path = str(burgers("compiled").directory)
    compiled = train(burgers(run={**options, "directory": path})).metrics()["loss"][1]
    assert list(compiled) == pytest.approx(list(eager), rel=1e-9)


@frozen
class InADisk(Problem):
    """Heat in a disk."""

    name = "in-a-disk"
    domain = Ball(x=0, y=0, radius=1) * Box(t=(0, 1))
    fields = ("u",)

    def equations(self, q: Any) -> Any:
        return {"heat": q.u_t - q.u_xx - q.u_yy}

    def conditions(self) -> Any:
        yield Condition("rim", on="boundary", residual=lambda q: q.u)
        yield Condition("begin", on="t=0", residual=lambda q: q.u - 1)
        yield Condition(
            "there", residual=lambda q: q.u, at={"x": [0, 0], "y": [0, 0], "t": [0.1, 0.9]}
        )


def test_a_part_of_a_shape(make_config: MakeConfig) -> None:
    with offered(InADisk):
        config = make_config(
            {"name": "in-a-disk"},
            optimizers=[{"name": "adam", "steps": 2, "within": {"t": [0.5, 1], "x": [0, 1]}}],
        )
        within = config.stages[0].within
        points = draw_points(config.problem, config.points, 0, LIKE, within)
    inner = points.interior.numpy()
    assert config.problem.domain.inside(inner).all()
    assert (inner[:, 2] >= 0.5).all()
    assert (inner[:, 0] >= 0).all()
    rim = points.conditions["rim"].numpy()
    assert len(rim) == 12
    assert (rim[:, 2] >= 0.5).all()
    np.testing.assert_allclose(np.hypot(rim[:, 0], rim[:, 1]), 1)
    assert points.conditions["there"].tolist() == [[0, 0, 0.9]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"within": {"s": [0, 1]}}, r"\[\[optimizers\]\] 1 within: there is no coordinate 's'"),
        ({"within": {"t": [0.5, 2]}}, r"1 within t: expected an interval in \[0, 1\], found"),
        ({"within": {"t": [0.5, 0.5]}}, "1 within t: expected an interval"),
        ({"within": {"t": 0.5}}, r"\[\[optimizers\]\] 1 within"),
        (
            {"parameters": "window.0"},
            r"1 parameters: no name of a parameter begins with 'window.0'",
        ),
    ],
)
def test_what_is_no_part_is_refused(
    options: dict[str, Any], message: str, burgers: Callable[..., Config]
) -> None:
    with pytest.raises(PinnError, match=message):
        check(burgers(stages=[{"name": "adam", "steps": 2, **options}]))


def test_windows_need_time(make_config: MakeConfig) -> None:
    with pytest.raises(PinnError, match=r"\[network\] time: there is no coordinate 't'"):
        prepare(make_config({"name": "helmholtz"}, network={"windows": 2}))
