"""When analyzers measure: the schedule by itself, from the configuration, and in runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tomli
from hypothesis import given, strategies as st

from pinn.core import Schedule
from pinn.core.kinds import AnalyzerOptions
from pinn.engine import Config, parse_config, train

MakeConfig = Callable[..., Config]

PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 1}
DISTANCES = st.integers(0, 12)
SCHEDULES = st.builds(
    Schedule,
    every=DISTANCES,
    early_every=DISTANCES,
    early_steps=DISTANCES,
    at=st.lists(DISTANCES).map(tuple),
)


@given(SCHEDULES)
def test_the_steps_are_those_of_its_three_rules(schedule: Schedule) -> None:
    end = 60
    often = set(range(0, end, schedule.every)) if schedule.every else set()
    early = set(range(0, end, schedule.early_every)) if schedule.early_every else set()
    expected = often | {s for s in early if s <= schedule.early_steps} | set(schedule.at)
    assert {step for step in range(end) if schedule.due(step)} == expected


def test_the_default_is_denser_at_first() -> None:
    due = [step for step in range(1, 1001) if Schedule().due(step)]
    assert due == [*range(10, 301, 10), *range(400, 1001, 100)]


def test_a_schedule_may_name_no_step() -> None:
    never = Schedule(every=0, early_every=0)
    assert not any(never.due(step) for step in range(1000))


@given(SCHEDULES)
def test_what_the_configuration_leaves_out_is_the_analyzers_own(own: Schedule) -> None:
    assert AnalyzerOptions().schedule(own) == own
    assert AnalyzerOptions(every=7).schedule(own).every == 7
    assert AnalyzerOptions(every=7).schedule(own).at == own.at
    assert AnalyzerOptions(at=[3, 4]).schedule(own).at == (3, 4)
    assert AnalyzerOptions(every=0, at=[]).schedule(own).at == ()


def test_the_written_configuration_has_the_whole_schedule() -> None:
    table = {
        "problem": PROBLEM,
        "optimizers": [{"name": "adam", "steps": 1}],
        "analyzers": [{"name": "error", "every": 50}, {"name": "maps"}],
    }
    error, maps = tomli.loads(parse_config(table).toml())["analyzers"]
    assert error == {"name": "error", "every": 50, "early_every": 10, "early_steps": 300, "at": []}
    assert maps["every"] == maps["early_every"] == 0
    assert maps["at"][0] == 10


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"every": 4, "early_every": 0}, [4, 8, 9]),
        ({"every": 4, "early_every": 1, "early_steps": 3}, [1, 2, 3, 4, 8, 9]),
        ({"every": 0, "early_every": 0}, [9]),
        ({"every": 0, "early_every": 0, "at": [5, 2, 70]}, [2, 5, 9]),
        ({"every": 9, "early_every": 0}, [9]),
    ],
)
def test_a_run_measures_at_its_steps_and_the_last(
    make_config: MakeConfig, options: dict[str, Any], expected: list[int]
) -> None:
    stages = [{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 5}]
    run = train(make_config(PROBLEM, optimizers=stages, analyzers=[{"name": "error", **options}]))
    assert run.metrics()["rel_l2"][0].tolist() == expected
    assert run.metrics()["loss"][0].tolist() == expected
