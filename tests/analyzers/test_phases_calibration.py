"""What is announced of synthetic traces: how often it is right, and how often it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinn.analyzers.phases_confidence import WEIGHTS, Signs
from pinn.analyzers.phases_detection import DIFFUSION, SURE, TOTAL_DIFFUSION, find_phases

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks/results/phases_calibration.json").read_text("utf-8"))
EMPTY = ("only fitting", "only noise")


@pytest.fixture(scope="module")
def calibration() -> Any:
    """The program that calibrates."""
    from benchmarks import phases_calibration

    return phases_calibration


@pytest.fixture(scope="module")
def found(calibration: Any) -> dict[str, Any]:
    """A sample of traces that nothing was fitted to."""
    runs = [calibration.judged(trace) for trace in calibration.traces(10, half=2)]
    document: dict[str, Any] = calibration.document(runs)
    return document


@pytest.mark.parametrize(
    ("to", "right", "recall"), [(DIFFUSION, 0.92, 0.85), (TOTAL_DIFFUSION, 0.96, 0.92)]
)
def test_what_is_announced_is_right_and_little_is_missed(
    found: dict[str, Any], to: str, right: float, recall: float
) -> None:
    whole = found["all"][to]
    assert whole["announced"] > 75
    assert whole["right"] > right
    assert whole["recall"] > recall
    assert whole["median_factor"] < 1.2
    assert whole["stated"] == pytest.approx(whole["right"], abs=0.05)
    assert whole["false_per_run"] < 0.08


def test_hardly_anything_is_announced_where_there_is_nothing(found: dict[str, Any]) -> None:
    for kind in EMPTY:
        for to in (DIFFUSION, TOTAL_DIFFUSION):
            assert found["kinds"][kind][to]["announced"] <= 1


def test_the_recorded_calibration_is_that_of_this_code(found: dict[str, Any]) -> None:
    assert {to: tuple(weights) for to, weights in RESULTS["weights"].items()} == WEIGHTS
    assert list(RESULTS["kinds"]) == list(found["kinds"])
    assert RESULTS["all"]["runs"] >= 2000


def test_of_a_part_of_a_trace_what_was_announced_by_its_end_is_found(calibration: Any) -> None:
    """Of one trace of each kind; an announcement that was taken back would be missing."""
    for trace in calibration.traces(1, half=3):
        steps = trace.columns["steps"]
        whole = find_phases(**trace.columns).transitions
        for end in np.geomspace(20, steps[-1], 12):
            first = steps <= end
            part = find_phases(**{name: values[first] for name, values in trace.columns.items()})
            made = tuple(t for t in whole if t.announced <= steps[first][-1])
            assert part.transitions == made, (trace.kind, end)


@pytest.mark.parametrize("to", [DIFFUSION, TOTAL_DIFFUSION])
def test_the_stated_confidence_is_the_share_that_is_right(to: str) -> None:
    """Within three standard errors, or three percent."""
    rows = RESULTS["reliability"][to]
    assert rows[0]["from"] == SURE
    for row in rows:
        error = np.sqrt(row["stated"] * (1 - row["stated"]) / row["announced"])
        assert row["right"] == pytest.approx(row["stated"], abs=max(3 * error, 0.03)), row


def test_a_known_map_from_signs_to_confidence_is_fitted(calibration: Any) -> None:
    generator = np.random.default_rng(0)
    announced = []
    for _ in range(4000):
        signs = Signs(*generator.normal(size=3))
        total = signs.separation - 2 * signs.contrast + 0.5
        right = generator.random() < 1 / (1 + np.exp(-total))
        factor = 1.0 if right else None
        announced.append(calibration.Announced("", DIFFUSION, signs, 0.0, factor))
    np.testing.assert_allclose(calibration.fitted(announced), [1, -2, 0, 0.5], atol=0.15)
