"""`pinn predict`: tables in, tables out, and what is wrong with a table by its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pinn.engine import Run, open_run, parse_config, train
from pinn.engine.cli import commands
from pinn.engine.training import run as running

POINTS = "name, y ,x\nfirst,0.25,0.5\n\nsecond,-1,1\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trained") / "run"
    table = {
        "run": {"directory": str(folder), "device": "cpu", "compile": "never", "checkpoint": 1},
        "problem": {"name": "helmholtz", "a1": 1, "a2": 1},
        "network": {"width": 6, "depth": 2},
        "points": {"interior": 48, "conditions": 12},
        "optimizers": [{"name": "adam", "steps": 6, "lr": 0.5}],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "write_results", lambda *_: None)
        return train(parse_config(table))


@pytest.fixture
def points(tmp_path: Path) -> Path:
    file = tmp_path / "points.csv"
    file.write_text(POINTS)
    return file


def predict(run: Run, *words: Any) -> Result:
    return CliRunner().invoke(commands, ["predict", str(run.path), *map(str, words)])


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_observables_become_columns_behind_those_of_the_table(trained: Run, points: Path) -> None:
    result = predict(trained, "--at", points)
    assert result.exit_code == 0, result.output
    names, first, second = rows(result.stdout)
    assert names == ["name", "y", "x", "u"]
    assert first[:3] == ["first", "0.25", "0.5"]
    assert second[:3] == ["second", "-1.0", "1.0"]
    expected = trained.predict(x=[0.5, 1.0], y=[0.25, -1.0])["u"]
    assert [float(first[3]), float(second[3])] == pytest.approx(list(expected), rel=1e-7)
    assert len(first[3].lstrip("-0.")) <= 9  # the digits of single precision


def test_the_best_network_predicts_when_it_is_asked_for(trained: Run, points: Path) -> None:
    best = rows(predict(trained, "--at", points, "--best").stdout)
    expected = open_run(trained.path, best=True).predict(x=0.5, y=0.25)["u"]
    assert float(best[1][3]) == pytest.approx(float(expected), rel=1e-7)
    assert best != rows(predict(trained, "--at", points).stdout)


def test_arrays_hold_the_same(trained: Run, points: Path, tmp_path: Path) -> None:
    result = predict(trained, "--at", points, "-o", tmp_path / "out.npz")
    assert result.stdout == f"wrote {tmp_path / 'out.npz'}: name, y, x, u\n"
    with np.load(tmp_path / "out.npz") as found:
        assert found["name"].tolist() == ["first", "second"]
        assert found["x"].tolist() == [0.5, 1.0]
        np.testing.assert_allclose(found["u"], trained.predict(x=found["x"], y=found["y"])["u"])


def test_without_points_it_is_the_evaluation_grid(trained: Run, tmp_path: Path) -> None:
    grid = trained.on_grid()
    assert predict(trained, "-o", tmp_path / "grid.npz").exit_code == 0
    with np.load(tmp_path / "grid.npz") as found:
        assert found["u"].shape == (len(found["x"]), len(found["y"]))
        np.testing.assert_allclose(found["u"], grid.fields["u"], rtol=1e-6)
    assert predict(trained, "-o", tmp_path / "grid.csv").exit_code == 0
    names, *lines = rows((tmp_path / "grid.csv").read_text())
    assert names == ["x", "y", "u"]
    table = np.array(lines, float)
    np.testing.assert_allclose(table[:, :2], grid.points())
    np.testing.assert_allclose(table[:, 2], grid.fields["u"].ravel(), rtol=1e-6)


def test_a_column_of_that_name_stays(trained: Run, points: Path) -> None:
    points.write_text("x;y;u\n0.5;0.25;17\n")
    names, row = rows(predict(trained, "--at", points).stdout)
    assert names == ["x", "y", "u", "u_predicted"]
    assert row[2] == "17"


def test_points_outside_of_the_domain_are_told(trained: Run, points: Path) -> None:
    points.write_text("x,y\n0,0\n0,1.0000000001\n0,-3\n2,0\n")
    result = predict(trained, "--at", points)
    assert result.exit_code == 0
    assert len(rows(result.stdout)) == 5
    assert result.stderr == (
        "note: 2 of 4 points are outside of the domain, where the network was not trained; the first, "
        "in line 4, has y = -3, of -1 to 1\n"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x,Y\n0,0\n", "has no column 'y'; the coordinates are x, y, its columns Y, x"),
        (b"x,yy\n0,0\n", "has no column 'y' (did you mean 'yy'?); the coordinates are x, y"),
        (b"x,y\n0,0\n\n0,abc\n", "line 4: y is 'abc', not a number"),
        (b"x,y\n0,\n", "line 2: y is '', not a number"),
        (b"x,y\nnan,0\n", "line 2: x is 'nan', not a number"),
        (b"x,y\n1_0,0\n", "line 2: x is '1_0', not a number"),
        (b"x,y\n0,0\n0\n", "line 3: has 1 cells; its first line names 2 columns"),
        (b"x,y,x\n0,0,0\n", "has two columns called 'x'"),
        (b"x,y\n", "has no points: expected a line of names, and lines of numbers"),
        (b"", "has no points"),
        (b"\xff\xfe", "is not a UTF-8 text file"),
    ],
)
def test_a_table_that_is_none_is_one_message(
    content: bytes, told: str, trained: Run, points: Path
) -> None:
    points.write_bytes(content)
    result = predict(trained, "--at", points)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {points}: {told}")
    assert len(result.stderr.splitlines()) == 1


def test_a_byte_order_mark_and_tabs_are_read(trained: Run, points: Path) -> None:
    points.write_bytes("\ufeffx\ty\r\n0.5\t0.25\r\n".encode())
    assert rows(predict(trained, "--at", points).stdout)[1][:2] == ["0.5", "0.25"]


def test_what_cannot_be_done(trained: Run, points: Path, tmp_path: Path) -> None:
    missing = predict(trained, "--at", tmp_path / "nothing.csv")
    assert missing.stderr == f"error: {tmp_path / 'nothing.csv'}: there is no such file\n"
    ending = predict(trained, "--at", points, "-o", "a.vtu")
    assert ending.stderr.startswith("error: a.vtu: expected the ending .csv or .npz; `pinn export`")
