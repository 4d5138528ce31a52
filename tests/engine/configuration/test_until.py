"""What ends a stage: how it is written, when it is met, and whole runs that wait for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.core import Analyzer, ConfigError, PinnError, Schedule
from pinn.core.records import Records
from pinn.engine import Config, open_run, parse_config, train
from pinn.engine.configuration.until import Happened, Passed, Plateau, parse_until

MakeConfig = Callable[..., Config]

EVENTS = ("total_diffusion", "diffusion")


def recorded(*rows: dict[str, Any]) -> Records:
    records = Records(Path("/nowhere/metrics.jsonl"))
    records.rows = list(rows)
    return records


# how it is written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total_diffusion", Happened("total_diffusion")),
        ("rel_l2 < 1e-2", Passed("rel_l2", "<", 0.01)),
        ("  rel_l2<1e-2 ", Passed("rel_l2", "<", 0.01)),
        ("residual_order.rba.10cells > .9", Passed("residual_order.rba.10cells", ">", 0.9)),
        ("alignment > -1", Passed("alignment", ">", -1.0)),
        ("plateau", Plateau("loss.unweighted", 70)),
        ("plateau of rel_l2.u", Plateau("rel_l2.u", 70)),
        (" plateau  of  loss ", Plateau("loss", 70)),
    ],
)
def test_the_forms(text: str, expected: Any) -> None:
    assert parse_until(text, 70, EVENTS) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("total_difusion", "did you mean 'total_diffusion'"),
        ("platau", "did you mean 'plateau'"),
        ("plateau of", "QUANTITY < NUMBER"),
        ("plateau of two words", "QUANTITY < NUMBER"),
        ("", "expected an event such as"),
        ("rel_l2", "this run announce diffusion, total_diffusion"),
        ("rel_l2 = 3", "QUANTITY < NUMBER"),
        ("rel_l2 <", "QUANTITY < NUMBER"),
        ("< 3", "QUANTITY < NUMBER"),
        ("rel_l2 < small", "expected a number behind the sign, found 'rel_l2 < small'"),
        ("rel_l2 <=3", "expected a number"),
        ("rel_l2 < nan", "expected a number"),
        ("rel_l2 > inf", "expected a number"),
    ],
)
def test_what_is_not_a_form(text: str, said: str) -> None:
    with pytest.raises(PinnError) as caught:
        parse_until(text, 70, EVENTS)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_event_is_announced() -> None:
    with pytest.raises(PinnError, match="no analyzer of this run announces an event"):
        parse_until("diffusion", 70, ())


@given(st.text())
def test_any_text_is_a_form_or_a_message(text: str) -> None:
    with suppress(PinnError):
        parse_until(text, 70, EVENTS)


# when it is met


@pytest.mark.parametrize(
    ("rows", "met"),
    [
        ([{"step": 1}], False),
        ([{"step": 1, "a": None}], False),
        ([{"step": 1, "a": 1}], True),
        ([{"step": 1, "a": 1}, {"step": 2}], True),
        ([{"step": 1, "a": 1}, {"step": 2, "a": None}], False),
        ([{"step": 1, "a": None}, {"step": 2, "a": 1}], True),
    ],
)
@pytest.mark.parametrize("begin", [0, 5])
def test_an_event_happened_once_it_is_known(
    rows: list[dict[str, Any]], met: bool, begin: int
) -> None:
    """In whatever stage that was."""
    assert Happened("a").met(recorded(*rows), begin) is met


@pytest.mark.parametrize("sign", ["<", ">"])
@pytest.mark.parametrize("value", [0.5, 2.0, 1.0, None, -3.0])
def test_a_bound_is_passed(sign: str, value: float | None) -> None:
    expected = value is not None and (value < 1 if sign == "<" else value > 1)
    before = {"step": 1, "a": 0.0 if sign == "<" else 9.0}
    assert Passed("a", sign, 1.0).met(recorded({"step": 2, "a": value}), 0) is expected
    assert Passed("a", sign, 1.0).met(recorded(before, {"step": 2, "a": value}), 1) is expected


@pytest.mark.parametrize("until", [Passed("a", "<", 1.0), Plateau("a", 1)])
def test_only_a_record_that_has_the_quantity_can_meet_it(until: Any) -> None:
    rows = [{"step": step, "a": 0.0} for step in range(1, 5)]
    assert until.met(recorded(*rows), 0)
    assert not until.met(recorded(*rows, {"step": 5}), 0)


def naive_plateau(series: list[tuple[int, float | None]], begin: int, patience: int) -> bool:
    now = series[-1][0]
    best: float | None = None
    for step, value in series:
        if begin < step <= now - patience and value is not None:
            best = value if best is None else min(best, value)
    if best is None:
        return False
    return not any(
        value is not None and value < best - 0.01 * abs(best)
        for step, value in series
        if step > now - patience
    )


@given(
    st.lists(st.none() | st.sampled_from([-2.0, -1.0, 0.0, 0.5, 0.6, 0.599, 1e-9]), min_size=1),
    st.integers(1, 6),
    st.integers(0, 20),
    st.integers(1, 30),
)
def test_a_plateau_is_the_definition(
    values: list[float | None], every: int, begin: int, patience: int
) -> None:
    series = [(every * i, value) for i, value in enumerate(values, 1)]
    if series[-1][0] <= begin:
        return
    rows = [{"step": step, "a": value} for step, value in series]
    found = Plateau("a", patience).met(recorded(*rows), begin)
    assert found is naive_plateau(series, begin, patience)


@given(st.integers(1, 5), st.integers(1, 40), st.floats(-1e3, 1e3))
def test_what_stays_as_it_is_ends_once_the_patience_is_over(
    every: int, patience: int, value: float
) -> None:
    rows = [{"step": every * (i + 1), "a": value} for i in range(100)]
    met = [Plateau("a", patience).met(recorded(*rows[:n]), 0) for n in range(1, 101)]
    assert met == [row["step"] >= every + patience for row in rows]


@given(st.integers(1, 40), st.floats(0.5, 0.98))
def test_what_falls_steadily_is_no_plateau(patience: int, factor: float) -> None:
    rows = [{"step": step, "a": factor**step} for step in range(1, 60)]
    assert not Plateau("a", patience).met(recorded(*rows), 0)


def test_nothing_but_nan_is_no_plateau_but_nan_behind_a_minimum_is() -> None:
    nothing = [{"step": step, "a": None} for step in range(1, 9)]
    assert not Plateau("a", 3).met(recorded(*nothing), 0)
    assert Plateau("a", 3).met(recorded({"step": 0, "a": 1.0}, *nothing), -1)


# whole runs


@frozen
class Alarm(Analyzer):
    """Knows at step `known` that something happened at step 2, and a word and a list besides."""

    name = "alarm"
    events = ("alarm",)
    schedule = Schedule(every=1, early_every=0)

    known: int = 5

    def measure(self, view: Any) -> dict[str, Any]:
        return {
            "alarm": 2 if view.step >= self.known else math.nan,
            "mood": "calm",
            "pair": [1.0, 2.0],
        }


@frozen
class Reader(Analyzer):
    """Counts what another recorded in this step."""

    name = "reader"
    needs = ("alarm",)

    def measure(self, view: Any) -> dict[str, Any]:
        return {"read": float("alarm" in view.records.rows[-1])}


SOLVED = {"name": "helmholtz", "a1": 1, "a2": 1}
ADAM = {"name": "adam", "steps": 30, "lr": 1e-2}
LBFGS = {"name": "lbfgs", "steps": 3}
ALARM = [{"name": "alarm"}]
quick = pytest.mark.usefixtures("without_results")


@pytest.fixture
def waiting(
    make_config: MakeConfig, offer: Callable[..., None], tmp_path: Path
) -> Callable[..., Config]:
    """A run of stages in a directory of its own."""
    offer(Alarm, Reader)

    def make(
        name: str,
        *stages: dict[str, Any],
        analyzers: list[dict[str, Any]] = ALARM,
        record: int = 1,
        **sections: Any,
    ) -> Config:
        run = {"directory": str(tmp_path / name), "record": record, "checkpoint": 4}
        stages_ = [dict(stage) for stage in stages]
        return make_config(SOLVED, run=run, optimizers=stages_, analyzers=analyzers, **sections)

    return make


def loss_steps(directory: Path) -> list[int]:
    return open_run(directory).metrics()["loss"][0].tolist()


@quick
def test_adam_until_an_event_then_lbfgs(
    waiting: Callable[..., Config], assert_same_runs: Callable[..., None], crashing: Any
) -> None:
    """As if the first stage had been given that many steps."""
    reporter = crashing()
    run = train(waiting("until", {**ADAM, "until": "alarm"}, LBFGS), reporter)
    assert "step 5: alarm: the stage ends" in reporter.notes
    assert reporter.steps == list(range(1, 9))
    train(waiting("fixed", {**ADAM, "steps": 5}, LBFGS))
    assert_same_runs(run.path, run.path.with_name("fixed"))
    again = crashing()
    train(run.config, again)
    assert again.steps == []
    assert any("all 8 steps are done already" in note for note in again.notes)


@quick
def test_an_event_is_noticed_where_it_is_measured(waiting: Callable[..., Config]) -> None:
    every_four = [{"name": "alarm", "every": 4}]
    run = train(waiting("run", {**ADAM, "until": "alarm"}, LBFGS, analyzers=every_four, record=100))
    assert run.metrics()["alarm"][0].tolist() == [4, 8, 11]


@quick
def test_an_event_of_an_earlier_stage_ends_the_stage_at_its_first_record(
    waiting: Callable[..., Config],
) -> None:
    run = train(waiting("run", {**ADAM, "until": "alarm"}, {**LBFGS, "until": "alarm"}))
    assert loss_steps(run.path) == [1, 2, 3, 4, 5, 6]


@quick
def test_an_event_that_does_not_happen_leaves_the_number_of_steps(
    waiting: Callable[..., Config],
) -> None:
    never = [{"name": "alarm", "known": 1000}]
    run = train(waiting("run", {**ADAM, "until": "alarm", "steps": 4}, LBFGS, analyzers=never))
    assert loss_steps(run.path) == [1, 2, 3, 4, 5, 6, 7]


@quick
def test_a_bound_ends_the_stage_at_the_first_measurement_below_it(
    waiting: Callable[..., Config],
) -> None:
    error = [{"name": "error", "every": 2, "early_every": 0}]
    steps, values = train(waiting("whole", ADAM, analyzers=error)).metrics()["rel_l2"]
    bound = float(values[5:7].mean())
    for name, sign, passed in (("below", "<", values < bound), ("above", ">", values > bound)):
        stage = {**ADAM, "until": f"rel_l2 {sign} {bound}"}
        found = loss_steps(train(waiting(name, stage, analyzers=error)).path)
        assert found == list(range(1, steps[passed][0] + 1))


@quick
def test_a_plateau_ends_the_stage(waiting: Callable[..., Config]) -> None:
    still = {**ADAM, "lr": 1e-12, "until": "plateau", "patience": 6}
    assert loss_steps(train(waiting("run", still, record=2, analyzers=[])).path) == [2, 4, 6, 8]


@quick
def test_the_patience_of_a_stage_begins_with_it(waiting: Callable[..., Config]) -> None:
    still = {**ADAM, "lr": 1e-12, "until": "plateau of loss", "patience": 3}
    assert loss_steps(train(waiting("run", still, still)).path) == [1, 2, 3, 4, 5, 6, 7, 8]


@quick
@pytest.mark.parametrize("until", [None, "alarm"])
def test_the_last_row_has_everything(waiting: Callable[..., Config], until: str | None) -> None:
    seldom = {"every": 1000, "early_every": 0}
    analyzers = [
        {"name": "snr", "batches": 3, **seldom},
        *ALARM,
        {"name": "reader", **seldom},
        {"name": "error", **seldom},
    ]
    stage = ADAM | ({"until": until} if until else {})
    run = train(waiting("run", stage, analyzers=analyzers, record=1000))
    last = Records(run.path / "metrics.jsonl").rows[-1]
    assert last.keys() >= {"loss", "loss.unweighted", "snr", "rel_l2", "alarm", "read"}
    assert last["read"] == 1
    assert last["step"] == (5 if until else 30)


@quick
def test_at_the_last_step_analyzers_measure_in_their_order(waiting: Callable[..., Config]) -> None:
    """What one reads is there, even where only the reader is due."""
    analyzers = [{"name": "alarm", "every": 1000}, {"name": "reader", "every": 2}]
    run = train(waiting("run", {**ADAM, "steps": 4}, analyzers=analyzers))
    assert run.metrics()["read"][1].tolist() == [0, 1]


@quick
@pytest.mark.parametrize(
    ("until", "said"),
    [
        (
            "rel_l3 < 1",
            r"nothing records 'rel_l3' \(did you mean 'rel_l2'\?\); recorded are alarm, ",
        ),
        ("plateau of nothing", "nothing records 'nothing'; recorded are alarm, "),
        ("mood < 1", "what is recorded as 'mood' is not a number"),
        ("plateau of pair", "what is recorded as 'pair' is not a number"),
    ],
)
def test_what_nothing_records_as_a_number_is_said(
    waiting: Callable[..., Config], until: str, said: str
) -> None:
    analyzers = [*ALARM, {"name": "error", "every": 3, "early_every": 0}]
    config = waiting("run", ADAM, {**ADAM, "until": until}, analyzers=analyzers)
    with pytest.raises(PinnError, match=rf"^\[\[optimizers\]\] 2 until: {said}") as caught:
        train(config)
    assert "\n" not in str(caught.value)


@quick
def test_what_is_recorded_rarely_is_waited_for(waiting: Callable[..., Config]) -> None:
    rarely = [{"name": "error", "every": 7, "early_every": 0}]
    run = train(waiting("run", {**ADAM, "until": "rel_l2 < 1e9"}, analyzers=rarely))
    assert loss_steps(run.path)[-1] == 7


@quick
@pytest.mark.parametrize("until", ["alarm", "plateau of rel_l2", "snr < 1e9"])
def test_killed_and_continued_it_is_bitwise_the_same(
    waiting: Callable[..., Config],
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[..., None],
    tmp_path: Path,
    until: str,
) -> None:
    stages = (
        {**ADAM, "lr": 1e-9, "steps": 9, "until": until, "patience": 4},
        {**LBFGS, "until": "loss < 1e-30"},
        {**ADAM, "steps": 6},
    )
    sections = {
        "analyzers": [
            *ALARM,
            {"name": "error", "every": 1},
            {"name": "snr", "every": 5, "early_every": 0, "batches": 3},
            {"name": "homogeneity", "every": 3},
        ],
        "weighting": {"name": "rba"},
        "points": {"redraw": 5},
    }
    train(waiting("whole", *stages, **sections))
    train_with_crashes(waiting("parts", *stages, **sections), 3, 4, 5, 6, 9, 12, 13)
    assert_same_runs(tmp_path / "whole", tmp_path / "parts")
    assert loss_steps(tmp_path / "whole")[-1] == 14


# training on


@quick
def test_no_more_steps_where_the_last_stage_ended_by_itself(
    waiting: Callable[..., Config],
) -> None:
    run = train(waiting("run", {**ADAM, "until": "alarm"}))
    before = (run.path / "pinn.toml").read_bytes()
    with pytest.raises(PinnError, match=r"ended at step 5, as its until = 'alarm' says"):
        run.train(more_steps=3)
    assert (run.path / "pinn.toml").read_bytes() == before
    assert run.train().path == run.path


@quick
def test_more_steps_where_the_number_of_steps_came_first(
    waiting: Callable[..., Config], assert_same_runs: Callable[..., None]
) -> None:
    first = {**ADAM, "until": "alarm"}
    stage = {**ADAM, "until": "loss < 1e-30"}
    run = train(waiting("run", first, {**stage, "steps": 3})).train(more_steps=4)
    whole = train(waiting("whole", first, {**stage, "steps": 7}))
    assert_same_runs(run.path, whole.path)
    until_now = train(waiting("event", {**ADAM, "until": "alarm", "steps": 3}))
    assert loss_steps(until_now.train(more_steps=9).path) == [1, 2, 3, 4, 5]


# what the configuration says of it


def faults(*analyzers: Any, until: str | None = None) -> list[str]:
    stage = ADAM | ({"until": until} if until else {})
    table = {"problem": SOLVED, "optimizers": [stage], "analyzers": list(analyzers)}
    try:
        parse_config(table)
    except ConfigError as error:
        return list(error.faults)
    return []


@pytest.fixture
def offered(offer: Callable[..., None]) -> None:
    offer(Alarm, Reader)


@pytest.mark.usefixtures("offered")
def test_an_analyzer_stands_behind_those_that_it_needs() -> None:
    said = "reader: reads what 'alarm' records: put [[analyzers]] name = \"alarm\" above it"
    alarm, reader = {"name": "alarm"}, {"name": "reader"}
    assert faults(alarm, reader) == []
    assert faults({"name": "error"}, reader) == [f"[[analyzers]] 2 {said}"]
    assert faults(reader, alarm) == [f"[[analyzers]] 1 {said}"]


@pytest.mark.usefixtures("offered")
def test_an_analyzer_stands_there_once() -> None:
    alarm = {"name": "alarm"}
    assert faults(alarm, {**alarm, "every": 7}) == ["[[analyzers]] 2 alarm: stands there twice"]


@pytest.mark.usefixtures("offered")
def test_an_event_needs_the_analyzer_that_announces_it() -> None:
    assert faults({"name": "alarm"}, until="alarm") == []
    (fault,) = faults({"name": "error"}, until="alarm")
    assert fault.startswith("[[optimizers]] 1 until: expected an event such as")
    assert fault.endswith("put [[analyzers]] name = alarm into the file")
    (fault,) = faults({"name": "alarm"}, until="alram")
    assert "did you mean 'alarm'?" in fault


@pytest.mark.usefixtures("offered")
def test_a_faulty_analyzer_is_the_only_fault() -> None:
    """What needs it or waits for it is not wrong."""
    found = faults({"name": "alarm", "known": "soon"}, {"name": "reader"}, until="alarm")
    assert found == ["[[analyzers]] 1 known: expected a whole number, found 'soon'"]
