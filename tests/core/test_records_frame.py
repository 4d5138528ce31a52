"""Tables of what a run recorded: `frame()`, and metrics.jsonl as pandas and Polars read it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pinn.core import PinnError
from pinn.core.discovery import registry
from pinn.core.records import Records, cell
from pinn.engine import Run, open_run, parse_config, train
from pinn.engine.training import run

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

NAN = math.nan
PANDAS = 1e-10  # it drops digits, and its precise_float=True fails at numbers below 2e-308
READERS: dict[str, Callable[[Path], Mapping[str, Any]]] = {
    "pandas": lambda path: pandas.read_json(path, lines=True).to_dict("list"),
    "polars": lambda path: polars.read_ndjson(path, infer_schema_length=None).to_dict(
        as_series=False
    ),
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every analyzer that there is."""
    parts = registry().parts("analyzer")
    analyzers = sorted(parts, key=lambda part: len(part.cls.needs))  # type: ignore[attr-defined]
    config = parse_config(
        {
            "run": {
                "directory": str(tmp_path_factory.mktemp("frame") / "run"),
                "device": "cpu",
                "compile": "never",
                "record": 1,
            },
            "problem": {"name": "burgers"},
            "network": {"width": 6, "depth": 2},
            "points": {"interior": 64, "conditions": 12},
            "optimizers": [{"name": "adam", "steps": 12}],
            "analyzers": [{"name": part.name, "every": 4} for part in analyzers],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "write_results", lambda *_: None)
        return train(config)


def test_one_row_a_step_and_one_column_a_quantity(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    records.append(1, {"loss": 0.5, "count": 3, "word": "calm"})
    records.append(5, {"error": NAN, "loss": 0.25, "map": np.eye(2), "count": 4})
    records.append(9, {"loss": 0.125, "count": 5, "error": 2.0, "begun": 7})
    found = records.frame()
    assert found.index.name == "step"
    assert found.index.tolist() == [1, 5, 9]
    assert [*found] == ["loss", "count", "word", "error", "map", "begun"]
    assert found["loss"].tolist() == [0.5, 0.25, 0.125]
    assert found["count"].dtype == np.int64
    np.testing.assert_array_equal(found["error"], [NAN, NAN, 2.0])
    np.testing.assert_array_equal(found["begun"], [NAN, NAN, 7.0])
    assert found["word"].dropna().to_dict() == {1: "calm"}
    assert found["map"].isna().tolist() == [True, False, True]
    np.testing.assert_array_equal(found["map"][5], np.eye(2))
    assert [*found.select_dtypes("number")] == ["loss", "count", "error", "begun"]


def test_what_was_never_finite_is_a_column_of_numbers(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    for step in (1, 2):
        records.append(step, {"condition": NAN, "map": [1.0, NAN]})
    found = records.frame()
    assert found["condition"].dtype == np.float64
    np.testing.assert_array_equal(np.stack(found["map"]), [[1, NAN], [1, NAN]])


def test_a_run_that_has_recorded_nothing_is_an_empty_table(tmp_path: Path) -> None:
    found = Records(tmp_path / "metrics.jsonl").frame()
    assert found.empty
    assert found.index.name == "step"


def test_a_frame_holds_what_metrics_hold(everything: Run) -> None:
    found, metrics = everything.frame(), everything.metrics()
    assert {*found} == {*metrics}
    assert found.index.tolist() == list(range(1, 13))
    for name, (steps, values) in metrics.items():
        for step, value in zip(steps, values, strict=True):
            np.testing.assert_array_equal(found[name][step], value)
        assert found[name].drop(steps).isna().all()


def test_without_pandas_the_extra_is_named(
    everything: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PinnError, match=r"needs the package pandas: pip install 'pinn-dynamics\["):
        open_run(everything.path).frame()


def assert_reads(path: Path, reader: str) -> None:
    """Every number, word and array; missing where it is null or was not measured."""
    found = READERS[reader](path)
    rows = Records(path).rows
    assert {*found} == {name for row in rows for name in row}
    for name, column in found.items():
        for row, value in zip(rows, column, strict=True):
            expected = row.get(name)
            if isinstance(expected, int | float):
                assert value == (
                    pytest.approx(expected, rel=PANDAS) if reader == "pandas" else expected
                )
            elif expected is None:
                assert value is None or np.isnan(value), name
            elif isinstance(expected, str):
                assert value == expected, name
            else:
                np.testing.assert_allclose(cell(value), cell(expected), rtol=PANDAS)


@pytest.mark.parametrize("reader", READERS)
def test_the_metrics_of_every_analyzer_are_read(everything: Run, reader: str) -> None:
    path = everything.path / "metrics.jsonl"
    rows = Records(path).rows
    kinds = {type(value) for row in rows for value in row.values()}
    assert kinds >= {int, float, str, list}
    assert_reads(path, reader)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "values",
    [
        [1, 0.5],
        [0.5, 1],
        [NAN, 1, 0.5],
        [NAN, NAN],
        ["calm", NAN, "wild"],
        [[NAN, 1.0], [2.0, 3.0]],
        [[[NAN, 1.0]], [[2.0, NAN]]],
        [[], [1.0]],
        [2**60, 0.1],
    ],
    ids=str,
)
def test_quantities_that_change_their_kind_are_read(
    tmp_path: Path, reader: str, values: list[Any]
) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    for i, value in enumerate([*values, None]):
        records.append(i + 1, {"seldom": value} if value is not None else {"other": 1})
    assert_reads(records.path, reader)


@pytest.mark.parametrize("reader", READERS)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_numbers_of_any_size_are_read(
    tmp_path_factory: pytest.TempPathFactory, reader: str, values: list[float]
) -> None:
    records = Records(tmp_path_factory.mktemp("numbers") / "metrics.jsonl")
    for step, value in enumerate(values):
        records.append(step, {"loss": value})
    assert_reads(records.path, reader)
