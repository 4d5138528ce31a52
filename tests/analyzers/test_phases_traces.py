"""Traces from files: what is read, and what is said of files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pinn.analyzers.phases_traces import read_trace
from pinn.core import PinnError
from pinn.core.records import Records
from pinn.engine.cli import commands

HEADER = "step,gradient_mean_norm,gradient_std_norm"


def phases(path: Path) -> Result:
    return CliRunner().invoke(commands, ["phases", str(path)])


def rows() -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    steps = [*range(2, 301, 2), *range(400, 60_001, 100)]
    levels = [30 if s < 150 else 0.03 if s < 10_000 else 5 for s in steps]
    return [
        {
            "step": s,
            "gradient_mean_norm": level * 10 ** (0.2 * generator.normal()),
            "gradient_std_norm": 1.0,
            "weight_cell_mean": 0.8 if s < 10_000 else 0.99,
            "weight_cell_rms": 1.0,
            "rel_l2": 1.0 if s < 10_000 else 0.4,
        }
        for s, level in zip(steps, levels, strict=True)
    ]


def write_csv(path: Path, names: list[str]) -> Path:
    lines = [",".join(names), *(",".join(str(row[n]) for n in names) for row in rows())]
    path.write_text("\n".join(lines))
    return path


def write_run(path: Path) -> Path:
    path.mkdir()
    records = Records(path / "metrics.jsonl")
    for row in rows():
        records.append(row["step"], {n: v for n, v in row.items() if n != "step"})
        records.append(row["step"] + 1, {"loss": 1.0})  # a step at which nothing else is due
    return path


def test_the_same_trace_in_every_form_has_the_same_phases(tmp_path: Path) -> None:
    whole = write_csv(tmp_path / "whole.csv", list(rows()[0]))
    needed = write_csv(tmp_path / "needed.csv", HEADER.split(","))
    run = write_run(tmp_path / "run")
    documents = [
        json.loads(phases(path).output) for path in (whole, run, run / "metrics.jsonl", needed)
    ]
    assert documents[0] == documents[1] == documents[2]
    first, second = documents[0]["transitions"]
    only, again = documents[3]["transitions"]
    assert only == first
    assert again["step"] == pytest.approx(second["step"], rel=0.2)
    assert second["step"] < second["announced"] < again["announced"]
    assert second["evidence"].startswith("gradient SNR 0.0")
    assert (first["to"], second["to"]) == ("diffusion", "total_diffusion")
    assert 100 < first["step"] < 225
    assert 6_667 < second["step"] < 15_000
    assert 0 < first["confidence"] <= 1
    assert second["also_called"] == "diffusion equilibrium"
    assert documents[0]["phase"] == "total_diffusion"


def test_columns_are_read_as_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "gradient_std_norm,loss,step,weight_cell_rms,gradient_mean_norm,weight_cell_mean\n"
        "0.5,,2,4,1.5,3\n"
        ",,3,,,\n"
        "0.25,7,4,,2,\n"
    )
    trace = read_trace(path)
    assert trace.steps.tolist() == [2, 4]
    assert trace.mean_norm.tolist() == [1.5, 2]
    assert trace.std_norm.tolist() == [0.5, 0.25]
    assert trace.residual_order.tolist() == [0.75, 0.75]
    assert np.isnan(trace.pde_snr).all()
    assert np.isnan(trace.error).all()
    np.testing.assert_array_equal(trace.loss, [np.nan, 7])


def test_names_of_a_run_are_read_and_the_better_ones_preferred(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        f"{HEADER},weight_cell_mean,weight_cell_rms,residual_order.rba.neighbours,snr.pde,rel_l2,"
        "loss,loss.unweighted\n"
        "2,1,1,3,4,0.6,0.1,0.9,7,5\n"
        "4,1,1,3,4,,,,7,\n"
    )
    trace = read_trace(path)
    assert trace.residual_order.tolist() == [0.6, 0.75]
    assert trace.pde_snr.tolist() == [0.1, 0.1]
    assert trace.error.tolist() == [0.9, 0.9]
    assert trace.loss.tolist() == [5, 7]


def test_a_residual_order_measured_between_belongs_to_the_next_measurement(tmp_path: Path) -> None:
    records = Records(tmp_path / "metrics.jsonl")
    gradient = {"gradient_mean_norm": 1.0, "gradient_std_norm": 2.0}
    records.append(1, gradient)
    records.append(2, {"weight_cell_mean": 0.6, "weight_cell_rms": 1.0})
    records.append(3, gradient)
    trace = read_trace(tmp_path / "metrics.jsonl")
    assert trace.steps.tolist() == [1, 3]
    np.testing.assert_array_equal(trace.residual_order, [np.nan, 0.6])


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    whole = read_trace(run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99999, "gradient_me')
    assert np.array_equal(read_trace(run).steps, whole.steps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no measurements"),
        (f"{HEADER}\n", "has no measurements"),
        ("step,gradient_mean_norm\n1,2\n", "lacks gradient_std_norm; its columns are step, gr"),
        ("a;b\n1;2\n", "lacks step, gradient_mean_norm, gradient_std_norm; its columns are a;b"),
        (f"{HEADER}\n1,two,3\n", "measurement 1: gradient_mean_norm is 'two', not a number"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(PinnError, match=message):
        read_trace(path)
    result = phases(path)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "message"), [("none.csv", "no such file"), ("", "is it the directory of a run")]
)
def test_what_is_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(PinnError, match=message):
        read_trace(tmp_path / name)


def test_a_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(PinnError, match="is neither CSV nor metrics"):
        read_trace(path)
