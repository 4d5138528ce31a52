"""metrics.jsonl: what is written, what a crash leaves, what is read again."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from pinn.core import TrainingError
from pinn.core.records import Records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def lines(path: Path) -> list[Any]:
    """Read as anybody would: strict JSON, one value a line."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") or not text
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_one_line_a_measurement(path: Path) -> None:
    records = Records(path)
    records.append(1, {"loss": 0.5, "phase": "fitting", "count": 3})
    records.append(2, {"loss": np.float32(0.25), "error": torch.tensor(0.1).double()})
    assert lines(path) == [
        {"step": 1, "loss": 0.5, "phase": "fitting", "count": 3},
        {"step": 2, "loss": 0.25, "error": pytest.approx(0.1)},
    ]
    assert lines(path) == records.rows
    assert Records(path).rows == records.rows


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_becomes_null(path: Path, value: Any) -> None:
    records = Records(path)
    records.append(1, {"loss": value, "each": [1.0, value]})
    assert lines(path) == [{"step": 1, "loss": None, "each": [1.0, None]}]
    _, values = Records(path).series("loss")
    assert np.isnan(values).all()


def test_arrays_become_lists_and_arrays_again(path: Path) -> None:
    records = Records(path)
    for step in (1, 2):
        records.append(step, {"histogram": np.arange(6).reshape(2, 3) * step, "empty": np.empty(0)})
    assert lines(path)[1]["histogram"] == [[0, 2, 4], [6, 8, 10]]
    steps, values = Records(path).series("histogram")
    assert steps.tolist() == [1, 2]
    assert values.shape == (2, 2, 3)


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_a_line_cut_short_is_left_out(path: Path, cut: int) -> None:
    records = Records(path)
    records.append(1, {"loss": 0.5})
    records.append(2, {"loss": 0.25, "name": "é" * 4})
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    found = Records(path)
    assert [row["step"] for row in found.rows] == [1] or cut == 1
    found.keep_until(2)
    found.append(3, {"loss": 0.1})
    assert lines(path)[0] == {"step": 1, "loss": 0.5}
    assert lines(path)[-1] == {"step": 3, "loss": 0.1}


@pytest.mark.parametrize("tail", [b"\x00" * 64, b"\xff\xfe", b'{"step": 3, "lo\xc3'])
def test_rubbish_that_a_power_cut_leaves_behind(path: Path, tail: bytes) -> None:
    Records(path).append(1, {"loss": 0.5})
    with path.open("ab") as file:
        file.write(tail)
    found = Records(path)
    assert [row["step"] for row in found.rows] == [1]
    found.keep_until(5)
    assert lines(path) == [{"step": 1, "loss": 0.5}]


def test_keep_until_forgets_what_came_after(path: Path) -> None:
    records = Records(path)
    for step in (5, 10, 15, 20):
        records.append(step, {"loss": 1 / step})
    records.keep_until(12)
    assert [row["step"] for row in records.rows] == [5, 10]
    assert lines(path) == records.rows
    records.keep_until(0)
    assert lines(path) == []


def test_nothing_is_written_before_anything_is_measured(path: Path) -> None:
    records = Records(path)
    records.keep_until(3)
    assert not path.exists()
    assert records.arrays() == {}


def test_series_of_what_is_measured_at_some_steps_only(path: Path) -> None:
    records = Records(path)
    records.append(1, {"a": 1.0})
    records.append(2, {"a": 2.0, "b": math.nan})
    steps, values = records.series("b")
    assert steps.tolist() == [2]
    assert np.isnan(values).tolist() == [True]
    assert set(records.arrays()) == {"a", "b"}
    assert records.series("c")[0].size == 0


def test_nulls_in_arrays_are_nan_and_arrays_may_change_their_shape(path: Path) -> None:
    records = Records(path)
    records.append(1, {"map": [[1.0, math.nan]], "values": [1.0, 2.0]})
    records.append(2, {"map": [[3.0, 4.0]], "values": [[3.0], [math.inf]]})
    _, maps = Records(path).series("map")
    assert maps.dtype == np.float64
    np.testing.assert_array_equal(maps, [[[1, math.nan]], [[3, 4]]])
    _, values = Records(path).series("values")
    np.testing.assert_array_equal(values[0], [1, 2])
    np.testing.assert_array_equal(values[1], [[3], [math.nan]])


def test_a_line_that_is_written_is_told(path: Path) -> None:
    records, told = Records(path), []
    records.listeners.append(told.append)
    records.add(1, {"loss": 0.5})
    assert not told
    records.add(1, {"wind": 2.0}, "weather")
    records.write()
    records.write()
    records.append(2, {"loss": 0.25})
    assert told == lines(path) == records.rows
    assert records.sources == {"wind": "weather"}


def test_a_line_grows_until_it_is_written(path: Path) -> None:
    records = Records(path)
    records.write()
    assert not path.exists()
    records.add(1, {"loss": 0.5})
    records.add(1, {"error": 0.1, "loss": 0.25})
    assert records.unwritten
    assert not path.exists()
    assert records.rows == [{"step": 1, "loss": 0.25, "error": 0.1}]
    records.write()
    records.write()
    assert not records.unwritten
    records.append(2, {"loss": 0.1})
    assert lines(path) == records.rows == [*records.rows[:1], {"step": 2, "loss": 0.1}]


def test_what_was_recorded_last(path: Path) -> None:
    records = Records(path)
    assert (records.names, records.last("a"), "a" in records) == ([], None, False)
    records.append(1, {"b": 1.0, "a": 2.0, "word": "calm"})
    records.append(2, {"a": math.nan, "b": 3.0})
    records.append(3, {"c": [1.0, 2.0]})
    assert records.names == ["a", "b", "c", "word"]
    assert [records.last(name) for name in records.names] == [None, 3.0, [1.0, 2.0], "calm"]
    assert all(name in records for name in records.names)
    assert "d" not in records


def test_a_full_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(path)
    records.append(1, {"loss": 0.5})

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(TrainingError, match=r"metrics.jsonl: cannot be written: the disk is full"):
        records.append(2, {"loss": 0.4})
    monkeypatch.undo()
    assert [row["step"] for row in Records(path).rows] == [1]


finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda n: n != "step")


@given(
    st.lists(
        st.dictionaries(names, finite | st.integers(-(2**53), 2**53) | st.lists(finite)), max_size=4
    )
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("records") / "metrics.jsonl"
    records = Records(path)
    for step, row in enumerate(rows):
        records.append(step, row)
    assert Records(path).rows == [{"step": step, **row} for step, row in enumerate(rows)]
