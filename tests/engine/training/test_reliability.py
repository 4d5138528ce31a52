"""Real processes that are killed, interrupted, starved and damaged: the run goes on as if nothing was.

Nothing here waits for a clock: a process is watched through the lines of its metrics file.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pinn.engine import open_run
from pinn.engine.training.checkpoint import newest_first, read

UNDRAWN = """
import signal

from pinn.engine import cli
from pinn.engine.reporting import page

svg = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'
page.picture = lambda title, height, draw: page.Picture(svg, b"", b"")
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.main()
"""
"""The command `pinn`, whose figures are blank: to draw them takes longer than all the rest.

A shell has SIGINT ignored where the tests run behind `&`.
"""
STAGES = {"adam": 120, "lbfgs": 30}
TOTAL = sum(STAGES.values())
TIMEOUT = 120  # of a process that hangs; none does

TOML = """
[run]
directory = "{directory}"
device = "cpu"
compile = "never"
record = 1
checkpoint = 7
[problem]
name = "helmholtz"
a1 = 1
a2 = 1
[network]
width = 6
depth = 2
[points]
sampler = "uniform"
interior = 48
conditions = 12
redraw = 35
[weighting]
name = "rba"
[[optimizers]]
name = "adam"
steps = {adam}
warmup = 5
[[optimizers]]
name = "lbfgs"
steps = {lbfgs}
[[analyzers]]
name = "snr"
every = 5
batches = 4
"""

Process = subprocess.Popen[str]


def write_config(folder: Path, **values: Any) -> Path:
    """pinn.toml for a run in `folder`/run."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pinn.toml"
    text = TOML.format(**{"directory": folder / "run", **STAGES, **values})
    file.write_text(text, encoding="utf-8")
    return file


def start(file: Path, *options: str, path: Path | None = None, **popen: Any) -> Process:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | popen.pop("variables", {})
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.Popen(
        [sys.executable, "-c", UNDRAWN, "run", str(file), *options],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **{"stdout": subprocess.PIPE, **popen},
    )


def finish(process: Process) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; no message is a traceback."""
    out, err = process.communicate(timeout=TIMEOUT)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def complete(file: Path, *options: str) -> str:
    """Run to the end; what it printed."""
    status, out, err = finish(start(file, *options))
    assert (status, err) == (0, "")
    return out


def recorded(directory: Path) -> int:
    """The last step that is in the metrics file, as far as it is written."""
    path = directory / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith(b"\n")]
    return max(steps, default=0)


def wait_for_step(process: Process, directory: Path, step: int) -> None:
    """Return once `step` is recorded, or the process has ended."""
    while process.poll() is None and recorded(directory) < step:
        time.sleep(0.001)


def results(directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The final checkpoint, and the metrics, without what time it took."""
    state = read(newest_first(directory / "checkpoints")[0])
    del state["seconds"]
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("seconds", None)
    return state, rows


def assert_identical(a: Any, b: Any, where: str = "") -> None:
    """Bitwise the same, all the way down."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_identical(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    complete(write_config(folder))
    return folder / "run"


@pytest.fixture
def as_if_nothing_was(uninterrupted: Path) -> Callable[[Path], None]:
    def check(directory: Path) -> None:
        assert open_run(directory).complete
        assert_identical(results(directory), results(uninterrupted))

    return check


def test_the_uninterrupted_run(uninterrupted: Path) -> None:
    state, rows = results(uninterrupted)
    assert (state["step"], state["stage"], state["stage_step"]) == (TOTAL, 1, STAGES["lbfgs"])
    assert [row["step"] for row in rows] == list(range(1, TOTAL + 1))
    assert state["draws"] == 1 + (TOTAL - 1) // 35
    assert len(torch.unique(state["weights"])) > 2


def test_killed_at_random_steps(tmp_path: Path, as_if_nothing_was: Callable[[Path], None]) -> None:
    file, directory = write_config(tmp_path), tmp_path / "run"
    dice = random.Random(5)
    kills = 0
    for low, high in ((1, 20), (121, TOTAL - 10)):
        process = start(file)
        wait_for_step(process, directory, dice.randint(low, high))
        process.kill()
        process.communicate(timeout=TIMEOUT)
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    assert "continuing at step" in complete(file)
    as_if_nothing_was(directory)


SUICIDE = """
import os, signal
left = int(os.environ.get("KILL_AT", 0))

def dying(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

if left:
    os.fsync = dying(os.fsync)
    os.replace = dying(os.replace)
    os.rename = dying(os.rename)
    os.unlink = dying(os.unlink)
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_saving(
    tmp_path: Path, as_if_nothing_was: Callable[[Path], None]
) -> None:
    """Before the n-th of the system calls that make a file durable, visible or gone."""
    file, directory = write_config(tmp_path), tmp_path / "run"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SUICIDE, encoding="utf-8")
    dice = random.Random(7)
    for low, high in ((1, 9), (10, 18), (20, 40), (40, 60)):
        variables = {"KILL_AT": str(dice.randint(low, high))}
        process = start(file, path=tmp_path / "site", variables=variables)
        process.communicate(timeout=TIMEOUT)
        assert process.returncode == -signal.SIGKILL
    complete(file)
    as_if_nothing_was(directory)
    assert not list((directory / "checkpoints").glob("*.corrupt"))


def test_interrupted_terminated_and_damaged(
    tmp_path: Path, as_if_nothing_was: Callable[[Path], None]
) -> None:
    file, directory = write_config(tmp_path), tmp_path / "run"
    for number, step in ((signal.SIGINT, 20), (signal.SIGTERM, 70)):
        process = start(file, "--set", "run.checkpoint=1000")
        wait_for_step(process, directory, step)
        process.send_signal(number)
        status, out, err = finish(process)
        assert status == 130
        assert err == ""
        reached = read(newest_first(directory / "checkpoints")[0])["step"]
        assert step <= reached < TOTAL
        assert recorded(directory) == reached
        again = f"continue with: pinn run {file} --set=run.checkpoint=1000"
        assert f"stopped at step {reached:,}; {again}" in out
        assert not open_run(directory).complete
    newest, _ = newest_first(directory / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-7])
    out = complete(file)
    assert f"{newest.name} is corrupt: continuing at step " in out
    assert newest.with_suffix(".corrupt").exists()
    as_if_nothing_was(directory)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_it_prints_may_go_nowhere(
    tmp_path: Path, as_if_nothing_was: Callable[[Path], None]
) -> None:
    """As with `> /dev/full`; half way the reader of a pipe goes away, as `head -1` does."""
    file, directory = write_config(tmp_path), tmp_path / "run"
    process = start(file)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    wait_for_step(process, directory, 20)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) in ((130, ""), (0, ""))  # it may end before the signal comes
    with Path("/dev/full").open("w") as full:
        process = start(file, stdout=full)
    _, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert err == "note: output cannot be written: No space left on device; the work goes on\n"
    as_if_nothing_was(directory)


def test_a_complete_run_again(uninterrupted: Path, tmp_path: Path) -> None:
    before = results(uninterrupted)
    out = complete(uninterrupted.parent / "pinn.toml")
    assert f"all {TOTAL} steps are done already: nothing to train" in out
    assert "continuing" not in out
    assert_identical(results(uninterrupted), before)


def test_another_configuration_in_the_same_directory(uninterrupted: Path) -> None:
    file = uninterrupted.parent / "pinn.toml"
    process = start(file, "--set", "network.width=7", "--set", "weighting.eta=0.5")
    status, out, err = finish(process)
    assert status == 2
    assert out == ""
    assert err.splitlines()[1:3] == [
        "  network.width: 6 there, 7 here",
        "  weighting.eta: 0.001 there, 0.5 here",
    ]
    assert len(err.splitlines()) == 4


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple[Path, Process]]:
    """The file of a run that trains for as long as the test lasts."""
    file = write_config(tmp_path, adam=10_000_000)
    process = start(file)
    wait_for_step(process, tmp_path / "run", 1)
    yield file, process
    process.kill()
    process.communicate(timeout=TIMEOUT)


def test_a_second_run_in_the_same_directory(training: tuple[Path, Process]) -> None:
    file, first = training
    status, out, err = finish(start(file))
    assert status == 2
    assert out == ""
    assert "another run is training in this directory" in err
    assert len(err.splitlines()) == 1
    assert first.poll() is None
    reached = recorded(file.parent / "run")
    wait_for_step(first, file.parent / "run", reached + 5)
    assert first.poll() is None


def test_a_file_that_cannot_be_written(
    tmp_path: Path, as_if_nothing_was: Callable[[Path], None]
) -> None:
    """A limit on the size of files stands in for a full disk."""
    file, directory = write_config(tmp_path), tmp_path / "run"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    status, _, err = finish(start(file, preexec_fn=small_files))
    assert status == 1
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert "cannot be written" in err
    assert "what was saved before is intact" in err
    complete(file)
    as_if_nothing_was(directory)


BAD = '''
import torch
from attrs import frozen
from pinn.core import Box, Problem, hookimpl

calls = 0

@frozen
class Bad(Problem):
    """u_x = 1, until it is not a number."""

    name = "bad"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q):
        global calls
        calls += 1
        return {"good": q.u_x - 1, "worse": q.u - q.x + (float("nan") if calls > 30 else 0.0)}

@hookimpl
def pinn_problems():
    return [Bad]
'''


def test_a_plugin_whose_loss_is_not_finite(tmp_path: Path) -> None:
    site = tmp_path / "site"
    information = site / "pinn_bad-0.3.dist-info"
    information.mkdir(parents=True)
    (site / "pinn_bad.py").write_text(BAD, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pinn-bad\nVersion: 0.3\n")
    (information / "entry_points.txt").write_text("[pinn]\nbad = pinn_bad\n")
    file = write_config(tmp_path)
    text = file.read_text().replace('"helmholtz"\na1 = 1\na2 = 1', '"bad"')
    file.write_text(text.split("[[analyzers]]")[0])
    status, out, err = finish(start(file, path=site))
    assert status == 1
    found = re.match(r"error: step (\d+): the loss of 'worse' is nan. Training stopped before", err)
    assert found, err
    step = int(found[1])
    assert len(err.splitlines()) == 1
    assert "bad: " in out
    newest = newest_first(tmp_path / "run" / "checkpoints")[0]
    assert str(newest) in err
    state = read(newest)
    assert 0 < state["step"] == (step - 1) // 7 * 7
    assert recorded(tmp_path / "run") == step - 1
    assert all(torch.isfinite(p).all() for p in state["module"].values())
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["plugins"]["problem bad"] == "pinn-bad 0.3"
