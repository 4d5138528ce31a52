"""How many cores there are for a process, and that a run takes no more threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from pinn.engine import Config, train
from pinn.engine.configuration import cores as counting
from pinn.engine.configuration.cores import cores
from pinn.engine.training.progress import Reporter
from pinn.engine.training.threads import no_more_than_cores

PINNED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Control groups with these files, of which the process is in `job/step`."""
    monkeypatch.setattr(counting, "GROUPS", tmp_path)
    (tmp_path / "mine").write_text("5:memory:/elsewhere\n4:cpuset,cpu:/job/step\n0::/job/step\n")
    monkeypatch.setattr(counting, "MINE", tmp_path / "mine")

    def write(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")

    return write


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, PINNED),
        ({"cpu.max": "max 100000\n"}, PINNED),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "190000 100000\n"}, 1),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "99900000 100000\n"}, PINNED),
        ({"cpu.max": "nonsense"}, PINNED),
        ({"job/cpu.max": "100000 100000\n", "job/step/cpu.max": "max 100000\n"}, 1),
        ({"job/step/cpu.max": "100000 100000\n", "cpu.max": "max 100000\n"}, 1),
        ({"elsewhere/cpu.max": "100000 100000\n"}, PINNED),
        (
            {
                "cpu/job/step/cpu.cfs_quota_us": "100000\n",
                "cpu/job/step/cpu.cfs_period_us": "100000\n",
            },
            1,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, PINNED),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_cores_are_what_the_process_may_use(
    files: dict[str, str], expected: int, groups: Callable[[Mapping[str, str]], None]
) -> None:
    groups(files)
    assert cores() == expected


@pytest.mark.usefixtures("without_results")
def test_a_run_takes_no_more_and_says_so(
    groups: Callable[[Mapping[str, str]], None],
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    groups({"cpu.max": "100000 100000\n"})
    notes: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "note", notes.append)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        train(make_config({"name": "burgers"}), reporter)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert any("CPU (1 thread)" in note for note in notes)


def test_whoever_sets_the_number_is_obeyed(
    groups: Callable[[Mapping[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    groups({"cpu.max": "100000 100000\n"})
    before = torch.get_num_threads()
    with no_more_than_cores():
        assert torch.get_num_threads() == before
