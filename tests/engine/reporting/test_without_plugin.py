"""Runs whose plugin is gone: what was measured is shown all the same, and what is not is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner

from pinn.core import Analyzer, Box, Conclusion, Condition, Problem, Records, View, offered
from pinn.core.parts import Schedule
from pinn.engine import parse_config, train
from pinn.engine.cli import commands
from pinn.engine.reporting.figures import coordinates_of

pytestmark = pytest.mark.draws
LACKING = (
    "problem 'gone' is not installed here; what only that code can tell of the run is not shown"
)


@frozen
class Gone(Problem):
    """u_t = u_xx, of a package that was uninstalled."""

    name = "gone"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))
    grid: ClassVar = {"x": 5, "t": 4}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - torch.sin(q.x))

    def solution(self, q: Any) -> Mapping[str, Any]:
        return {"u": torch.exp(-q.t) * torch.sin(q.x)}


@frozen
class Gauge(Analyzer):
    """Measures one, and concludes from it."""

    name = "gauge"
    schedule = Schedule(every=1)

    def measure(self, view: View) -> Mapping[str, float]:
        return {"gauge": 1.0}

    def conclusions(self, records: Records) -> Iterator[Conclusion]:
        yield Conclusion("the gauge says one")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    table = {
        "run": {"directory": str(tmp_path / "run"), "device": "cpu", "compile": "never"},
        "problem": {"name": "gone"},
        "network": {"width": 4, "depth": 1},
        "points": {"interior": 16, "conditions": 4},
        "optimizers": [{"name": "adam", "steps": 2}],
        "analyzers": [{"name": "error", "every": 1}, {"name": "gauge"}],
    }
    with offered(Gone, Gauge):
        train(parse_config(table))
    return tmp_path / "run"


def test_a_report_shows_what_was_measured(run: Path) -> None:
    (run / "report.html").unlink()
    with offered(Gauge):
        found = CliRunner().invoke(commands, ["report", str(run)])
    assert found.exit_code == 0, found.stderr
    assert LACKING in found.stderr
    page = (run / "report.html").read_text()
    for shown in ("<h1>gone</h1>", "final rel_l2", "Solution u", "the gauge says one"):
        assert shown in page
    assert (run / "figures/solution.png").exists()


def test_a_diagnosis_is_that_of_the_analyzers_that_are_left(run: Path) -> None:
    with offered(Gauge):
        found = CliRunner().invoke(commands, ["diagnose", str(run)])
    assert "the gauge says one" in found.stdout
    assert LACKING in found.stderr
    found = CliRunner().invoke(commands, ["diagnose", str(run)])
    assert found.exit_code == 0, found.stderr
    assert "the gauge" not in found.stdout
    assert "problem 'gone' and analyzer 'gauge' are not installed here" in found.stderr


def test_a_comparison_has_its_numbers(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "all.html"
    found = CliRunner().invoke(commands, ["compare", str(run), "-o", str(page)])
    assert found.exit_code == 0, found.stderr
    assert "rel_l2" in found.stdout
    assert "problem 'gone'" in found.stderr
    assert "problem &#39;gone&#39;" in page.read_text()


def test_another_fault_is_still_refused(run: Path) -> None:
    config = run / "pinn.toml"
    config.write_text(config.read_text().replace("activation", "activity"))
    with offered(Gone, Gauge):
        found = CliRunner().invoke(commands, ["report", str(run)])
    assert found.exit_code == 2
    assert "activity: unknown key" in found.stderr


@pytest.mark.parametrize(
    ("arrays", "coordinates"),
    [
        ({"x": (3,), "u": (3,)}, ["x"]),
        ({"x": (3,), "t": (2,), "u": (3, 2)}, ["x", "t"]),
        ({"x": (3,), "y": (3,), "u": (3,), "u_reference": (3,)}, ["x", "y"]),
    ],
)
def test_coordinates_stand_first(arrays: dict[str, Any], coordinates: list[str]) -> None:
    assert coordinates_of({n: np.zeros(shape) for n, shape in arrays.items()}) == coordinates
