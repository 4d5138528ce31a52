"""Sweeps trained elsewhere: by Ray on two nodes, by submitit, and what goes wrong there."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from pinn.core import PinnError
from pinn.core.errors import ConfigError
from pinn.engine import open_run, sweep
from pinn.engine.sweeping.clusters import RayOptions, SlurmOptions, cluster_of
from pinn.engine.sweeping.jobs import Function, Job, Outcome
from pinn.engine.sweeping.places import each
from pinn.engine.sweeping.sweep import read_sweep
from tests.engine.sweeping.test_sweeping import written

GRID = '[sweep.grid]\n"optimizers.0.lr" = [1e-3, 1e30]\nrun.seed = [0, 1]'


@define(eq=False)
class Later:
    """A job that is done when it is looked at a second time."""

    work: Callable[[], Outcome]
    looks: int = 0
    cancelled: bool = False

    def done(self) -> bool:
        self.looks += 1
        return self.looks > 1

    def result(self) -> Outcome:
        return Outcome("0", False) if self.cancelled else self.work()

    def cancel(self) -> None:
        self.cancelled = True


@define(eq=False)
class Here:
    """A cluster that is this process."""

    at_once: float = math.inf
    submitted: list[Later] = field(factory=list, init=False)

    def submit(self, function: Function, job: Job) -> Later:
        self.submitted.append(Later(partial(function, job)))
        return self.submitted[-1]

    def wait(self, seconds: float) -> None:
        pass

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


JOBS = [Job(str(number), {}, ".", report=False) for number in range(3)]


def outcomes(found: Iterator[Outcome | None]) -> list[Outcome]:
    return [outcome for outcome in found if outcome is not None]


def test_a_job_whose_machine_dies_is_submitted_once_more() -> None:
    tried: list[str] = []

    def work(job: Job) -> Outcome:
        tried.append(job.name)
        if job.name == "1" and tried.count("1") == 1:
            raise ConnectionError("the node is gone")
        if job.name == "2":
            raise ConnectionError("no node\nat all")
        return Outcome(job.name, True)

    found = outcomes(each(Here(), work, JOBS, lambda: False))
    assert {o.name: o.failure for o in found} == {
        "0": None,
        "1": None,
        "2": "its process died 2 times: ConnectionError: no node",
    }
    assert sorted(tried) == ["0", "1", "1", "2", "2"]


def test_where_one_has_ended_the_next_begins_at_once() -> None:
    """Not after a wait for those that are at work."""
    happened: list[str] = []

    class Watched(Here):
        def submit(self, function: Function, job: Job) -> Later:
            happened.append("begins")
            return super().submit(function, job)

        def wait(self, seconds: float) -> None:
            happened.append("waits")

    def work(job: Job) -> Outcome:
        happened.append("ends")
        return Outcome(job.name, True)

    outcomes(each(Watched(at_once=1), work, JOBS, lambda: False))
    assert happened[:-1] == ["begins", "waits", "ends"] * len(JOBS)


def test_all_are_asked_to_stop_once() -> None:
    """Those that wait are not begun."""
    here = Here(at_once=2)
    stop = iter([False, True])
    found = outcomes(each(here, lambda job: Outcome(job.name, True), JOBS, stop.__next__))
    assert [o.complete for o in found] == [False] * 3
    assert len(here.submitted) == 2
    assert all(one.cancelled for one in here.submitted)


def test_what_cannot_be_submitted_is_tried_once_more() -> None:
    class Full(Here):
        def submit(self, function: Function, job: Job) -> Later:
            raise OSError("the queue is full")

    found = outcomes(each(Full(), lambda job: Outcome(job.name, True), JOBS[:1], lambda: False))
    assert [o.failure for o in found] == ["its process died 2 times: OSError: the queue is full"]


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("ray", (RayOptions(), None), "pip install 'pinn-dynamics[ray]'"),
        ("submitit", (None, SlurmOptions()), "pip install 'pinn-dynamics[slurm]'"),
    ],
)
def test_what_is_not_installed_is_said(
    module: str, options: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PinnError, match="needs the package") as caught:
        cluster_of(*options, 1, tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[sweep.ray]\nadress = "auto"',
            "[sweep.ray] adress: unknown key (did you mean 'address'?)",
        ),
        ("[sweep.slurm]\nminutes = 0", "[sweep.slurm] minutes"),
        ("[sweep.grid]\nrun.seeds = [2, 3]", "[run] seeds: of a sweep the runs are listed"),
        ("[sweep.ray]\n[sweep.slurm]\nminutes = 5", "ray and slurm: expected one of the two"),
    ],
)
def test_what_the_sections_must_say(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_sweep(written(tmp_path, text))
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_sweep_on_two_nodes_of_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes.add_node(num_cpus=1)
        file = written(tmp_path, f'{GRID}\n[sweep.ray]\naddress = "{nodes.address}"')
        found = sweep(file)
        assert [state.what for state in found] == ["done", "done", "failed", "failed"]
        assert "step 2: the loss of 'burgers' is nan" in str(found[2].failure)
        assert open_run(found[0].run.config.directory).complete
    finally:
        nodes.shutdown()


def test_a_cluster_of_ray_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    file = written(tmp_path, f'{GRID}\n[sweep.ray]\naddress = "127.0.0.1:1"')
    with pytest.raises(PinnError, match=r"\[sweep.ray\] address: no cluster at 127.0.0.1:1"):
        sweep(file)


@pytest.mark.slow
def test_a_sweep_of_jobs_of_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    file = written(tmp_path, f'{GRID}\n[sweep.slurm]\ncluster = "local"\nminutes = 5')
    found = sweep(file)
    assert [state.what for state in found] == ["done", "done", "failed", "failed"]
    assert (tmp_path / "runs" / "slurm").is_dir()
