"""The examples of watched loops, run for a few steps as their readers run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "watch"
STEPS = 20


def run(example: str, folder: Path) -> Path:
    """The directory of the run."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DDE_BACKEND": "pytorch"}
    finished = subprocess.run(
        [sys.executable, EXAMPLES / example, str(STEPS)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    (directory,) = (folder / "runs").iterdir()
    return directory


@pytest.mark.parametrize(
    ("example", "package"),
    [("bare.py", "torch"), ("deepxde_heat.py", "deepxde"), ("pina_heat.py", "pina")],
)
def test_an_example_measures_and_reports(tmp_path: Path, example: str, package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    directory = run(example, tmp_path)
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    assert summary["complete"]
    assert summary["steps"] == STEPS
    assert not summary["failures"]
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").open(encoding="utf-8")]
    assert [row["step"] for row in rows] == [1, 10, 20]
    for row in rows[1:]:  # at step 1 compression alone measures
        assert 0 < row["rel_l2"] < 2
        assert row["snr"] > 0
        assert row["phase"]
        assert "saturation.layer3" in row
    assert (directory / "report.html").stat().st_size > 10_000
    assert (directory / "figures" / "snr.png").exists()
    assert (directory / "figures" / "solution.png").exists()
