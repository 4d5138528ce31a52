"""A run on several processes: the numbers of one, whatever part; any may die, and the run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

from pinn.core.errors import PinnError
from pinn.engine import check, open_run, parse_config, train
from pinn.engine.training import together
from pinn.engine.training.processes import ALONE, Processes

CLOSE = {"rtol": 1e-9, "atol": 1e-11}
"""Rounding, after some steps of training in double precision."""
SMALL: Mapping[str, Any] = {
    "problem": {"name": "helmholtz", "a1": 1, "a2": 1},
    "network": {"name": "mlp", "width": 6, "depth": 2},
    "points": {"interior": 61, "conditions": 14},
    "optimizers": [{"name": "adam", "steps": 12}],
    "analyzers": [{"name": "error", "every": 4, "early_every": 0}],
}
WEIGHTINGS = ("rba", "vrba", "self-adaptive")
BALANCES = ("ntk", "relobralo", "gradient-norms", "augmented-lagrangian")
SAMPLERS = ("rad", "r3", "pool")
OPTIMIZERS = ("lbfgs", "gauss-newton", "ss-broyden", "ss-bfgs")
ANALYZERS = (
    "error", "snr", "adam-snr", "homogeneity", "phases", "compression", "spectrum", "curvature",
    "balance", "equilibrium", "fresh", "maps", "rounding", "sensitivity", "stagnation", "symmetry",
)  # fmt: skip
CASES: Mapping[str, Mapping[str, Any]] = {
    **{name: {"weighting": {"name": name}} for name in WEIGHTINGS},
    **{
        name: {"weighting": {"name": "rba", "balance": {"name": name, "every": 5}}}
        for name in BALANCES
    },
    "causal": {
        "problem": {"name": "burgers", "viscosity": 0.05},
        "weighting": {"name": "causal"},
    },
    **{name: {"points": {**SMALL["points"], "sampler": name, "redraw": 4}} for name in SAMPLERS},
    **{
        name: {"optimizers": [{"name": "adam", "steps": 3}, {"name": name, "steps": 4}]}
        for name in OPTIMIZERS
    },
    "torch": {
        "optimizers": [{"name": "torch", "class": "torch.optim.SGD", "lr": 1e-3, "steps": 5}]
    },
    "in chunks": {"points": {**SMALL["points"], "chunk": 8}},
    "fewer conditions than processes": {"points": {"interior": 61, "conditions": 1}},
    "hardly more points than processes": {"points": {"interior": 4, "conditions": 4}},
    "fewer residuals than unknowns": {
        "points": {"interior": 12, "conditions": 4},
        "optimizers": [{"name": "gauss-newton", "steps": 3}],
    },
    "several equations": {
        "problem": {"name": "cavity", "reynolds": 10.0, "lid": "regularised"},
        "weighting": {"name": "rba", "joint": True},
    },
    "compiled": {"run": {"compile": "always"}, "weighting": {"name": "rba"}},
    "analyzers": {
        "analyzers": [{"name": name, "every": 6, "early_every": 0} for name in ANALYZERS],
        "weighting": {"name": "rba"},
    },
}
SCRIPT = """
import json, sys
import torch.distributed as dist
from pinn.engine import parse_config, train

dist.init_process_group("gloo")
for table in json.loads(open(sys.argv[1]).read()):
    train(parse_config(table), report=False)
dist.destroy_process_group()
"""


def table(folder: Path, **changes: Any) -> dict[str, Any]:
    run = {"directory": str(folder), "device": "cpu", "precision": "float64", "record": 4}
    return {**SMALL, **changes, "run": run | changes.get("run", {})}


def torchrun(
    count: int, folder: Path, script: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    path = folder / "script.py"
    path.write_text(script, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", str(path), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_numbers_are_those_of_one_process(count: int, tmp_path: Path) -> None:
    tables = [table(tmp_path / name, **change) for name, change in CASES.items()]
    (tmp_path / "tables.json").write_text(json.dumps(tables), encoding="utf-8")
    done = torchrun(count, tmp_path, SCRIPT, str(tmp_path / "tables.json"))
    assert done.returncode == 0, done.stderr
    for case, change in CASES.items():
        one = train(parse_config(table(tmp_path / "alone" / case, **change)), report=False)
        found = open_run(tmp_path / case).metrics()
        assert found.keys() == one.metrics().keys()
        for name, (steps, values) in one.metrics().items():
            said = f"{case}: {name}"
            np.testing.assert_array_equal(found[name][0], steps, err_msg=said)
            if values.dtype.kind == "f" and name != "seconds":
                np.testing.assert_allclose(found[name][1], values, err_msg=said, **CLOSE)


def test_the_processes_of_run_are_begun_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leave nothing over of what they had for themselves."""
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    one = train(parse_config(table(tmp_path / "1")), report=False)
    two = train(parse_config(table(tmp_path / "2", run={"processes": 2})), report=False)
    np.testing.assert_allclose(two.metrics()["rel_l2"][1], one.metrics()["rel_l2"][1], **CLOSE)
    assert "2 processes" in json.loads((tmp_path / "2" / "environment.json").read_text())["device"]
    assert not list(room.glob("pinn-*"))


def test_a_script_without_a_main_guard_is_told(tmp_path: Path) -> None:
    """Its processes import it, and would train themselves."""
    script = tmp_path / "script.py"
    lines = "import json, sys", "from pinn.engine import parse_config, train"
    script.write_text("\n".join((*lines, "train(parse_config(json.loads(sys.argv[1])))")))
    given = json.dumps(table(tmp_path / "run", run={"processes": 2}))
    done = subprocess.run(
        [sys.executable, str(script), given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert 'under `if __name__ == "__main__":`' in done.stderr


def test_what_a_stage_waits_for_is_checked_by_one_process(tmp_path: Path) -> None:
    stage = {"name": "adam", "steps": 4, "until": "speed < 1"}
    waiting = table(tmp_path, optimizers=[stage], run={"processes": 2})
    with pytest.raises(PinnError, match="until: nothing records 'speed'"):
        check(parse_config(waiting))


def test_more_processes_than_points_are_refused(tmp_path: Path) -> None:
    few = table(tmp_path, points={"interior": 2, "conditions": 4}, run={"processes": 3})
    with pytest.raises(PinnError, match="3 processes for 2 interior points"):
        train(parse_config(few))


def test_processes_that_train_something_else_are_refused(tmp_path: Path) -> None:
    script = """
import json, os, sys
from pinn.core.errors import PinnError
from pinn.engine import parse_config, train

table = json.loads(sys.argv[1])
table["optimizers"][0]["lr"] = 0.1 * (1 + int(os.environ["RANK"]))
try:
    train(parse_config(table))
except PinnError as error:
    print(error)
"""
    done = torchrun(2, tmp_path, script, json.dumps(table(tmp_path / "run")))
    assert done.stdout.count("processes 0 and 1 of 2 are not alike") == 2, done.stderr
    assert "optimizers.0.lr: 0.2 there, 0.1 here" in done.stdout


@pytest.fixture
def training(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A long run on two processes, of which some steps are recorded."""
    long = table(tmp_path / "run", optimizers=[{"name": "adam", "steps": 1_000_000}])
    long["run"] |= {"processes": 2, "checkpoint": 20}
    (tmp_path / "pinn.toml").write_text(tomli_w.dumps(long), encoding="utf-8")
    command = [sys.executable, "-c", "from pinn.engine.cli import main; main()", "run"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "pinn.toml")], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or metrics.stat().st_size < 5000):
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def others_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, line in lines.items() if b"spawn_main" in line]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_where_another_process_is_killed_the_run_says_so_and_goes_on_later(
    training: subprocess.Popen[str], tmp_path: Path
) -> None:
    (other,) = others_of(training)
    os.kill(other, signal.SIGKILL)
    _, said = training.communicate()
    assert training.returncode == 1
    assert said.count("error: ") == 1
    assert "process 1 of 2: died: SIGKILL" in said
    saved = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    again = table(tmp_path / "run", optimizers=[{"name": "adam", "steps": 1_000_000}])
    asked: list[int] = []
    run = train(parse_config(again), stop=lambda: len(asked) > 20 or asked.append(1) is not None)
    assert run.summary["steps"] > saved - 20


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")
def test_where_the_first_process_is_killed_the_others_end(training: subprocess.Popen[str]) -> None:
    (other,) = others_of(training)
    training.kill()
    training.wait()
    while Path(f"/proc/{other}").exists():
        time.sleep(0.05)


@pytest.mark.parametrize(("size", "count"), [(10, 1), (10, 3), (2, 3), (9, 3), (7, 5)])
def test_shares_are_all_points_in_their_order(size: int, count: int) -> None:
    points = torch.arange(size)
    shares = [Processes(rank, count).own(points) for rank in range(count)]
    assert torch.equal(torch.cat(shares), points)
    assert max(map(len, shares)) == -(-size // count)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_exchanged() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert ALONE.whole(tensor, 3, 1) is tensor
    assert ALONE.total([tensor])[0] is tensor
    assert ALONE.own(tensor) is tensor
    assert ALONE.any(True)
    assert not ALONE.any(False)
    assert ALONE.told("it") == "it"


def test_signals_are_called_by_their_names() -> None:
    assert together._name_of(9) == "SIGKILL"
    assert together._name_of(99) == "signal 99"
