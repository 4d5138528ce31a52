"""RUN/tensorboard/: what TensorBoard reads there, after every kind of end and beginning."""

from __future__ import annotations

import errno
import io
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from click.testing import CliRunner
from PIL import Image

from pinn.core import Analyzer, Curves, PinnError, Schedule, TrainingError
from pinn.core.records import Records
from pinn.engine import Config, open_run, train
from pinn.engine.cli import commands
from pinn.engine.training import tensorboard
from pinn.engine.training.run import Run
from pinn.engine.training.tensorboard import TensorBoard

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

MakeConfig = Callable[..., Config]
Scalars = dict[str, list[tuple[int, float]]]

HELMHOLTZ = {"name": "helmholtz", "a1": 1, "a2": 1}
STEPS = 12
SKY = {"weather/sky": [(2, "calm"), (6, "wild"), (10, "calm")]}


@frozen
class Weather(Analyzer):
    """A number, a word that changes twice, an array, and what is not finite."""

    name = "weather"
    schedule = Schedule(every=2, early_every=0)

    def measure(self, view: Any) -> Mapping[str, Any]:
        sky = "calm" if view.step <= 4 or view.step > 8 else "wild"
        return {"wind": view.step / 3, "sky": sky, "map": np.eye(2), "rain": float("nan")}

    def figures(self, records: Records) -> Iterator[Curves]:
        random.random(), np.random.rand(), torch.rand(1)
        yield Curves(name="the wind", title="Wind", quantities={"wind": "w"}, ylabel="m/s")


@pytest.fixture
def configured(make_config: MakeConfig, offer: Callable[..., None], tmp_path: Path) -> MakeConfig:
    """A run with the analyzers `weather` and `error`; keyword arguments extend [run]."""
    offer(Weather)

    def make(name: str = "run", steps: int = STEPS, **run: Any) -> Config:
        directory = {"directory": str(tmp_path / name)}
        return make_config(
            HELMHOLTZ,
            run={**directory, "tensorboard": True, "record": 1, "checkpoint": 5, **run},
            optimizers=[{"name": "adam", "steps": steps}],
            analyzers=[{"name": "weather"}, {"name": "error", "every": 3}],
        )

    return make


def shown(run: Run | Path, plugin: str) -> dict[str, list[tuple[int, Any]]]:
    """{tag: steps and values} as TensorBoard reads a run's folder, nothing thinned."""
    path = run if isinstance(run, Path) else run.path
    found = EventAccumulator(str(path / "tensorboard"), {"tensors": 0}).Reload()
    tags = found.PluginTagToContent(plugin) if plugin in found.ActivePlugins() else {}
    return {t: [(e.step, make_ndarray(e.tensor_proto)) for e in found.Tensors(t)] for t in tags}


def scalars(run: Run | Path) -> Scalars:
    return {
        tag: [(step, float(value)) for step, value in events]
        for tag, events in shown(run, "scalars").items()
    }


def texts(run: Run | Path) -> dict[str, list[tuple[int, str]]]:
    return {
        tag: [(step, value.item().decode()) for step, value in events]
        for tag, events in shown(run, "text").items()
    }


def images(run: Run | Path) -> dict[str, list[int]]:
    return {tag: [step for step, _ in events] for tag, events in shown(run, "images").items()}


def recorded(run: Run | Path) -> Scalars:
    """Every number in metrics.jsonl, under the name that it has on TensorBoard."""
    path = run if isinstance(run, Path) else run.path
    sources = {"wind": "weather", "rel_l2": "error", "rel_l2.u": "error", "linf.u": "error"}
    expected: Scalars = {}
    for row in Records(path / "metrics.jsonl").rows:
        for name, value in row.items():
            if isinstance(value, int | float) and name != "step":
                tag = f"{sources.get(name, 'training')}/{name}"
                expected.setdefault(tag, []).append((row["step"], float(np.float32(value))))
    return expected


def files(run: Run) -> list[Path]:
    return sorted((run.path / "tensorboard").iterdir())


@pytest.mark.usefixtures("without_results")
def test_every_number_is_a_curve_of_the_analyzer_that_measured_it(configured: MakeConfig) -> None:
    run = train(configured())
    found = scalars(run)
    assert found == recorded(run)
    assert [step for step, _ in found["training/loss"]] == list(range(1, STEPS + 1))
    assert [step for step, _ in found["weather/wind"]] == [2, 4, 6, 8, 10, 12]
    assert found.keys() >= {"training/loss.helmholtz", "training/learning_rate", "error/rel_l2.u"}


@pytest.mark.usefixtures("without_results")
def test_a_word_is_a_text_where_it_changes_and_arrays_are_left_out(configured: MakeConfig) -> None:
    run = train(configured())
    assert texts(run) == SKY
    assert not {"weather/map", "weather/rain", "weather/sky"} & {*scalars(run)}


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("crashes", [(7,), (3,), (8, 8), (7, 11, 12)])
def test_a_killed_run_has_every_step_once(
    configured: MakeConfig, train_with_crashes: Callable[..., None], crashes: tuple[int, ...]
) -> None:
    config = configured()
    train_with_crashes(config, *crashes)
    run = open_run(config.directory)
    assert scalars(run) == recorded(run)
    assert texts(run) == SKY
    assert len(files(run)) == 1 + len(crashes)


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("cut", [1, 30, 200])
def test_an_event_that_a_kill_cut_short_is_written_again(
    configured: MakeConfig, train_with_crashes: Callable[..., None], cut: int
) -> None:
    config = configured()
    train_with_crashes(config, 8)
    run = open_run(config.directory)
    killed, _ = files(run)
    killed.write_bytes(killed.read_bytes()[:-cut])
    assert scalars(run) == recorded(run)


@pytest.mark.usefixtures("without_results")
def test_training_on_continues_the_curves(configured: MakeConfig) -> None:
    run = train(configured(steps=6)).train(more_steps=6)
    assert scalars(run) == recorded(run)
    assert [step for step, _ in scalars(run)["training/loss"]] == list(range(1, 13))
    train(run.config)
    assert len(files(run)) == 2, "nothing was trained"


@pytest.mark.usefixtures("without_results")
def test_what_was_recorded_before_the_option_was_set_is_made_up_for(
    configured: MakeConfig,
) -> None:
    without = train(configured(steps=7, tensorboard=False))
    assert not (without.path / "tensorboard").exists()
    run = train(configured())
    assert scalars(run) == recorded(run)
    assert texts(run) == SKY


@pytest.mark.draws
@pytest.mark.usefixtures("without_results")
def test_training_is_bitwise_the_same_with_and_without(
    configured: MakeConfig,
    assert_same_runs: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tensorboard, "FIRST_FIGURES", 8)
    plain = train(configured("plain", tensorboard=False))
    followed = train(configured("followed"))
    assert images(followed)["figures/the-wind"] == [8, 12]
    assert_same_runs(plain.path, followed.path)


@pytest.mark.draws
def test_figures_are_those_that_analyzers_declare_and_in_the_end_those_of_the_report(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "FIRST_FIGURES", 10)
    run = train(configured())
    assert images(run) == {
        "figures/loss": [10, 12],
        "figures/the-wind": [10, 12],
        "figures/error": [10, 12],
        "figures/solution": [12],
    }
    _, (width, height, png) = shown(run, "images")["figures/the-wind"][-1]
    assert png == (run.path / "figures" / "the-wind.png").read_bytes()
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (int(width), int(height))
    train(run.config)
    assert images(run)["figures/loss"] == [10, 12], "nothing was trained"


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("crashes", [(), (17,), (9, 34)])
def test_figures_are_drawn_at_steps_that_double(
    configured: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    train_with_crashes: Callable[..., None],
    crashes: tuple[int, ...],
) -> None:
    drawn: set[int] = set()

    def draw(board: TensorBoard) -> list[Path]:
        drawn.add(board.state.step)
        return []

    monkeypatch.setattr(tensorboard, "FIRST_FIGURES", 4)
    monkeypatch.setattr(TensorBoard, "_drawn", draw)
    config = configured(steps=70, record=1000, checkpoint=16)
    config = evolve(
        config, observers=tuple(evolve(o, schedule=Schedule(3, 0)) for o in config.observers)
    )
    train_with_crashes(config, *crashes)
    assert drawn == {6, 9, 18, 33, 66}, "with the first rows at or behind 4, 8, 16, 32 and 64"


@pytest.mark.usefixtures("without_results")
def test_the_option_does_not_make_it_another_run(configured: MakeConfig) -> None:
    run = train(configured(steps=4, tensorboard=False))
    old = run.path / "pinn.toml"  # of a version that did not know the option
    old.write_text(old.read_text().replace("tensorboard = false\n", ""))
    train(configured(steps=6))
    assert train(configured(steps=8, tensorboard=False)).metrics()["loss"][0][-1] == 8


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == "tensorboard" or name == "pinn.engine.training.event_file":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


@pytest.mark.usefixtures("not_installed")
def test_without_the_package_nothing_begins(configured: MakeConfig) -> None:
    config = configured()
    with pytest.raises(PinnError, match=r"^\[run\] tensorboard = true needs the package") as fault:
        train(config)
    assert str(fault.value).endswith("pip install 'pinn-dynamics[tensorboard]'")
    assert not config.directory.exists()


@pytest.mark.usefixtures("not_installed", "without_results")
def test_the_message_on_the_command_line_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pinn.toml"
    file.write_text(
        "[run]\ntensorboard = true\n[problem]\nname = 'burgers'\n"
        "[[optimizers]]\nname = 'adam'\nsteps = 1\n"
    )
    found = CliRunner().invoke(commands, ["run", str(file)])
    assert found.exit_code == 2
    assert found.stderr.startswith(f"error: {file}: [run] tensorboard = true needs the package")


@pytest.mark.usefixtures("without_results", "not_installed")
def test_without_the_option_the_package_is_not_needed(configured: MakeConfig) -> None:
    assert train(configured(tensorboard=False)).metrics()["loss"][0][-1] == STEPS


@pytest.mark.usefixtures("without_results")
def test_a_full_disk_is_said_and_the_run_continues(
    configured: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured()
    opened = Path.open

    def full(path: Path, *arguments: Any, **named: Any) -> Any:
        if "tfevents" in path.name and len(Records(config.directory / "metrics.jsonl").rows) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(TrainingError, match=r"tfevents.*: cannot be written: the disk is full"):
            train(config)
    run = train(config)
    assert scalars(run) == recorded(run)
