"""What running does not change, nor is changed by: generators, formats, folders, plugins."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Measurements, PinnError, Problem, offered
from pinn.engine import (
    Config,
    Run,
    check,
    load_config,
    open_run,
    parse_config,
    prepare,
    train,
)
from pinn.testing.probes.differences import first_difference
from pinn.testing.small_runs import Killed, Killing

MakeConfig = Callable[..., Config]
PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 1}


@frozen
class Noisy(Problem):
    """u' = −u from data with noise of the global generator, drawn whenever the data are asked for."""

    name = "noisy"
    fields = ("u",)
    domain = Box(t=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"decay": q.u_t + q.u}

    def conditions(self) -> Iterator[Measurements]:
        t = np.linspace(0, 1, 20)
        noise = np.random.normal(size=20) + random.random() + float(torch.rand(()))
        yield Measurements("data", {"t": t}, {"u": np.exp(-t) + 0.05 * noise})


@frozen
class Telling(Problem):
    """u' = −u, which notes how matrices are multiplied where it is asked."""

    name = "telling"
    fields = ("u",)
    domain = Box(t=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        told.append(torch.get_float32_matmul_precision())
        return {"decay": q.u_t + q.u}


told: list[str] = []


@pytest.mark.parametrize(("tf32", "expected"), [(False, "highest"), (True, "high")])
def test_single_precision_is_whole_unless_the_run_asks_for_less(
    tf32: bool, expected: str, tmp_path: Path, offer: Callable[..., None], without_results: None
) -> None:
    """Whatever the program that trains has set for itself, which stays."""
    offer(Telling)
    theirs = "medium"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(theirs)
    told.clear()
    try:
        asked = table(tmp_path / "run", problem={"name": "telling"})
        train(parse_config(asked | {"run": asked["run"] | {"tf32": tf32}}))
        assert {*told} == {expected}
        assert torch.get_float32_matmul_precision() == theirs
    finally:
        torch.set_float32_matmul_precision(before)


def generators() -> list[Any]:
    numpy = np.random.get_state(legacy=False)
    assert isinstance(numpy, dict)
    words = numpy["state"]["key"].tolist()
    return [random.getstate(), words, str(numpy), torch.get_rng_state()]


def table(folder: Path, **sections: Any) -> dict[str, Any]:
    return {
        "run": {"directory": str(folder), "device": "cpu", "compile": "never", "record": 1},
        "problem": {"name": "noisy"},
        "network": {"width": 6, "depth": 1},
        "points": {"interior": 16, "conditions": 4},
        "optimizers": [{"name": "adam", "steps": 3}],
        **sections,
    }


def test_global_generators_are_as_before(
    tmp_path: Path, offer: Callable[..., None], without_results: None
) -> None:
    offer(Noisy)
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(7)
    before = generators()

    def unchanged() -> bool:
        return first_difference(before, generators()) is None

    config = parse_config(table(tmp_path / "run"))
    assert unchanged()
    check(config)
    prepare(config)
    assert unchanged()
    run = train(config)
    assert unchanged()
    run.predict(t=[0.5])
    run.on_grid()
    run.train(2)
    assert unchanged()


def test_they_are_as_before_where_training_fails(make_config: MakeConfig) -> None:
    np.random.seed(3)
    before = generators()
    with pytest.raises(Killed):
        train(make_config(PROBLEM), Killing(2))
    assert first_difference(before, generators()) is None


def test_nor_does_it_matter_how_they_are(
    tmp_path: Path,
    offer: Callable[..., None],
    assert_same_runs: Callable[[Path, Path], None],
    without_results: None,
) -> None:
    offer(Noisy)
    for seed in (1, 2):
        for seeded in (random.seed, np.random.seed, torch.manual_seed):
            seeded(seed)
        train(parse_config(table(tmp_path / str(seed))))
    assert_same_runs(tmp_path / "1", tmp_path / "2")


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_format_that_torch_draws_numbers_in_does_not_matter(
    precision: str,
    make_config: MakeConfig,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    without_results: None,
) -> None:
    config = make_config(PROBLEM, run={"precision": precision, "record": 1})
    runs = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            runs.append(train(config.in_directory(tmp_path / str(dtype))))
            at = runs[-1].predict(x=0.3, y=0.3)["u"]
            assert torch.get_default_dtype() == dtype
        finally:
            torch.set_default_dtype(torch.float32)
        assert at == runs[0].predict(x=0.3, y=0.3)["u"]
    assert_same_runs(*(run.path for run in runs))


def test_numbers_are_drawn_in_the_precision_of_the_run(make_config: MakeConfig) -> None:
    module, _, _ = prepare(make_config(PROBLEM, run={"precision": "float64"}))
    weight = module.state_dict()["1.weight"]
    assert not torch.equal(weight, weight.float().double())


def test_gradients_that_are_switched_off_do_not_matter(
    make_config: MakeConfig, without_results: None
) -> None:
    with torch.no_grad():
        assert len(train(make_config(PROBLEM, run={"record": 1})).metrics()["loss"][0]) == 5
        assert not torch.is_grad_enabled()


# the working directory


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    return lambda: monkeypatch.chdir(tmp_path / "elsewhere")


def relative(make_config: MakeConfig, **run: Any) -> Config:
    return make_config(PROBLEM, run={"directory": "runs/a", "record": 1, **run})


class Leaving(Killing):
    """Leaves the working directory after a step."""

    def __init__(self, leave: Callable[[], None]) -> None:
        super().__init__(None)
        self.leave = leave

    def step(self, step: int, loss: float, shown: Any) -> None:
        if step == 2:
            self.leave()


@pytest.mark.parametrize("when", ["parsed", "training"])
def test_a_run_stays_in_its_directory(
    when: str, elsewhere: Callable[[], None], make_config: MakeConfig, tmp_path: Path
) -> None:
    config = relative(make_config, checkpoint=1)
    if when == "parsed":
        elsewhere()
        run = train(config)
    else:
        run = train(config, Leaving(elsewhere))
    assert run.path == tmp_path / "runs/a"
    assert {path.name for path in run.path.iterdir()} >= {"metrics.jsonl", "report.html"}
    assert [*(tmp_path / "elsewhere").iterdir()] == []
    assert len(run.metrics()["loss"][0]) == 5
    assert run.train(1).path == run.path


def test_an_open_run_stays_open(
    elsewhere: Callable[[], None], make_config: MakeConfig, without_results: None
) -> None:
    train(relative(make_config))
    run = open_run("runs/a")
    elsewhere()
    assert run.predict(x=0, y=0)
    assert run.metrics()


def test_a_loaded_file_stays_where_it_was(
    elsewhere: Callable[[], None], tmp_path: Path, without_results: None
) -> None:
    Path("pinn.toml").write_text(
        '[run]\ndevice = "cpu"\ncompile = "never"\n[problem]\nname = "helmholtz"\n'
        '[points]\ninterior = 16\nconditions = 4\n[[optimizers]]\nname = "adam"\nsteps = 1\n'
    )
    config = load_config("pinn.toml")
    elsewhere()
    assert train(config).path == tmp_path / "runs/pinn"


# a part that is known for a while


def test_a_configuration_in_hand_is_trained_as_it_is(tmp_path: Path) -> None:
    with offered(Noisy):
        config = parse_config(table(tmp_path / "run", analyzers=[{"name": "snr", "every": 1}]))
    run = train(config)
    assert run.complete
    assert run.config is config
    assert run.predict(t=0.5)["u"].shape == ()


def test_measurements_are_read_without_the_plugin(tmp_path: Path, without_results: None) -> None:
    with offered(Noisy):
        train(parse_config(table(tmp_path / "run")))
    run: Run = open_run(tmp_path / "run")
    assert len(run.metrics()["loss"][0]) == 3
    assert run.frame()["loss"].notna().all()
    for attempt in (lambda: run.config, run.network):
        with pytest.raises(PinnError, match="no problem is called 'noisy'"):
            attempt()
