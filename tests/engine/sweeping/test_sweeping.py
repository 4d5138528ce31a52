"""Sweeps trained in processes: failures, deaths, signals, and going on."""

from __future__ import annotations

import csv
import importlib
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

from pinn.core import PinnError
from pinn.engine import load_config, open_run, sweep, sweep_states, train
from pinn.engine.cli import commands
from pinn.engine.sweeping.jobs import Job, Outcome
from pinn.engine.sweeping.places import each
from pinn.engine.sweeping.sweep import read_sweep
from pinn.engine.sweeping.workers import Workers
from pinn.engine.training.checkpoint import newest_first, read
from tests.engine.sweeping.test_sweep import BASE

GRID = '[sweep.grid]\n"optimizers.0.lr" = [1e-3, 1e30]\nrun.seed = [0, 1]'


def written(folder: Path, text: str, base: dict[str, Any] = BASE) -> Path:
    file = folder / "sweep.toml"
    where = f'[sweep]\nprocesses = 2\ndirectory = "{folder / "runs"}"\n'
    file.write_text(f"{tomli_w.dumps(base)}\n{where}{text}", encoding="utf-8")
    return file


def test_runs_are_those_that_one_would_train_alone_and_a_failure_stops_no_other(
    tmp_path: Path,
) -> None:
    """A learning rate beyond all measure ends with a loss that is not finite."""
    file = written(tmp_path, GRID)
    found = sweep(file)
    assert [state.what for state in found] == ["done", "done", "failed", "failed"]
    assert "step 2: the loss of 'burgers' is nan" in str(found[2].failure)
    with (tmp_path / "runs" / "results.csv").open(encoding="utf-8") as table:
        assert [row["state"] for row in csv.DictReader(table)] == ["done"] * 2 + ["failed"] * 2
    first = read_sweep(file).runs[0].config
    alone = train(first.in_directory(tmp_path / "alone"), report=False)
    assert open_run(first.directory).summary["final"]["loss"] == alone.summary["final"]["loss"]
    again = sweep(file)
    assert [state.what for state in again] == ["done", "done", "failed", "failed"]
    written(tmp_path, GRID, {**BASE, "network": {"width": 7, "depth": 2}})
    with pytest.raises(
        PinnError, match=r"another configuration.*\n.*network.width: 6 there, 7 here"
    ):
        sweep(file)
    written(tmp_path, GRID, {**BASE, "optimizers": [{"name": "adam", "steps": 6}]})
    assert [state.step for state in sweep(file)[:2]] == [6, 6]
    assert not (first.directory / "report.html").exists()


def test_what_check_refuses_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    base = {**BASE, "weighting": {"factors": {"ends": 2.0}}}
    file = written(tmp_path, "[sweep.grid]\nrun.seed = [0, 1]", base)
    with pytest.raises(PinnError, match="ends: no such equation or condition"):
        sweep(file)
    assert not (tmp_path / "runs").exists()


DYING = """
import os, signal, time
from pathlib import Path
from pinn.engine.sweeping.jobs import Outcome

def once(job):
    marker = Path(job.folder) / job.name
    if job.name == "0" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(job.name, True)

def marked(job):
    (Path(job.folder) / job.name).touch()
    return Outcome(job.name, True)

def always(job):
    if job.name == "0":
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(job.name, True)
"""
"""Functions that kill their process, as the system does where memory runs out; of a module of their own,
which other processes import."""


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "dying.py").write_text(DYING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("dying")


def jobs(folder: Path, count: int) -> list[Job]:
    return [Job(str(number), {}, str(folder), report=False) for number in range(count)]


def outcomes(workers: int, function: Any, jobs: list[Job]) -> dict[str, Outcome]:
    with Workers(workers, 1) as pool:
        found = list(each(pool, function, jobs, lambda: False))
    named = [(outcome.name, outcome) for outcome in found if outcome is not None]
    assert len(named) == len(jobs)
    return dict(named)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_dies_takes_no_other_run_with_it(tmp_path: Path, dying: Any) -> None:
    found = outcomes(2, dying.once, jobs(tmp_path, 5))
    assert sorted(found) == list("01234")
    assert all(outcome.complete for outcome in found.values())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_process_dies_again_and_again_has_failed(
    workers: int, tmp_path: Path, dying: Any
) -> None:
    """It alone, whatever was at work beside it."""
    found = outcomes(workers, dying.always, jobs(tmp_path, 6))
    assert "its process died 2 times: ChildProcessError: SIGKILL" in str(found["0"].failure)
    assert all(found[name].complete for name in "12345")


def test_an_error_in_between_trains_no_other_run(tmp_path: Path, dying: Any) -> None:
    def fail_behind_the_first() -> None:
        with (
            Workers(2, 1) as pool,
            closing(each(pool, dying.marked, jobs(tmp_path, 9), lambda: False)) as found,
        ):
            next(outcome for outcome in found if outcome is not None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_behind_the_first()
    assert len(list(tmp_path.glob("?"))) < 9


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_sweep_that_is_stopped_goes_on(tmp_path: Path) -> None:
    """Told to stop in the middle, every run is saved; the same command ends as if nothing had been."""
    base = {
        **BASE,
        "optimizers": [{"name": "adam", "steps": 1200}],
        "run": {"compile": "never", "record": 5},
    }
    file = written(tmp_path, "[sweep.grid]\nrun.seed = [0, 1, 2]", base)
    command = [sys.executable, "-c", "from pinn.engine.cli import main; main()", "sweep", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not any(state.step for state in sweep_states(file)):
        assert process.poll() is None
        time.sleep(1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert f"continue with: pinn sweep {file}" in output
    stopped = sweep_states(file)
    assert {state.what for state in stopped} <= {"done", "stopped", "waiting"}
    assert "stopped" in {state.what for state in stopped}
    begun = [state for state in stopped if state.what == "stopped"]
    assert all(any((s.run.config.directory / "checkpoints").iterdir()) for s in begun)
    assert [state.what for state in sweep(file)] == ["done"] * 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_sweep_that_is_killed_leaves_nothing_over(tmp_path: Path) -> None:
    """Its processes save their runs and end; none begins another run."""
    base = {
        **BASE,
        "optimizers": [{"name": "adam", "steps": 100_000}],
        "run": {"compile": "never", "record": 5},
    }
    file = written(tmp_path, "[sweep.grid]\nrun.seed = [0, 1, 2, 3]", base)
    command = [sys.executable, "-c", "from pinn.engine.cli import main; main()", "sweep", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while sum(state.step > 0 for state in sweep_states(file)) < 2:
        assert process.poll() is None
        time.sleep(1)
    process.kill()
    process.wait()
    until = time.monotonic() + 300
    while any(state.what == "running" for state in sweep_states(file)):
        assert time.monotonic() < until
        time.sleep(1)
    found = sweep_states(file)
    assert [state.what for state in found] == ["stopped"] * 2 + ["waiting"] * 2
    for state in found[:2]:
        newest = newest_first(state.run.config.directory / "checkpoints")[0]
        assert read(newest)["step"] >= state.step - 5
    said = CliRunner().invoke(commands, ["sweep", str(file), "--status"])
    assert said.output.startswith("2 stopped, 2 waiting")
    assert "stopped  " in said.output
    alone = load_config(found[0].run.config.directory / "pinn.toml")
    asked: list[int] = []
    run = train(alone, stop=lambda: len(asked) > 20 or asked.append(1) is not None)
    assert run.summary["steps"] > found[0].step
