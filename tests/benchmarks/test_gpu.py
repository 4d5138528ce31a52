"""The program for a GPU, tried on a CPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu


def test_the_steps_are_timed_on_a_cpu_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "gpu.json"
    asked = ["--device", "cpu", "--points", "32", "--problems", "allen-cahn", "--parts", "steps"]
    only = ["--only", "pinn", "nested", "matrix products", "its own products"]
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["gpu", "--output", str(output), *asked, *only])
    gpu.main()
    found = json.loads(output.read_text(encoding="utf-8"))
    times = found["allen-cahn, 32 points, ms a step"]
    assert set(times) == {"pinn", "nested", "matrix products", "its own products"}
    assert all(time > 0 for time in times.values())
    assert found["machine"]["device"] == "cpu"


def test_another_call_measures_what_is_missing_until_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    output.write_text(json.dumps({"checks": "as before"}), encoding="utf-8")
    monkeypatch.setattr(gpu, "two_processes", lambda device: {"1": 1.0})
    asked = ["--device", "cpu", "--parts", "checks", "processes", "paper"]

    def called(*more: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["gpu", "--output", str(output), *asked, *more])
        gpu.main()
        found: dict[str, object] = json.loads(output.read_text(encoding="utf-8"))
        return found

    assert called("--minutes", "-1")["checks"] == "as before"
    assert capsys.readouterr().out.count("left for another call") == 2
    monkeypatch.setattr(gpu, "paper", lambda device, steps: {"rel_l2": 1.0})
    again = called()
    assert again["checks"] == "as before"
    assert again["two processes"] == {"1": 1.0}


@pytest.mark.slow
def test_two_processes_and_seeds_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "END_OF_SEEDS", 200)
    found = gpu.two_processes("cpu")
    assert isinstance(found, dict)
    assert found["relative difference of the errors"] < 1e-3
    assert min(gpu.seeds_together("cpu", (1, 2)).values()) > 0


@pytest.mark.slow
def test_the_papers_set_up_is_trained_for_some_steps() -> None:
    found = gpu.paper("cpu", 1)
    assert found["seconds"]["training"] > 0
    assert found["rel_l2"] > 0
