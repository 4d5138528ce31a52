"""The table of errors in README and in the page of measurements is that of what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import accuracy
from benchmarks.accuracy import Curve, cell, cpu, seconds_cell, seconds_to

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_file() -> None:
    curves = json.loads(accuracy.RESULTS.read_text(encoding="utf-8"))["curves"]
    assert accuracy.short_table(curves) in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert accuracy.table(curves) in page


def curve(*rows: tuple[float, float]) -> Curve:
    """(minutes, error)"""
    return [(cpu(m), cpu(m), int(100 * m), error) for m, error in rows]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ({"0": ((1, 1e-2), (3, 1e-4)), "1": ((1, 1e-2), (3, 3e-4))}, "2.0e-4 (3.0e-4)"),
        ({"0": ((1, 1e-2), (3, 1e-4)), "1": ((1, 1e-2),)}, "1.0e-4 (seed 0)"),
        ({"0": ((1, 1e-2),), "1": ((1, 1e-2),)}, ""),
        (
            {"0": ((1, 1e-2), (2, 1e-3)), "1": ((1, 1e-2), (2.5, 3e-3))},
            "5.5e-3 (1.0e-2) after 2.0 min",
        ),
    ],
)
def test_a_cell_says_of_how_many_runs_it_is(
    runs: dict[str, tuple[tuple[float, float], ...]], expected: str
) -> None:
    assert cell({seed: curve(*rows) for seed, rows in runs.items()}, 3) == expected


def test_a_run_that_never_arrives_counts_as_later() -> None:
    times = [seconds_to(curve((1, 1e-2), (2, 1e-4)), 1e-3), seconds_to(curve((1, 1e-2)), 1e-3)]
    assert times == [120.0, None]
    assert seconds_cell([60.0, *times]) == "120 s"
    assert seconds_cell([120.0, None, None]) == ""
