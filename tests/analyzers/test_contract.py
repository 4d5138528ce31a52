"""Every registered analyzer is a pure observer whose quantities can be recorded, shown and drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinn.core.discovery import registry
from pinn.core.records import Records
from pinn.engine import Config, parse_config, train
from pinn.engine.reporting import report
from pinn.engine.training import run
from pinn.testing import check_analyzer

ANALYZERS = {part.name: part.cls for part in registry().parts("analyzer")}
NAMES = list(ANALYZERS)
STEPS = 6
TABLE = {
    "problem": {"name": "helmholtz", "a1": 1, "a2": 2},
    "network": {"width": 6, "depth": 2},
    "weighting": {"name": "rba", "eta": 0.1},
    "optimizers": [{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 2}],
}


def with_needs(name: str) -> list[str]:
    """The analyzer behind all that it needs."""
    needed = [other for need in ANALYZERS[name].needs for other in with_needs(need)]
    return list(dict.fromkeys([*needed, name]))


ALL = list(dict.fromkeys(other for name in NAMES for other in with_needs(name)))


def config(directory: Path, analyzers: list[str], every: int = 2) -> Config:
    schedule = {"every": every, "early_every": 0, "at": []}
    return parse_config(
        {
            "run": {"directory": str(directory), "device": "cpu", "compile": "never", "seed": 3}
            | {"record": 1, "checkpoint": 2},
            "points": {"interior": 48, "conditions": 12, "redraw": 4},
            "analyzers": [{"name": name, **schedule} for name in analyzers],
            **TABLE,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def without_drawing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "write_results", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A run that these analyzers watch; the same one for the same analyzers."""
    runs: dict[tuple[str, ...], Any] = {}

    def make(*analyzers: str) -> Any:
        if analyzers not in runs:
            directory = tmp_path_factory.mktemp("run") / "run"
            runs[analyzers] = train(config(directory, list(analyzers)))
        return runs[analyzers]

    return make


@pytest.fixture(scope="module")
def own(trained: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    """What this analyzer records, without what it needs: {quantity: (steps, values)}."""

    def of(name: str) -> dict[str, Any]:
        *needed, _ = with_needs(name)
        before = trained(*needed).metrics()
        found = trained(*with_needs(name)).metrics()
        return {quantity: series for quantity, series in found.items() if quantity not in before}

    return of


@pytest.mark.parametrize("name", NAMES)
def test_every_analyzer_keeps_its_contract(name: str) -> None:
    check_analyzer(ANALYZERS[name])


# one beside the other


def test_an_event_is_announced_by_one_analyzer_alone() -> None:
    events = [event for cls in ANALYZERS.values() for event in cls.events]
    assert len(set(events)) == len(events)


def test_what_it_needs_stands_before_it() -> None:
    """An order in which all can be written into a file; there is none if they need one another."""
    assert set(ALL) == set(NAMES)
    for name in NAMES:
        assert all(ALL.index(need) < ALL.index(name) for need in ANALYZERS[name].needs)


def test_all_together_do_not_change_training(trained: Callable[..., Any]) -> None:
    without = trained().network().state_dict()
    observed = trained(*ALL).network().state_dict()
    assert all(torch.equal(without[key], observed[key]) for key in without)


def test_all_together_record_what_each_records(
    trained: Callable[..., Any], own: Callable[[str], dict[str, Any]]
) -> None:
    together = trained(*ALL).metrics()
    for name in NAMES:
        for quantity, (steps, values) in own(name).items():
            np.testing.assert_array_equal(together[quantity][0], steps)
            np.testing.assert_array_equal(together[quantity][1], values)


def test_killed_and_continued_all_is_bitwise_the_same(
    trained: Callable[..., Any],
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[..., None],
    tmp_path: Path,
) -> None:
    train_with_crashes(config(tmp_path / "run", ALL), 1, 3, 4, 5)
    assert_same_runs(trained(*ALL).path, tmp_path / "run")


# what they record


@pytest.mark.parametrize("name", NAMES)
def test_it_records_at_its_steps(name: str, own: Callable[[str], dict[str, Any]]) -> None:
    found = own(name)
    assert found
    for steps, values in found.values():
        assert set(steps) <= {2, 4, STEPS}
        assert len(steps) == len(values)
    lasting = [quantity for quantity, (steps, _) in found.items() if steps[-1] == STEPS]
    assert lasting or name in {"adam-snr", "equilibrium"}  # L-BFGS keeps no moments


@pytest.mark.parametrize("name", NAMES)
def test_what_it_records_are_words_or_numbers(
    name: str, own: Callable[[str], dict[str, Any]]
) -> None:
    """Finite ones: but for an infinite condition number, all is well-defined in this run."""
    for quantity, (_, values) in own(name).items():
        if values.dtype.kind == "U":
            assert all(values)
        elif values.ndim > 1:
            assert np.isfinite(values.astype(float)).any(), quantity
        elif "condition" not in quantity:
            assert np.isfinite(values.astype(float)).all(), quantity


def test_no_two_record_the_same_quantity(own: Callable[[str], dict[str, Any]]) -> None:
    names = [quantity for name in NAMES for quantity in own(name)]
    assert len(set(names)) == len(names)


# what they draw


def records(source: str, trained: Callable[..., Any], tmp_path: Path) -> Records:
    """Of no step, of one, of a whole run with all analyzers, or of a run without them."""
    if source == "nothing":
        return Records(tmp_path / "metrics.jsonl")
    watched = trained() if source == "a bare run" else trained(*ALL)
    found = Records(watched.path / "metrics.jsonl")
    if source == "one step":
        found.rows = found.rows[1:2]
    return found


SOURCES = pytest.mark.parametrize("source", ["nothing", "one step", "a run", "a bare run"])


@pytest.mark.draws
def test_the_report_of_a_run_has_the_figures_of_all(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[dict[str, Any]] = []
    monkeypatch.setattr(report, "write_page", lambda *_, **page: pages.append(page))
    watched = trained(*ALL)
    report.write_report(watched.path)
    (page,) = pages
    assert [fault for section in page["sections"] for fault in section.faults] == []
    drawn = {path.stem for path in (watched.path / "figures").glob("*.png")}
    seen = Records(watched.path / "metrics.jsonl")
    assert drawn >= {plot.name for cls in ANALYZERS.values() for plot in cls().figures(seen)}


@SOURCES
def test_no_two_figures_have_the_same_name(
    source: str, trained: Callable[..., Any], tmp_path: Path
) -> None:
    seen = records(source, trained, tmp_path)
    names = [plot.name for cls in ANALYZERS.values() for plot in cls().figures(seen)]
    assert len(set(names)) == len(names)
