"""What runs a sweep file describes, and what of it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import tomli_w
from filelock import FileLock
from hypothesis import given, strategies as st

from pinn.core import PinnError
from pinn.engine import load_config
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.sweeping.status import FAILURES, sweep_groups, sweep_states, write_table
from pinn.engine.sweeping.sweep import LONGEST, Sweep, name_of, read_sweep

BASE: dict[str, Any] = {
    "problem": {"name": "burgers"},
    "network": {"width": 6, "depth": 2},
    "points": {"interior": 48, "conditions": 12},
    "optimizers": [{"name": "adam", "steps": 4}],
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Sweep]:
    def made(text: str, base: dict[str, Any] = BASE) -> Sweep:
        file = tmp_path / "several.toml"
        where = f'directory = "{tmp_path / "runs"}"\n'
        head, _, rest = text.partition("\n")
        file.write_text(f"{tomli_w.dumps(base)}\n{head}\n{where}{rest}", encoding="utf-8")
        return read_sweep(file)

    return made


def test_a_grid_is_every_combination(read: Callable[..., Sweep]) -> None:
    found = read('[sweep]\n[sweep.grid]\n"problem.viscosity" = [0.1, 0.2]\nrun.seed = [0, 1, 2]')
    assert [run.name for run in found.runs] == [
        f"viscosity={v},seed={s}" for v in (0.1, 0.2) for s in (0, 1, 2)
    ]
    assert found.keys == ("problem.viscosity", "run.seed")
    last = found.runs[-1].config
    assert (last.problem.viscosity, last.run.seed) == (0.2, 2)  # type: ignore[attr-defined]
    assert last.directory.name == "viscosity=0.2,seed=2"
    assert last.directory.parent == found.directory


def test_tables_of_values_belong_together(read: Callable[..., Sweep]) -> None:
    found = read(
        "[sweep]\n[sweep.grid]\nrun.seed = [0, 1]\n"
        '[[sweep.runs]]\nweighting.name = "rba"\nweighting.eta = 0.1\n'
        '[[sweep.runs]]\n"weighting.name" = "vanilla"'
    )
    names = [run.config.weighting.name for run in found.runs]
    assert names == ["rba", "vanilla", "rba", "vanilla"]
    assert found.runs[0].config.weighting.eta == 0.1  # type: ignore[attr-defined]
    assert [run.config.run.seed for run in found.runs] == [0, 0, 1, 1]


RANDOM = """[sweep]
[sweep.random]
count = 40
seed = 3
"optimizers.0.lr" = {low = 1e-4, high = 1e-1, log = true}
"network.width" = {low = 4, high = 9}
"network.activation" = ["tanh", "sin"]"""


def test_drawn_values_lie_in_their_ranges_and_stay(read: Callable[..., Sweep]) -> None:
    found, again = read(RANDOM), read(RANDOM)
    assert [run.values for run in found.runs] == [run.values for run in again.runs]
    rates = [run.values["optimizers.0.lr"] for run in found.runs]
    widths = {run.values["network.width"] for run in found.runs}
    assert len(found.runs) == 40
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert 10 <= sum(rate < 10**-2.5 for rate in rates) <= 30
    assert widths == {4, 5, 6, 7, 8, 9}
    assert {run.values["network.activation"] for run in found.runs} == {"tanh", "sin"}
    more = read(RANDOM.replace("count = 40", "count = 41"))
    assert [run.name for run in more.runs[:40]] == [run.name for run in found.runs]


def test_the_configuration_may_stand_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "pinn.toml").write_text(tomli_w.dumps(BASE), encoding="utf-8")
    file = tmp_path / "sweep.toml"
    file.write_text('[sweep]\nconfig = "pinn.toml"\n[sweep.grid]\nrun.seed = [4]', encoding="utf-8")
    (run,) = read_sweep(file).runs
    assert run.config.run.seed == 4
    assert run.config.problem.name == "burgers"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sweep]\ngird = 1", r"\[sweep\] gird: unknown key \(did you mean 'grid'\?\)"),
        ("[sweep]\nprocesses = -1", r"\[sweep\] processes: expected at least 0"),
        ("[sweep]\n[sweep.grid]\nrun.seed = 3", r"\[sweep.grid\] run.seed: expected a list"),
        ("[sweep]\n[sweep.grid]\nrun.seed = []", r"\[sweep.grid\] run.seed: expected a list"),
        (
            "[sweep]\n[sweep.grid]\nproblem.viscositi = [1]",
            r"\[problem\] viscositi: unknown key .*\(run viscositi=1\)",
        ),
        (
            '[sweep]\n[sweep.grid]\n"optimizers.3.lr" = [1]',
            r"there is no number 3 among 1 tables \(run lr=1\)",
        ),
        ("[sweep]\n[sweep.grid]\nseed = [1]", "expected section.key=value"),
        ('[sweep]\n[sweep.grid]\nnetwork.width = ["a"]', r"\[network\] width"),
        ("[sweep]\n[sweep.random]\nrun.seed = [1, 2]", r"\[sweep.random\] count: expected a whole"),
        (
            '[sweep]\n[sweep.random]\ncount = 2\n"optimizers.0.lr" = {low = 0.0, high = 1, log = true}',
            r"\[sweep.random\] optimizers.0.lr: expected \{low",
        ),
        (
            '[sweep]\nconfig = "other.toml"',
            r"\[sweep\] config names another file, and .*\[problem\]",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(text: str, message: str, read: Callable[..., Sweep]) -> None:
    with pytest.raises(PinnError, match=message):
        read(text)


def test_a_file_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(PinnError, match="there is no such file"):
        read_sweep(tmp_path / "nowhere.toml")
    file = tmp_path / "pinn.toml"
    file.write_text(tomli_w.dumps(BASE), encoding="utf-8")
    with pytest.raises(PinnError, match=r"has no section \[sweep\]"):
        read_sweep(file)


def test_a_sweep_is_not_run_as_one(tmp_path: Path) -> None:
    file = tmp_path / "pinn.toml"
    file.write_text("[sweep]\n" + tomli_w.dumps(BASE), encoding="utf-8")
    with pytest.raises(PinnError, match=r"\[sweep\]: describes many runs.*pinn sweep"):
        load_config(file)


WORDS = st.text("abc.:/ é\\*0", min_size=1, max_size=30)


@given(st.dictionaries(st.sampled_from(["run.seed", "a.b", "c.b", "a.d"]), WORDS, min_size=1))
def test_names_can_be_directories(values: dict[str, str]) -> None:
    name = name_of(values, ["run.seed", "a.b", "c.b", "a.d"])
    assert not set(name) & set('/\\:*?"<>| \0')
    assert len(name) <= LONGEST + 9
    assert name not in (".", "..")


def record(run: Any, **summary: Any) -> None:
    """A directory as a run leaves it."""
    directory = run.config.directory
    directory.mkdir(parents=True)
    line = {"step": 2, "loss": 0.5, "seconds": 1.5}
    (directory / "metrics.jsonl").write_text(json.dumps(line) + "\n{", encoding="utf-8")
    if summary:
        whole = {
            "problem": "burgers",
            "complete": True,
            "steps": 4,
            "parameters": 3,
            "failures": {},
            "seconds": {"training": 2.0},
            "steps_per_second": 2.0,
            **summary,
        }
        (directory / "summary.json").write_text(json.dumps(whole), encoding="utf-8")


def test_how_far_runs_are_and_what_they_came_to(read: Callable[..., Sweep]) -> None:
    found = read("[sweep]\n[sweep.grid]\nproblem.viscosity = [0.1, 0.2]\nrun.seed = [0, 1, 2]")
    for run, error in zip(found.runs[:3], (3.0, 1.0, 2.0), strict=True):
        record(run, final={"rel_l2": error, "loss": 1.0, "phase": "diffusion"})
    record(found.runs[3])
    record(found.runs[4])
    (found.directory / FAILURES).write_text(json.dumps({found.runs[4].name: "it broke"}))
    states = sweep_states(found)
    assert [state.what for state in states] == ["done"] * 3 + ["stopped", "failed", "waiting"]
    assert [state.step for state in states] == [4, 4, 4, 2, 2, 0]
    assert states[4].failure == "it broke"
    (group,) = sweep_groups(states)
    assert (group.values, group.count) == ({"problem.viscosity": 0.1}, 3)
    assert (group.quantity, group.middle, group.low, group.high) == ("rel_l2", 2.0, 1.0, 3.0)
    record(found.runs[5], final={"rel_l2": 0.1, "loss": 1.0, "phase": "diffusion"})
    best, lacking = sweep_groups(sweep_states(found))
    assert (best.counted, lacking.counted, lacking.middle) == ("3", "1 of 3", 0.1)
    rows = write_table(found, states).read_text(encoding="utf-8").splitlines()
    assert rows[0] == "run,problem.viscosity,run.seed,state,step,seconds,rel_l2,loss"
    assert rows[1] == '"viscosity=0.1,seed=0",0.1,0,done,4,2.0,3.0,1.0'
    assert rows[4].endswith(",stopped,2,1.5,,0.5")
    assert rows[6].endswith(",0.2,2,waiting,0,0.0,,")


def test_a_look_at_a_run_keeps_nobody_from_training_it(read: Callable[..., Sweep]) -> None:
    """Who asks whether a directory is in use holds its lock for an instant."""
    (run,) = read("[sweep]\n[sweep.grid]\nrun.seed = [0]").runs
    directory = RunDirectory(run.config.directory)
    directory.path.mkdir(parents=True)
    looking = FileLock(directory.lock, thread_local=False)
    looking.acquire()
    Timer(0.1, looking.release).start()
    with directory.locked():
        assert sweep_states(read("[sweep]\n[sweep.grid]\nrun.seed = [0]"))[0].what == "running"
    assert not directory.in_use


def test_values_that_a_directory_cannot_tell_apart_are_runs_of_their_own(
    read: Callable[..., Sweep],
) -> None:
    given = '[sweep]\n[sweep.grid]\n"problem.viscosity" = [0.1, "0.1", 0.1]'
    with pytest.raises(PinnError, match=r"viscosity.*\(run viscosity=0.1-\w{8}\)"):
        read(given)
    found = read('[sweep]\n[sweep.grid]\nnetwork.start = ["a/b", "a_b", "a/b"]')
    names = [run.name for run in found.runs]
    assert names[0] == "start=a_b"
    assert names[1].startswith("start=a_b-")
    assert len(names) == 2
