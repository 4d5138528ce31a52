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

from pinn.core.discovery import offered, registry
from pinn.core.errors import PinnError, TrainingError
from pinn.engine import check, open_run, parse_config, train
from pinn.engine.training import together
from pinn.engine.training.processes import ALONE, Processes
from tests.rod import Rod

Series = Mapping[str, tuple[np.ndarray, np.ndarray]]

CLOSE = {"rtol": 1e-12, "atol": 1e-13}
"""Rounding, after some steps of training in double precision."""
AMPLIFIED = {
    "a quasi-Newton method": 1e-10,  # its matrix learns from differences of gradients
    "search": 1e-9,  # a step length is a quotient of differences of slopes
    "ntk.eigenvalues": 1e-9,  # the least are differences of large numbers
    "unknown": 1e-10,  # Gauss-Newton solves for it
}
"""Relative tolerances of what makes more of rounding, by case or quantity."""
ROOT = Path(__file__).parents[3]
SMALL: Mapping[str, Any] = {
    "problem": {"name": "helmholtz", "a1": 1, "a2": 1},
    "network": {"name": "mlp", "width": 6, "depth": 2},
    "points": {"interior": 61, "conditions": 14},
    "optimizers": [{"name": "adam", "steps": 12}],
    "analyzers": [{"name": "error", "every": 4, "early_every": 0}],
}
WEIGHTINGS = ("rba", "vrba", "self-adaptive")
BALANCES = ("ntk", "relobralo", "gradient-norms", "augmented-lagrangian")
RESIDUAL_SAMPLERS = ("rad", "r3", "pool")
SAMPLERS = ("uniform", "lhs", "sobol", "grid")
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
    **{
        name: {"points": {"interior": 64, "conditions": 14, "sampler": name, "redraw": 4}}
        for name in (*SAMPLERS, *RESIDUAL_SAMPLERS)
    },
    **{
        name: {
            "optimizers": [{"name": "adam", "steps": 3}, {"name": name, "steps": 4}],
            "analyzers": [*SMALL["analyzers"], {"name": "search", "every": 1}],
        }
        for name in OPTIMIZERS
    },
    "torch": {
        "optimizers": [{"name": "torch", "class": "torch.optim.SGD", "lr": 1e-3, "steps": 5}]
    },
    "measurements": {"problem": {"name": "rod"}},
    "measurements and gauss-newton": {
        "problem": {"name": "rod"},
        "optimizers": [{"name": "gauss-newton", "steps": 3}],
    },
    "undone": {"points": {**SMALL["points"], "redraw": 3, "undo": 1.0}},
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
from pinn.core.discovery import offered
from pinn.engine import parse_config, train
from tests.rod import Rod

dist.init_process_group("gloo")
with offered(Rod):
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
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_numbers_are_those_of_one_process(count: int, tmp_path: Path) -> None:
    tables = [table(tmp_path / name, **change) for name, change in CASES.items()]
    (tmp_path / "tables.json").write_text(json.dumps(tables), encoding="utf-8")
    done = torchrun(count, tmp_path, SCRIPT, str(tmp_path / "tables.json"))
    assert done.returncode == 0, done.stderr
    with offered(Rod):
        for case, change in CASES.items():
            one = train(parse_config(table(tmp_path / "alone" / case, **change)), report=False)
            assert_same(open_run(tmp_path / case).metrics(), one.metrics(), case)


def assert_same(found: Series, expected: Series, case: str) -> None:
    """To rounding; steps, counts and names exactly."""
    assert found.keys() == expected.keys()
    for name, (steps, values) in expected.items():
        if name == "seconds":
            continue
        said = f"{case}: {name}"
        np.testing.assert_array_equal(found[name][0], steps, err_msg=said)
        if values.dtype.kind == "f":
            np.testing.assert_allclose(
                found[name][1], values, err_msg=said, **tolerance(case, name)
            )
        else:
            assert list(map(str, found[name][1])) == list(map(str, values)), said


def tolerance(case: str, name: str) -> Mapping[str, float]:
    quasi_newton = "a quasi-Newton method" if case in ("ss-broyden", "ss-bfgs") else ""
    factors = [AMPLIFIED[key] for key in AMPLIFIED if key == quasi_newton or key in name]
    return CLOSE | {"rtol": max([CLOSE["rtol"], *factors])}


def test_every_part_is_among_the_cases() -> None:
    tried = {
        *WEIGHTINGS, *BALANCES, *RESIDUAL_SAMPLERS, *SAMPLERS, *OPTIMIZERS, *ANALYZERS,
        *("vanilla", "causal", "adam", "torch", "search"),
    }  # fmt: skip
    kinds = {"weighting", "balance", "sampler", "optimizer", "analyzer"}
    built_in = [part for part in registry().parts() if part.origin.built_in and part.kind in kinds]
    assert {part.name for part in built_in} <= tried


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


@pytest.fixture(params=[pytest.param(2, marks=pytest.mark.slow), 3])
def training(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A long run on two or three processes, of which some steps are recorded."""
    long = table(tmp_path / "run", optimizers=[{"name": "adam", "steps": 1_000_000}])
    long["run"] |= {"processes": request.param, "checkpoint": 20}
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


in_proc = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="processes are found in /proc"
)


@in_proc
def test_where_another_process_is_killed_the_run_says_so_and_goes_on_later(
    training: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Whichever it is, and with another number of processes."""
    others = others_of(training)
    os.kill(others[-1], signal.SIGKILL)
    _, said = training.communicate()
    assert training.returncode == 1
    assert said.count("error: ") == 1
    assert f"process {len(others)} of {len(others) + 1}: died: SIGKILL" in said
    assert goes_on(tmp_path, processes=1)


@in_proc
def test_where_the_first_process_is_killed_the_others_end_and_the_run_goes_on(
    training: subprocess.Popen[str], tmp_path: Path
) -> None:
    others = others_of(training)
    training.kill()
    training.wait()
    while any(Path(f"/proc/{other}").exists() for other in others):
        time.sleep(0.05)
    assert goes_on(tmp_path, processes=2)


def goes_on(folder: Path, processes: int) -> bool:
    """Whether the run of `training` makes more steps, from what was saved last."""
    saved = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    again = table(folder / "run", optimizers=[{"name": "adam", "steps": 1_000_000}])
    again["run"] |= {"processes": processes}
    asked: list[int] = []
    run = train(parse_config(again), stop=lambda: len(asked) > 20 or asked.append(1) is not None)
    return bool(run.summary["steps"] > saved - 20)


BY_TORCHRUN = """
import os, signal, sys
from pinn.engine import parse_config, train
from pinn.core.errors import PinnError

def kills() -> bool:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return False

table = {table!r}
try:
    train(parse_config(table), report=False, stop=kills)
except PinnError as error:
    print(error)
"""


def test_of_torchrun_the_others_say_in_one_line_that_one_is_gone(tmp_path: Path) -> None:
    """Or nothing, where torchrun ends them before they hear of it; a traceback never."""
    done = torchrun(2, tmp_path, BY_TORCHRUN.format(table=table(tmp_path / "run")))
    assert done.returncode == 1
    assert (
        done.stdout.count("\n") == done.stdout.count("another process of 2 is gone: torchrun") <= 1
    )
    assert "[rank0]" not in done.stderr
    assert "Signal 9 (SIGKILL)" in done.stderr


def test_torchrun_begins_the_command_itself(tmp_path: Path) -> None:
    (tmp_path / "pinn.toml").write_text(tomli_w.dumps(table(tmp_path / "run")), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["--no-python", sys.executable, "-c", "from pinn.engine.cli import main; main()"]
    done = subprocess.run(
        [*command, "run", str(tmp_path / "pinn.toml")], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    assert open_run(tmp_path / "run").complete


def test_a_process_that_dies_before_it_has_joined_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = together._Other.check_begun

    def kill(other: together._Other) -> None:
        begun(other)
        os.kill(other.process.pid or 0, signal.SIGKILL)

    config = parse_config(table(tmp_path / "run", run={"processes": 2}))
    with monkeypatch.context() as patch:
        patch.setattr(together._Other, "check_begun", kill)
        with pytest.raises(TrainingError, match="process 1 of 2: died: SIGKILL"):
            train(config, report=False)
    train(config, report=False)


OF_ITS_OWN = """
from pinn.core.errors import TrainingError
from pinn.engine.training.together import together


def work(processes, told):
    if processes.rank == told:
        raise ValueError("no such thing")
    processes.told_by_all(1)


if __name__ == "__main__":
    for failing in (1, 2):
        try:
            with together(3, work, failing) as processes:
                processes.told_by_all(1)
        except TrainingError as error:
            print(error)
"""


def test_a_process_that_fails_is_named_with_its_reason(tmp_path: Path) -> None:
    """Not another one that fails since it is gone."""
    script = tmp_path / "script.py"
    script.write_text(OF_ITS_OWN, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert "process 1 of 3: ValueError: no such thing. What was saved" in done.stdout, done.stderr
    assert "process 2 of 3: ValueError: no such thing. What was saved" in done.stdout, done.stderr


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
