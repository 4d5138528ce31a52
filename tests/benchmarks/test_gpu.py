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
    only = ["--only", "pinn", "nested", "matrix products"]
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["gpu", "--output", str(output), *asked, *only])
    gpu.main()
    found = json.loads(output.read_text(encoding="utf-8"))
    times = found["allen-cahn, 32 points, ms a step"]
    assert set(times) == {"pinn", "nested", "matrix products"}
    assert all(time > 0 for time in times.values())
    assert found["machine"]["device"] == "cpu"


@pytest.mark.slow
def test_the_papers_set_up_is_trained_for_some_steps() -> None:
    found = gpu.paper("cpu", 1)
    assert found["seconds"]["training"] > 0
    assert found["rel_l2"] > 0
