"""Runs beside each other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from pinn.core import Analyzer, PinnError
from pinn.core.parts import Schedule
from pinn.core.plots import Curves, Plot
from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine import Config, parse_config, train
from pinn.engine.cli import commands
from pinn.engine.configuration.config import Observer
from pinn.engine.reporting.comparison import NOT_REACHED, Compared, Comparison, drawn, labels, table
from pinn.engine.reporting.content import sections
from pinn.engine.reporting.page import FigureFolder

pytestmark = pytest.mark.draws

MakeConfig = Callable[..., Config]


@attrs.frozen
class Heights(Analyzer):
    """Heights."""

    name = "heights"
    shows = "stage"
    events = ("summit", "descent")

    def measure(self, view: View) -> Mapping[str, Any]:
        return {}

    def figures(self, records: Records) -> Iterator[Plot]:
        yield Curves(
            name="heights", title=f"This run climbs to {records.last('height')}",
            quantities={"height": "peak", "valley": "valley"}, ylabel="height in m", noisy=True,
        )  # fmt: skip


MakeRuns = Callable[..., list[Compared]]


@pytest.fixture
def make_runs(make_config: MakeConfig) -> MakeRuns:
    """One run for each series of rows; the first does not watch heights."""

    def make(*series: list[dict[str, Any]]) -> list[Compared]:
        made = []
        for place, rows in enumerate(series):
            observers = (Observer(Heights(), Schedule()),) if place else ()
            problem = {"name": "burgers" if place else "helmholtz"}
            config = attrs.evolve(make_config(problem), observers=observers)
            records = Records(Path("/nowhere"))
            records.rows = rows
            told = sections(config, records)
            made.append(Compared(f"run {place + 1}", place, config, records, told))
        return made

    return make


FLAT = [{"step": 10, "loss.unweighted": 0.5, "loss": 0.1, "seconds": 2.0}]
HIGH = [
    {"step": 10, "height": 3.0, "stage": "ascent", "summit": 10, "seconds": 4.0},
    {"step": 20, "height": 5.0, "stage": "rest", "descent": None},
]


def test_the_table_has_times_final_values_and_the_steps_of_events(make_runs: MakeRuns) -> None:
    rows = {row.name: row.cells for row in table(make_runs(FLAT, HIGH))}
    assert rows == {
        "steps": ["10", "20"],
        "loss.unweighted": ["0.5", "–"],
        "stage": ["–", "rest"],
        "summit": ["–", "10"],
        "descent": ["–", NOT_REACHED],
        "seconds of training": ["2", "4"],
        "seconds per step": ["0.2", "0.4"],
    }


def test_a_run_without_records_is_compared(make_runs: MakeRuns, tmp_path: Path) -> None:
    runs = make_runs([], FLAT)
    assert next(row.cells for row in table(runs)) == ["0", "10"]
    assert [exhibit.name for exhibit in drawn(runs, FigureFolder(tmp_path))] == ["loss"]
    assert list(drawn(runs[:1], FigureFolder(tmp_path))) == []


def test_each_kind_of_curves_is_one_figure_with_a_line_a_run(
    make_runs: MakeRuns, tmp_path: Path
) -> None:
    exhibits = {e.name: e for e in drawn(make_runs(FLAT, HIGH, HIGH), FigureFolder(tmp_path))}
    assert list(exhibits) == ["loss", "heights"]
    heights = exhibits["heights"]
    assert heights.title == "height in m: peak"  # the title of one run would not fit the others
    assert "var(--c1)" not in heights.svg  # the colour of the run that has none
    assert "var(--c2)" in heights.svg
    assert "var(--c3)" in heights.svg
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "heights.pdf", "heights.png", "loss.pdf", "loss.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["runs/a", "runs/b"], ["a", "b"]),
        (["x/run", "y/run"], ["x/run", "y/run"]),
        (["x/1/run", "y/1/run", "z/b"], ["x/1/run", "y/1/run", "b"]),
        (["deep/x/run", "x/run"], ["deep/x/run", "{here}/x/run"]),
        (["a"], ["a"]),
    ],
)
def test_runs_go_by_the_shortest_names_that_tell_them_apart(
    paths: list[str], expected: list[str], tmp_path: Path
) -> None:
    found = labels([tmp_path / path for path in paths])
    assert found == [name.replace("{here}", tmp_path.name) for name in expected]


def test_a_run_given_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PinnError, match="is given twice"):
        labels([tmp_path, tmp_path / "a", tmp_path / "a" / ".."])


def test_the_text_is_aligned(make_runs: MakeRuns) -> None:
    runs = make_runs(FLAT, HIGH)
    text = Comparison(Path("x"), ["short", "a longer name"], table(runs)).text()
    lines = text.splitlines()
    assert lines[0].split("  ")[-1] == "a longer name"
    assert len({len(line) for line in lines}) == 1
    assert lines[5].split() == ["descent", "first", "step", "–", "not", "reached"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    table = {
        "run": {"directory": str(folder / "first"), "record": 1, "device": "cpu"},
        "problem": {"name": "helmholtz"},
        "network": {"width": 4, "depth": 1},
        "points": {"interior": 16, "conditions": 4},
        "optimizers": [{"name": "adam", "steps": 5}],
        "analyzers": [{"name": "error", "every": 1}],
    }
    first = train(parse_config(table)).path
    shutil.copytree(first, folder / "second")
    return folder


def test_the_command_writes_a_page_figures_and_a_table(trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    runs = [str(trained / "first"), str(trained / "second")]
    found = CliRunner().invoke(commands, ["compare", *runs, "-o", str(page)])
    assert (found.exit_code, found.stderr) == (0, "")
    head, steps, *_, wrote = found.stdout.splitlines()
    assert head.split() == ["first", "second"]
    assert steps.split() == ["steps", "trained", "5", "5"]
    assert wrote == f"wrote {page}"
    assert (tmp_path / "both" / "loss.pdf").exists()
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == len(list((tmp_path / "both").glob("*.png")))
    assert "helmholtz; mlp; vanilla weights; adam (5 steps)" in text


def test_a_page_without_suffix_gets_one_and_a_missing_run_is_one_line(
    trained: Path, tmp_path: Path
) -> None:
    runner = CliRunner()
    run = str(trained / "first")
    found = runner.invoke(commands, ["compare", run, "-o", str(tmp_path / "page")])
    assert found.exit_code == 0
    assert (tmp_path / "page.html").is_file()
    assert (tmp_path / "page").is_dir()

    found = runner.invoke(commands, ["compare", run, str(tmp_path / "none")])
    assert found.exit_code == 2
    assert found.stderr == (
        f"error: {tmp_path / 'none'}: is not a run directory: it has no pinn.toml\n"
    )
