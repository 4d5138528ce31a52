"""A run that starts from another run's network, and the network of the best checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve, frozen

from pinn.core import Box, PinnError, Problem, Unknown
from pinn.engine import Config, Run, check, load_config, open_run, prepare, train
from pinn.engine.training.checkpoint import newest_first, read, read_best
from pinn.testing.small_runs import Killed, Killing

MakeConfig = Callable[..., Config]
PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 1}


@frozen
class Decay(Problem):
    """u' = −k u with an unknown k, and an unknown c > 0 besides where it is wanted."""

    name = "decay"
    fields = ("u",)
    domain = Box(t=(0, 1))

    start: float = 0.5
    positive: bool = False
    further: bool = False

    def unknowns(self) -> Mapping[str, Unknown]:
        further = {"c": Unknown(2.0, positive=True)} if self.further else {}
        return {"k": Unknown(self.start, positive=self.positive), **further}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"decay": q.u_t + q.k * q.u + (q.c * q.u if self.further else 0)}


@pytest.fixture
def first(make_config: MakeConfig, tmp_path: Path, without_results: None) -> Run:
    config = make_config(
        PROBLEM, run={"checkpoint": 2}, optimizers=[{"name": "adam", "steps": 6, "lr": 1e-2}]
    )
    return train(config.in_directory(tmp_path / "first"))


@pytest.fixture
def second(make_config: MakeConfig, first: Run, tmp_path: Path) -> Callable[..., Config]:
    def make(**sections: Any) -> Config:
        network = sections.pop("network", {})
        run = sections.pop("run", {})
        return make_config(
            sections.pop("problem", PROBLEM),
            run={"seed": 5, "directory": str(tmp_path / "second"), **run},
            network={"start": str(tmp_path / "first"), **network},
            **sections,
        )

    return make


def parameters(run: Run, step: int) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read(run.path / f"checkpoints/step-{step:09d}.pt")["module"]
    return found


def best(run: Run) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = read_best(run.path / "checkpoints")["module"]
    return found


def same(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# a start


def test_it_begins_with_the_parameters_of_the_best_checkpoint(
    second: Callable[..., Config], first: Run, crashing: type[Any]
) -> None:
    reporter = crashing(1)
    with pytest.raises(Killed):
        train(second(), reporter)
    run = open_run(second().directory)
    assert same(parameters(run, 0), best(first))
    begun = read(run.path / "checkpoints/step-000000000.pt")
    assert not begun["optimizer"]["state"]
    points = read(newest_first(first.path / "checkpoints")[0])["interior"]
    assert not torch.equal(begun["interior"], points)
    assert any(f"starting from the network of {first.path}, as it was" in n for n in reporter.notes)


def test_prepared_it_is_the_same_function(second: Callable[..., Config], first: Run) -> None:
    module, _, evaluator = prepare(second())
    points = np.array([[0.3, -0.2], [0.9, 0.9]])
    expected = open_run(first.path, best=True).predict(points)
    np.testing.assert_array_equal(evaluator.at(module, points)["u"], expected["u"])


def test_a_run_that_goes_on_does_not_read_it_again(
    second: Callable[..., Config],
    first: Run,
    assert_same_runs: Callable[[Path, Path], None],
    tmp_path: Path,
) -> None:
    config = second(
        run={"record": 1},
        optimizers=[{"name": "adam", "steps": 5, "until": "rel_l2 < 1e-9"}],
        analyzers=[{"name": "error", "every": 1}],
    )
    whole = config.in_directory(tmp_path / "whole")
    train(whole)
    with pytest.raises(Killed):
        train(config, Killing(2))
    shutil.rmtree(first.path)
    check(config)
    train(config)
    assert_same_runs(whole.directory, config.directory)
    assert open_run(config.directory).predict(x=0.1, y=0.1)["u"].shape == ()


def test_it_is_part_of_what_the_run_is(
    second: Callable[..., Config], make_config: MakeConfig, first: Run, tmp_path: Path
) -> None:
    train(second())
    without = make_config(PROBLEM, run={"seed": 5, "directory": str(tmp_path / "second")})
    with pytest.raises(PinnError, match=r"network\.start: '\.\./first' there, absent here"):
        train(without)


def test_what_was_written_goes_on_wherever_all_of_it_was_moved(
    second: Callable[..., Config], tmp_path: Path, first: Run
) -> None:
    train(second())
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tmp_path / "first", moved / "first")
    shutil.move(tmp_path / "second", moved / "second")
    config = load_config(moved / "second/pinn.toml")
    assert config.start == moved / "first"
    assert train(config).path == moved / "second"
    again = load_config(moved / "second/pinn.toml", [f"run.directory={tmp_path / 'again'}"])
    assert same(parameters(train(again), 5), parameters(open_run(moved / "second"), 5))


def test_a_path_is_seen_from_the_file(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs/pinn.toml"
    file.write_text(
        '[problem]\nname = "helmholtz"\n[network]\nstart = "../first"\n'
        '[[optimizers]]\nname = "adam"\nsteps = 1\n'
    )
    monkeypatch.chdir(tmp_path / "configs")
    config = load_config("pinn.toml")
    monkeypatch.chdir("/")
    assert config.start == first.path


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ({"width": 8}, r"'1\.weight' has shape \(6, 2\) there, \(8, 2\) here"),
        ({"depth": 1}, r"'3\.weight' has shape \(6, 6\) there, \(1, 6\) here"),
        ({"depth": 3}, r"'5\.weight' has shape \(1, 6\) there, \(6, 6\) here"),
        ({"name": "modified-mlp"}, r"it has no '\S+'"),
    ],
)
def test_another_network_is_refused_by_what_differs_first(
    network: dict[str, Any], told: str, second: Callable[..., Config], first: Run
) -> None:
    message = rf"^\[network\] start: {first.path}: its network is another one: {told}; give both"
    for attempt in (train, check, prepare):
        with pytest.raises(PinnError, match=message):
            attempt(second(network=network))


def test_what_is_no_start(second: Callable[..., Config], tmp_path: Path, first: Run) -> None:
    with pytest.raises(PinnError, match=r"\[network\] start: .*nowhere: is not a run directory"):
        train(second(network={"start": str(tmp_path / "nowhere")}))
    with pytest.raises(PinnError, match=r"\[network\] start: expected the name of a directory"):
        second(network={"start": " "})
    best_file = first.path / "checkpoints/best.pt"
    best_file.write_bytes(best_file.read_bytes()[:-1])
    with pytest.raises(PinnError, match=r"\[network\] start: .*best\.pt: is damaged"):
        train(second())
    best_file.unlink()
    with pytest.raises(PinnError, match=r"\[network\] start: .*first: has no best\.pt yet"):
        train(second())


def test_it_may_be_of_another_precision(second: Callable[..., Config], first: Run) -> None:
    module, _, _ = prepare(second(run={"precision": "float64"}))
    assert {p.dtype for p in module.parameters()} == {torch.float64}
    expected = {name: value.double() for name, value in best(first).items()}
    assert same({n: v.double() for n, v in module.state_dict().items()}, expected)


@pytest.mark.parametrize("positive", [False, True])
def test_unknowns_of_the_same_name_come_along(
    positive: bool,
    make_config: MakeConfig,
    tmp_path: Path,
    offer: Callable[..., None],
    without_results: None,
) -> None:
    offer(Decay)
    found = train(make_config({"name": "decay"}, optimizers=[{"name": "adam", "steps": 3}]))
    k = float(best(found)["unknown_k"])
    assert k != 0.5
    problem = {"name": "decay", "positive": positive, "further": True, "start": 0.25}
    config = make_config(problem, network={"start": str(found.path)})
    module, _, _ = prepare(evolve(config, start=found.path).in_directory(tmp_path / "b"))
    parameters = dict(module.named_parameters())
    own = parameters["unknown_k"].detach()
    assert float(own.exp() if positive else own) == pytest.approx(k, rel=1e-6)
    assert float(parameters["unknown_c"].detach().exp()) == pytest.approx(2.0)


def test_a_negative_unknown_does_not_become_positive(
    make_config: MakeConfig, offer: Callable[..., None], without_results: None
) -> None:
    offer(Decay)
    found = train(make_config({"name": "decay", "start": -0.5}))
    problem = {"name": "decay", "positive": True}
    with pytest.raises(PinnError, match=r"its unknown 'k' is -0\.\d+, and is positive here"):
        prepare(make_config(problem, network={"start": str(found.path)}))


# the best


def test_the_best_network_predicts(make_config: MakeConfig, without_results: None) -> None:
    run = train(
        make_config(
            PROBLEM, run={"checkpoint": 1}, optimizers=[{"name": "adam", "steps": 8, "lr": 0.5}]
        )
    )
    of_best, newest = open_run(run.path, best=True), open_run(run.path)
    assert read_best(run.path / "checkpoints")["step"] < 8  # such a rate throws the network away
    assert same(of_best.network().state_dict(), best(run))
    assert not same(newest.network().state_dict(), best(run))
    points = np.array([[0.1, 0.2]])
    assert of_best.predict(points)["u"] != newest.predict(points)["u"]
    assert repr(of_best) == f"Run({str(run.path)!r}, best=True)"


def test_there_may_be_no_best_yet(make_config: MakeConfig, without_results: None) -> None:
    config = make_config(PROBLEM, run={"checkpoint": 4})
    with pytest.raises(Killed):
        train(config, Killing(2))
    with pytest.raises(PinnError, match=r"has no best\.pt yet, which comes with the first regular"):
        open_run(config.directory, best=True)
    assert open_run(config.directory).predict(x=0, y=0)


def test_a_best_that_is_of_another_run_is_refused(
    make_config: MakeConfig, first: Run, tmp_path: Path
) -> None:
    other = train(make_config(PROBLEM, run={"seed": 3}))
    shutil.copy(other.path / "checkpoints/best.pt", first.path / "checkpoints/best.pt")
    with pytest.raises(PinnError, match=r"best\.pt: belongs to another run"):
        open_run(first.path, best=True).network()
