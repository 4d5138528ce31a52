"""The Python interface: load_config, train, open_run, predict, metrics, training on."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from pinn.core import PinnError, TrainingError
from pinn.engine import Config, Run, check, load_config, open_run, train
from pinn.engine.training import checkpoint
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.objective import Objective
from pinn.engine.training.signals import stop_signals

MakeConfig = Callable[..., Config]

SOLVED = {"name": "helmholtz", "a1": 1, "a2": 1}
RECORD = {"record": 2, "checkpoint": 2}


def parameters(run: Run) -> dict[str, torch.Tensor]:
    return read(newest_first(run.path / "checkpoints")[0])["module"]


def without_timings(run: Run) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [{name: v for name, v in row.items() if name != "seconds"} for row in rows]


def same(a: Run, b: Run) -> None:
    """Bitwise the same parameters and measurements."""
    first, second = parameters(a), parameters(b)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert without_timings(a) == without_timings(b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained")
    file = folder / "pinn.toml"
    file.write_text(
        f"""
        [run]
        directory = "{folder / "run"}"
        device = "cpu"
        compile = "never"
        record = 2
        checkpoint = 2
        [problem]
        name = "helmholtz"
        a1 = 1
        a2 = 1
        [network]
        width = 6
        depth = 2
        [points]
        interior = 48
        conditions = 12
        [[optimizers]]
        name = "adam"
        steps = 5
        [[analyzers]]
        name = "error"
        every = 2
        """,
        encoding="utf-8",
    )
    return train(load_config(file))


def test_a_run_directory_holds_what_the_design_says(trained: Run) -> None:
    assert {path.name for path in trained.path.iterdir()} >= {
        "pinn.toml",
        "environment.json",
        "metrics.jsonl",
        "checkpoints",
        "predictions.npz",
        "summary.json",
    }
    assert not [path for path in trained.path.rglob("*") if ".tmp" in path.name]
    environment = json.loads((trained.path / "environment.json").read_text())
    assert environment["plugins"]["problem helmholtz"].startswith("pinn-dynamics ")
    assert {"python", "device", "versions", "git_commit"} <= environment.keys()


def test_summary(trained: Run) -> None:
    assert trained.complete
    summary = trained.summary
    assert summary["steps"] == 5
    assert summary["problem"] == "helmholtz"
    assert summary["final"]["step"] == 5
    assert summary["final"]["rel_l2.u"] > 0
    assert set(summary["seconds"]) >= {"training", "error"}


def test_metrics_are_arrays(trained: Run) -> None:
    metrics = trained.metrics()
    for name in ("loss", "loss.helmholtz", "loss.walls", "rel_l2.u", "learning_rate"):
        steps, values = metrics[name]
        assert steps.tolist() == [2, 4, 5], name
        assert values.shape == (3,)
        assert np.isfinite(values).all()
    assert "step" not in metrics


def test_predictions_are_those_of_the_grid(trained: Run) -> None:
    with np.load(trained.path / "predictions.npz") as saved:
        x, y, u = saved["x"], saved["y"], saved["u"]
        assert np.allclose(saved["u_error"], u - saved["u_reference"])
    found = trained.predict(x=x[:, None], y=y[None, :])["u"]
    assert found.shape == (len(x), len(y))
    np.testing.assert_allclose(found, u, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "shape"),
    [
        (0.0, 0.0, ()),
        ([0.0, 0.5], 0.5, (2,)),
        ([0.0, 0.5], [1.0, 1.0], (2,)),
        (np.zeros((3, 1)), np.zeros((1, 4)), (3, 4)),
        (np.zeros((2, 3, 4)), 0, (2, 3, 4)),
        ([], 0.0, (0,)),
        (torch.zeros(3), 0, (3,)),
    ],
)
def test_predict_takes_coordinates_of_any_shape(
    trained: Run, x: Any, y: Any, shape: tuple[int, ...]
) -> None:
    assert trained.predict(x=x, y=y)["u"].shape == shape


def test_predict_takes_points(trained: Run) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (7, 2))
    table = trained.predict(points)["u"]
    assert table.shape == (7,)
    assert (table == trained.predict(x=points[:, 0], y=points[:, 1])["u"]).all()
    assert (table == trained.predict(points.tolist())["u"]).all()


@pytest.mark.parametrize("coordinates", [{}, {"x": 0}, {"x": 0, "t": 0}, {"x": 0, "y": 0, "z": 0}])
def test_predict_needs_the_coordinates_of_the_domain(trained: Run, coordinates: Any) -> None:
    with pytest.raises(PinnError, match="predict needs the coordinates x, y"):
        trained.predict(**coordinates)


@pytest.mark.parametrize("points", [0.0, [0.0, 1.0], np.zeros((4, 3)), np.zeros((2, 2, 2))])
def test_predict_needs_points_of_the_domain(trained: Run, points: Any) -> None:
    with pytest.raises(PinnError, match=r"predict needs points of shape \(n, 2\), found"):
        trained.predict(points)


@pytest.mark.parametrize(
    "coordinates", [{"x": "a", "y": 0}, {"x": [0, 1], "y": [0, 1, 2]}, {"x": None, "y": {}}]
)
def test_predict_needs_numbers(trained: Run, coordinates: Any) -> None:
    with pytest.raises(PinnError, match="predict needs numbers"):
        trained.predict(**coordinates)


def test_predict_is_the_network(trained: Run) -> None:
    network = trained.network()
    points = torch.tensor([[0.1, 0.2], [0.3, -0.4]])
    with torch.no_grad():
        expected = network(points)[:, 0].numpy()
    np.testing.assert_allclose(trained.predict(points)["u"], expected, rtol=1e-6)


def test_a_run_is_opened_again_wherever_it_was_moved(trained: Run, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(trained.path, moved)
    again = open_run(moved)
    assert again.complete
    assert again.config.directory == moved
    assert again.metrics().keys() == trained.metrics().keys()
    assert (again.predict(x=0.1, y=0.2)["u"] == trained.predict(x=0.1, y=0.2)["u"]).all()
    assert repr(again) == f"Run('{moved}')"


@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
def test_what_is_not_a_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    if kind == "empty":
        path.mkdir()
    elif kind == "a file":
        path.write_text("")
    with pytest.raises(PinnError, match="is not a run directory: it has no"):
        open_run(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"a = [", "is not valid TOML"), (b"\xff\xfe", "is not a UTF-8 text")]
)
def test_a_run_whose_configuration_is_damaged(
    make_config: MakeConfig, content: bytes, message: str, tmp_path: Path
) -> None:
    run = train(make_config(SOLVED))
    (run.path / "pinn.toml").write_bytes(content)
    with pytest.raises(PinnError, match=rf"pinn.toml: {message}"):
        open_run(run.path)
    with pytest.raises(PinnError, match=rf"pinn.toml: {message}"):
        train(make_config(SOLVED))


def test_a_run_without_a_checkpoint(trained: Run, tmp_path: Path) -> None:
    (tmp_path / "pinn.toml").write_text(trained.config.toml())
    run = open_run(tmp_path)
    assert not run.complete
    assert run.summary == {}
    assert run.metrics() == {}
    with pytest.raises(PinnError, match="has no checkpoint yet"):
        run.predict(x=0, y=0)


def test_the_written_configuration_runs_again_as_it_is(trained: Run, tmp_path: Path) -> None:
    config = load_config(trained.path / "pinn.toml", [f"run.directory={tmp_path / 'again'}"])
    same(train(config), trained)


def test_a_seed_is_the_whole_difference(make_config: MakeConfig, tmp_path: Path) -> None:
    one = train(make_config(SOLVED, run={"directory": str(tmp_path / "one"), **RECORD}))
    torch.manual_seed(99)
    two = train(make_config(SOLVED, run={"directory": str(tmp_path / "two"), **RECORD}))
    same(one, two)
    other = train(make_config(SOLVED, run={"directory": str(tmp_path / "other"), "seed": 1}))
    assert not torch.equal(parameters(one)["1.weight"], parameters(other)["1.weight"])


@pytest.mark.parametrize("redraw", [2, 5])  # in between; just where training goes on
def test_training_on_is_training_longer(
    make_config: MakeConfig, tmp_path: Path, redraw: int
) -> None:
    def stages(steps: int) -> list[dict[str, Any]]:
        return [{"name": "adam", "steps": 3}, {"name": "lbfgs", "steps": steps}]

    def made(name: str, steps: int) -> Config:
        run = {"directory": str(tmp_path / name), "record": 1}
        return make_config(
            SOLVED,
            run=run,
            optimizers=stages(steps),
            weighting={"name": "rba"},
            points={"redraw": redraw},
        )

    whole = train(made("whole", 5))
    parts = train(made("parts", 2)).train(more_steps=3)
    assert parts.complete
    assert parts.config.steps == 8
    same(parts, whole)
    longer = train(made("longer", 2))
    assert train(made("longer", 5)).summary["steps"] == 8
    same(longer, whole)


def test_training_a_complete_run_again_changes_nothing(make_config: MakeConfig) -> None:
    config = make_config(SOLVED)
    run = train(config)
    before = {path.name: path.read_bytes() for path in (run.path / "checkpoints").iterdir()}
    metrics = (run.path / "metrics.jsonl").read_bytes()
    notes = Notes()
    assert train(config, notes).complete
    assert any("all 5 steps are done already: nothing to train" in note for note in notes.texts)
    assert notes.steps == []
    assert {path.name: path.read_bytes() for path in (run.path / "checkpoints").iterdir()} == before
    assert (run.path / "metrics.jsonl").read_bytes() == metrics


class Notes:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.steps: list[int] = []
        self.ended = False

    def begin(self, done: int, total: int) -> None:
        self.total = total

    def note(self, text: str) -> None:
        self.texts.append(text)

    def step(self, step: int, loss: float, shown: Mapping[str, float]) -> None:
        self.steps.append(step)

    def end(self) -> None:
        self.ended = True


def test_a_reporter_sees_every_step(make_config: MakeConfig) -> None:
    notes = Notes()
    train(make_config(SOLVED), notes)
    assert notes.steps == [1, 2, 3, 4, 5]
    assert notes.total == 5
    assert notes.ended


@pytest.mark.parametrize(
    ("section", "keys", "named"),
    [
        ("run", {"seed": 1}, "run.seed: 0 there, 1 here"),
        ("network", {"width": 7}, "network.width: 6 there, 7 here"),
        ("weighting", {"name": "rba"}, "weighting.name: 'vanilla' there, 'rba' here"),
        (
            "weighting",
            {"factors": {"walls": 2.0}},
            "weighting.factors.walls: absent there, 2.0 here",
        ),
        ("optimizers", [{"name": "adam", "steps": 4}], "optimizers.0.steps: 5 there, 4 here"),
        (
            "optimizers",
            [{"name": "adam", "steps": 5}, {"name": "adam", "steps": 5}],
            "optimizers.1: absent there",
        ),
    ],
)
def test_another_configuration_in_the_same_directory(
    make_config: MakeConfig, section: str, keys: Any, named: str
) -> None:
    run = train(make_config(SOLVED))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(PinnError, match="holds a run with another configuration") as caught:
        train(make_config(SOLVED, **{section: keys}))
    assert named in str(caught.value)
    assert "run.directory" in str(caught.value)
    for path, content in before.items():
        assert path.read_bytes() == content, path


def test_a_run_from_before_an_option_came_goes_on_with_its_default(
    make_config: MakeConfig,
) -> None:
    run = train(make_config(SOLVED))
    file = run.path / "pinn.toml"
    lines = file.read_text(encoding="utf-8").splitlines()
    assert "tf32 = false" in lines
    file.write_text("\n".join(line for line in lines if line != "tf32 = false"))
    for path in (run.path / "checkpoints").glob("*.pt"):
        state = checkpoint.read(path)
        table = json.loads(state.pop(checkpoint.OF_RUN))
        table["run"].pop("tf32", None)
        checkpoint.save(path.parent, state["step"], state, table, best=path.name == checkpoint.BEST)
    longer = make_config(SOLVED, optimizers=[{"name": "adam", "steps": 8}])
    assert train(longer).summary["steps"] == 8
    with pytest.raises(PinnError, match=r"run.tf32: False there, True here"):
        train(make_config(SOLVED, run={"tf32": True}, optimizers=[{"name": "adam", "steps": 9}]))


def test_a_run_that_saved_no_step_makes_way_for_another(make_config: MakeConfig) -> None:
    """Such as one whose first steps end in a loss that is not finite: the advice can be followed."""
    adam = {"name": "adam", "steps": 5}
    config = make_config(SOLVED, optimizers=[{**adam, "lr": 1e300}])
    with pytest.raises(TrainingError, match="A smaller learning rate"):
        train(config)
    check(make_config(SOLVED, optimizers=[adam]))
    assert train(make_config(SOLVED, optimizers=[adam])).complete


def test_how_often_to_save_may_change(make_config: MakeConfig) -> None:
    train(make_config(SOLVED))
    train(make_config(SOLVED, run={"checkpoint": 3}))


def test_a_checkpoint_of_another_configuration(make_config: MakeConfig) -> None:
    config = make_config(SOLVED)
    run = train(config)
    other = attrs.evolve(config, network=attrs.evolve(config.network, width=7))
    (run.path / "pinn.toml").write_text(other.toml())
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for attempt in (lambda: train(other), lambda: open_run(run.path).predict(x=0, y=0)):
        with pytest.raises(
            PinnError, match=r"belongs to another run:\n  network\.width: 6 there, 7"
        ):
            attempt()
    assert {path: path.read_bytes() for path in before} == before


def test_a_checkpoint_that_does_not_fit_what_is_built(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the code of a network was changed."""
    config = make_config(SOLVED)
    run = train(config)
    built = type(config.network).build
    wider = attrs.evolve(config.network, width=7)
    monkeypatch.setattr(type(config.network), "build", lambda self, *given: built(wider, *given))
    with pytest.raises(PinnError, match="the checkpoint does not fit the configuration"):
        train(config)
    with pytest.raises(PinnError, match="the checkpoint does not fit the configuration"):
        open_run(run.path).predict(x=0, y=0)


def test_a_directory_that_is_a_file(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(PinnError, match=r"run: cannot be made: .*run is a file"):
        train(make_config(SOLVED))


# a loss that is not finite


class Poison:
    """Makes the loss of one term NaN from a step on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: int, term: int) -> None:
        real = Objective.evaluate
        calls = 0

        def evaluate(self: Objective, *arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            found = real(self, *arguments, **named)
            if calls < step:
                return found
            terms = found.terms.clone()
            terms[term] = float("nan")
            return attrs.evolve(found, terms=terms)

        monkeypatch.setattr(Objective, "evaluate", evaluate)


@pytest.mark.parametrize(("term", "name"), [(0, "helmholtz"), (1, "walls")])
def test_a_loss_that_is_not_finite_stops_before_the_optimizer_moves(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, term: int, name: str
) -> None:
    config = make_config(SOLVED, run={"checkpoint": 2, "record": 1})
    Poison(monkeypatch, 4, term)
    with pytest.raises(TrainingError) as caught:
        train(config)
    message = str(caught.value)
    assert f"step 4: the loss of '{name}' is nan" in message
    assert "before the optimizer moved" in message
    assert "step-000000002.pt" in message
    monkeypatch.undo()
    run = open_run(config.directory)
    assert not run.complete
    assert np.isfinite(run.predict(x=0.1, y=0.1)["u"]).all()
    assert run.metrics()["loss"][0].tolist() == [1, 2, 3]
    resumed = train(config)
    assert resumed.complete
    clean = train(make_config(SOLVED, run={"directory": f"{config.directory}-clean", "record": 1}))
    assert all(torch.equal(parameters(resumed)[k], v) for k, v in parameters(clean).items())


def test_not_finite_at_the_first_step(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, 1, 0)
    with pytest.raises(
        TrainingError, match=r"step 1: .* last good checkpoint is .*step-000000000.pt"
    ):
        train(make_config(SOLVED))


def test_a_learning_rate_that_throws_the_network_away(make_config: MakeConfig) -> None:
    config = make_config(SOLVED, optimizers=[{"name": "adam", "steps": 20, "lr": 1e30}])
    with pytest.raises(TrainingError, match=r"step \d+: the loss of '.*' is (nan|inf)"):
        train(config)


def test_a_gradient_that_is_not_finite(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Objective.evaluate

    def evaluate(self: Objective, *arguments: Any, **named: Any) -> Any:
        found = real(self, *arguments, **named)
        first, *rest = found.gradient
        return attrs.evolve(found, gradient=(first * float("inf"), *rest))

    monkeypatch.setattr(Objective, "evaluate", evaluate)
    with pytest.raises(TrainingError, match="the loss is finite, its gradient is not"):
        train(make_config(SOLVED))


# analyzers observe


def test_observing_does_not_change_training(make_config: MakeConfig, tmp_path: Path) -> None:
    sections = {
        "weighting": {"name": "rba"},
        "optimizers": [{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 3}],
    }
    alone = train(make_config(SOLVED, run={"directory": str(tmp_path / "alone")}, **sections))
    config = make_config(
        SOLVED,
        run={"directory": str(tmp_path / "watched")},
        analyzers=[{"name": "snr", "every": 1, "batches": 5}, {"name": "error", "every": 2}],
        **sections,
    )
    watched = train(config)
    for name, value in parameters(alone).items():
        assert torch.equal(value, parameters(watched)[name])
    assert "snr" in watched.metrics()


def test_a_run_without_analyzers_or_conditions(make_config: MakeConfig) -> None:
    run = train(make_config({**SOLVED, "hard": True}))
    assert run.complete
    assert set(run.metrics()) >= {"loss", "loss.helmholtz"}
    assert "loss.walls" not in run.metrics()
    assert run.predict(x=1.0, y=0.3)["u"] == 0


def test_training_in_a_thread(make_config: MakeConfig) -> None:
    """No signals are caught there, and none are needed."""
    with ThreadPoolExecutor() as pool:
        assert pool.submit(train, make_config(SOLVED)).result().complete


# signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_a_wish_to_stop_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = getattr(signal, name)
    again: list[int] = []
    before = signal.signal(number, lambda *_: again.append(number))
    try:
        with stop_signals() as stop:
            assert not stop()
            signal.raise_signal(number)
            assert stop()
            assert not again
            signal.raise_signal(number)
            assert again == [number]
    finally:
        signal.signal(number, before)


def test_what_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 50.0])
def test_misfit_and_unweighted_loss_know_no_factors(make_config: MakeConfig, factor: float) -> None:
    table = {"name": "vanilla", "factors": {"walls": factor}}
    config = make_config({"name": "helmholtz", "a1": 1, "a2": 1}, weighting=table)
    last = train(config).summary["final"]
    mean_square = last["loss.walls"] / factor
    assert last["misfit.walls"] ** 2 == pytest.approx(mean_square)
    assert last["loss.unweighted"] == pytest.approx(last["loss.helmholtz"] + mean_square)
