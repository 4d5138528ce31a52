"""The report of a run: whole, in part, and with plugins that fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from pinn.core import Analyzer, Conclusion, PinnError, TrainingError, offered
from pinn.core.parts import Schedule
from pinn.core.plots import Curves, Drawing, Plot, Span
from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine import Config, Run, diagnose, train
from pinn.engine.cli import commands
from pinn.engine.configuration.config import Observer
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.reporting.diagnosis import concluded
from pinn.engine.reporting.report import draw_report, write_report
from pinn.engine.training.environment import environment

pytestmark = pytest.mark.draws

MakeConfig = Callable[..., Config]
SUMMARY = {
    "problem": "helmholtz", "complete": True, "steps": 5, "parameters": 60, "final": {"loss": 0.5},
    "failures": {}, "seconds": {"training": 1.0}, "steps_per_second": 5.0,
}  # fmt: skip
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a page says, what it is made of, and whether its elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.elements: list[str] = []
        self.outside: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open
        assert len(set(self.ids)) == len(self.ids)
        assert not self.outside, "needs the network"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._attributes(attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self._attributes(attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)
        elif "url(" in data or "@import" in data:
            self.outside.append(data)

    def _attributes(self, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href") and not re.match("#|data:", value or ""):
                self.outside.append(value or "")


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


class Plain(Analyzer):
    def measure(self, view: View) -> Mapping[str, Any]:
        return {}


@attrs.frozen
class Speedometer(Plain):
    """How fast it goes, & how <far>.

    Further down.
    """

    name = "speedometer"
    shows = "speed"

    def figures(self, records: Records) -> Iterator[Plot]:
        yield Curves(
            name="speed", title="Speed & <more>", quantities={"speed": "v"}, ylabel="v in m/s",
            caption="Faster is <better>.", noisy=True,
        )  # fmt: skip
        yield Curves(name="absent", title="Absent", quantities={"nothing": "n"}, ylabel="n")
        yield Drawing(name="circle", title="A circle", draw=self.circle, height=1.5)

    def spans(self, records: Records) -> Iterator[Span]:
        yield Span("slow", 0, 40)
        yield Span("fast", 40, 120)

    def conclusions(self, records: Records) -> Iterator[Conclusion]:
        yield Conclusion(f"It reached {records.last('speed'):g} m/s.")
        yield Conclusion("It is <slow>.", "an engine", "Otto 1876")

    @staticmethod
    def circle(figure: Figure) -> None:
        figure.subplots().scatter([1], [1])


@attrs.frozen
class Broken(Plain):
    """Breaks."""

    name = "broken"

    def figures(self, records: Records) -> Iterator[Plot]:
        yield Drawing(name="torn", title="Torn", draw=lambda figure: figure.no_such_thing())
        yield Curves(name="speed", title="Namesake", quantities={"speed": "v"}, ylabel="v")
        raise ValueError("no <figure> today")

    def spans(self, records: Records) -> Iterator[Span]:
        raise KeyError("begin")

    def conclusions(self, records: Records) -> Iterator[Conclusion]:
        raise ValueError("none today")


MakeRun = Callable[..., tuple[RunDirectory, Config, Records]]


@pytest.fixture
def make_run(make_config: MakeConfig) -> MakeRun:
    """A directory that holds a configuration and 12 records, of a run that has not ended."""

    def make(*analyzers: Analyzer, **problem: Any) -> tuple[RunDirectory, Config, Records]:
        observers = tuple(Observer(analyzer, Schedule()) for analyzer in analyzers)
        config = attrs.evolve(make_config(problem or {"name": "helmholtz"}), observers=observers)
        directory = RunDirectory(config.directory)
        with directory.locked():
            directory.describe(config, environment("CPU", config.parts))
        records = Records(directory.metrics)
        for step in range(10, 130, 10):
            row = {"loss": 2.0 / step, "loss.unweighted": 1.0 / step, "speed": 0.25 * step}
            records.append(step, {**row, "seconds": step / 10})
        return directory, config, records

    return make


def test_every_run_ends_with_a_report_and_its_figures(make_config: MakeConfig) -> None:
    run = train(make_config({"name": "helmholtz"}, run={"record": 1}))
    page = read(run.path / "report.html")
    assert page.elements.count("figure") == page.elements.count("svg") == 2
    assert {path.name for path in (run.path / "figures").iterdir()} == {
        "solution.pdf", "solution.png", "loss.pdf", "loss.png",
    }  # fmt: skip
    assert "not complete" not in page.text
    for words in ("helmholtz", "lhs", "vanilla", "adam (5 steps)", "final loss.unweighted"):
        assert words in page.text
    assert 'name = "adam"' in page.text
    assert '"torch": ' in page.text
    assert "What watching cost" not in page.text


def test_the_command_writes_the_same_report_again(make_config: MakeConfig) -> None:
    analyzers = [{"name": "error", "every": 1}]
    run = train(make_config({"name": "helmholtz"}, run={"record": 1}, analyzers=analyzers))
    files = [run.path / "report.html", *sorted((run.path / "figures").iterdir())]
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    found = CliRunner().invoke(commands, ["report", str(run.path)])
    assert (found.exit_code, found.stderr) == (0, "")
    assert str(files[0]) in found.stdout
    assert [path.read_bytes() for path in files] == before
    page = read(files[0])
    seconds = run.summary["seconds"]
    share = f"{100 * seconds['error'] / seconds['training']:.1f} %"
    assert share in page.text.split("What watching cost")[1]


def test_an_analyzer_has_its_section_its_figures_and_its_final_value(make_run: MakeRun) -> None:
    page = read(draw_report(*make_run(Speedometer())))
    assert "How fast it goes, & how <far>." in page.text
    assert "Further down" not in page.text
    assert "Speed & <more>" in page.text
    assert "Faster is <better>. Dots: measurements. Line: their running median." in page.text
    assert "final speed (speedometer) 30" in page.text
    assert page.elements.count("figure") == 3  # with the loss; what was not recorded is left out
    assert "This run is not complete: step 120 of 5." in page.text


def test_conclusions_head_the_report_those_with_advice_first(make_run: MakeRun) -> None:
    page = read(draw_report(*make_run(Speedometer()))).text
    first = page.index("It is <slow>. Try: an engine (speedometer, Otto 1876)")
    assert first < page.index("It reached 30 m/s. (speedometer)") < page.index("How fast it goes")


def test_the_command_says_what_to_conclude(make_run: MakeRun) -> None:
    directory, _, _ = make_run(Speedometer(), Broken())
    with offered(Speedometer, Broken):
        found = CliRunner().invoke(commands, ["diagnose", str(directory.path)])
    assert found.exit_code == 0
    assert found.stdout.split("\n\n") == [
        "It is <slow>.\n  Try: an engine\n  (speedometer, Otto 1876)",
        "It reached 30 m/s.\n  (speedometer)\n",
    ]
    assert "note: broken: conclusions(): ValueError: none today" in found.stderr


def test_a_run_that_says_nothing_is_told_so(make_run: MakeRun) -> None:
    directory, _, _ = make_run()
    assert diagnose(directory.path).text().startswith("Nothing to conclude")


@pytest.mark.parametrize(
    ("course", "expected"),
    [
        (lambda step: 2 + 1 / step**2, "k came from 3 to 2.0001, and stands still."),
        (lambda step: step / 50, "k came from 0.02 to 2, and still moves, by 25 % over the last "),
    ],
)
def test_what_unknowns_came_to_is_said(course: Callable[[int], float], expected: str) -> None:
    records = Records(Path("never-written"))
    records.rows = [{"step": s, "unknown.k": course(s)} for s in range(1, 101)]
    (found,) = concluded([], records, [])
    assert found[1].finding.startswith(expected)


def test_spans_are_told_and_shaded_in_every_figure_over_the_steps(make_run: MakeRun) -> None:
    page = draw_report(*make_run(Speedometer()))
    assert "slow 0 40 fast 40 120" in read(page).text
    figures = page.read_text(encoding="utf-8").split("<figure")[1:]
    shaded = ["var(--shade1)" in figure for figure in figures]
    assert shaded == [True, True, False]


def test_a_plugin_that_fails_costs_one_line_a_fault(make_run: MakeRun) -> None:
    directory, config, records = make_run(Broken(), Speedometer())
    page = read(draw_report(directory, config, records))
    assert "Not shown: figures(): ValueError: no <figure> today" in page.text
    assert "Not shown: spans(): KeyError: 'begin'" in page.text
    assert "Not shown: conclusions(): ValueError: none today" in page.text
    assert "Not shown: figure 'torn': AttributeError: " in page.text
    assert "Namesake" in page.text
    assert "A circle" in page.text
    assert {path.stem for path in directory.figures.iterdir()} == {
        "loss", "speed", "speed-2", "circle",
    }  # fmt: skip


def test_a_run_without_records_has_a_report(make_run: MakeRun) -> None:
    directory, _, _ = make_run()
    directory.metrics.unlink()
    page = read(write_report(directory.path))
    assert page.elements.count("figure") == 0
    assert "This run is not complete: step 0 of 5." in page.text


@pytest.mark.parametrize("name", ["predictions.npz", "summary.json", "environment.json"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[" * 100_000, b"PK\x03\x04"],
)
def test_a_file_that_is_not_what_was_written_is_left_out_and_said(
    make_run: MakeRun, name: str, content: bytes
) -> None:
    directory, _, _ = make_run()
    (directory.path / name).write_bytes(content)
    found = CliRunner().invoke(commands, ["report", str(directory.path)])
    assert found.exit_code == 0, found.output
    said = f"{directory.path / name}: is not what a run writes: "
    assert found.stderr.startswith(f"note: left out: {said}")
    assert len(found.stderr.splitlines()) == 1
    assert f"Left out: {said}" in read(directory.report).text


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": "7"},
        {"complete": 1},
        {"seconds": {"training": "long"}},
        {"final": []},
        {"more": 1},
    ],
)
def test_a_summary_of_another_form(make_run: MakeRun, wrong: dict[str, Any]) -> None:
    directory, _, _ = make_run()
    directory.summary.write_text(json.dumps({**SUMMARY, **wrong}))
    with pytest.raises(PinnError, match=rf"summary.json: {next(iter(wrong))}"):
        _ = Run(directory).summary


def test_what_is_no_run_or_is_not_configured_is_a_clear_error(
    tmp_path: Path, make_run: MakeRun
) -> None:
    found = CliRunner().invoke(commands, ["report", str(tmp_path / "nothing")])
    assert found.exit_code == 2
    assert found.stderr.startswith(f"error: {tmp_path / 'nothing'}: is not a run directory")

    directory, _, _ = make_run()
    text = directory.config.read_text().replace("wid" + "th", "wi" + "th")
    directory.config.write_text(text)
    found = CliRunner().invoke(commands, ["report", str(directory.path)])
    assert found.exit_code == 2
    assert "with: unknown key" in found.stderr


def test_figures_that_cannot_be_written_are_an_error(make_run: MakeRun) -> None:
    directory, config, records = make_run(Speedometer())
    directory.figures.write_text("in the way")
    with pytest.raises(TrainingError, match=re.escape(f"{directory.figures}: cannot be written")):
        draw_report(directory, config, records)


def test_the_summary_gives_the_times(make_run: MakeRun) -> None:
    directory, config, records = make_run(Speedometer())
    seconds = {"training": 8.0, "speedometer": 2.0}
    directory.summary.write_text(json.dumps({**SUMMARY, "seconds": seconds}))
    page = read(draw_report(directory, config, records))
    assert "run time 10 s" in page.text
    assert "speedometer 2 25.0 %" in page.text
    assert "not complete" not in page.text
