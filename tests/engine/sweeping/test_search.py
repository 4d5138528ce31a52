"""Values that Optuna chooses, runs that are ended early, and the page of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pinn.core import PinnError
from pinn.core.errors import ConfigError
from pinn.engine import draw_sweep, sweep, sweep_groups, sweep_states
from pinn.engine.cli import commands
from pinn.engine.sweeping.halving import HalvingOptions, Rungs, read_rungs
from pinn.engine.sweeping.search import Search
from pinn.engine.sweeping.status import DONE, EARLY
from pinn.engine.sweeping.sweep import read_sweep
from tests.engine.sweeping.test_sweep import BASE
from tests.engine.sweeping.test_sweeping import written

RATES = {"optimizers.0.lr": {"low": 1e-5, "high": 1.0, "log": True}}
SEARCH = '[sweep.search]\ntrials = 3\n"optimizers.0.lr" = { low = 1e-4, high = 1e-2, log = true }'


def asked(search: Search, rounds: int) -> list[float]:
    """What is proposed where the best rate is 1e-3."""
    tried: list[tuple[Mapping[str, Any], float | None]] = []
    for _ in range(rounds):
        (found,) = search.propose(tried, 1)
        rate = found["optimizers.0.lr"]
        tried.append((found, abs(rate / 1e-3 - 1) if rate < 0.3 else None))
    return [proposal["optimizers.0.lr"] for proposal, _ in tried]


def test_proposals_come_near_what_was_good() -> None:
    rates = asked(Search(40, 0, RATES), 40)
    assert all(1e-5 <= rate <= 1.0 for rate in rates)
    near = [3e-4 < rate < 3e-3 for rate in rates]
    assert sum(near[20:]) > sum(near[:20])
    assert rates == asked(Search(40, 0, RATES), 40)


def test_whole_numbers_and_words_are_proposed_as_they_are() -> None:
    ranges = {"network.width": {"low": 4, "high": 6}, "network.activation": ["tanh", "sin"]}
    for found in Search(5, 1, ranges).propose([], 5):
        assert found["network.width"] in (4, 5, 6)
        assert found["network.activation"] in ("tanh", "sin")


def test_a_search_proposes_trains_and_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path, f"{SEARCH}\n[sweep.grid]\nrun.seed = [0, 1]")
    assert read_sweep(file).runs == ()
    found = sweep(file)
    assert [state.what for state in found] == [DONE] * 6
    proposals = json.loads((tmp_path / "runs" / "proposals.json").read_text())
    assert len(proposals) == 3
    assert len(sweep_groups(found)) == 3
    assert [state.run.name for state in sweep(file)] == [state.run.name for state in found]
    more = written(tmp_path, f"{SEARCH.replace('= 3', '= 4')}\n[sweep.grid]\nrun.seed = [0, 1]")
    assert len(sweep(more)) == 8


def test_without_optuna_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(PinnError, match="needs the package optuna"):
        Search(1, 0, RATES).propose([], 1)


def test_what_a_search_must_say(tmp_path: Path) -> None:
    file = written(tmp_path, '[sweep.search]\ntrials = 0\nseed = -1\n"network.width" = 3')
    with pytest.raises(ConfigError) as caught:
        read_sweep(file)
    said = str(caught.value)
    assert "[sweep.search] trials: expected a whole number of at least 1, found 0" in said
    assert "[sweep.search] seed: expected a whole number of at least 0, found -1" in said
    assert "[sweep.search] network.width: expected {low = …, high = …}" in said


def test_values_that_no_run_can_have_are_not_kept(tmp_path: Path) -> None:
    file = written(tmp_path, '[sweep.search]\ntrials = 3\n"network.deep" = { low = 1, high = 3 }')
    for _ in range(2):
        with pytest.raises(ConfigError, match="deep"):
            sweep(file)
        assert json.loads((tmp_path / "runs" / "proposals.json").read_text()) == []


def test_of_the_runs_that_come_to_a_rung_the_best_go_on(tmp_path: Path) -> None:
    values = [0.5, 0.4, 0.9, 0.1, 0.8, 0.2, float("nan")]
    over = []
    for place, value in enumerate(values):
        run = Rungs(tmp_path, str(place), HalvingOptions(first=10, factor=3))
        run.begin(0, 100)
        run.step(9, 1.0, {"rel_l2": value})
        assert not run.over
        run.step(10, 1.0, {"rel_l2": value})
        over.append(run.over)
    assert over == [False, False, False, False, True, False, True]
    table = read_rungs(tmp_path)
    assert table.ended == {"4": 10, "6": 10}
    assert len(table.values[10]) == 7


def test_a_run_that_goes_on_is_compared_at_the_next_rung(tmp_path: Path) -> None:
    run = Rungs(tmp_path, "0", HalvingOptions(first=10, factor=3))
    run.begin(15, 100)
    run.step(16, 1.0, {})
    run.step(31, 0.5, {"phase": "diffusion"})
    assert read_rungs(tmp_path).values == {30: {"0": 0.5}}


def test_a_damaged_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "rungs.json").write_text("{")
    with pytest.raises(PinnError, match="is damaged"):
        read_rungs(tmp_path)


def test_runs_that_others_are_better_than_end_early_and_stay_so(tmp_path: Path) -> None:
    base = {**BASE, "optimizers": [{"name": "adam", "steps": 8}]}
    rates = '"optimizers.0.lr" = [1e-2, 1e-3, 1e-12, 1e-13, 1e-14, 1e-15]'
    halving = "[sweep.halving]\nfirst = 4\nfactor = 2"
    file = written(tmp_path, f"[sweep.grid]\n{rates}\n{halving}", base)
    text = file.read_text().replace("processes = 2", "processes = 1")
    file.write_text(text)
    found = sweep(file)
    whats = [state.what for state in found]
    assert EARLY in whats
    assert DONE in whats
    assert {state.step for state in found if state.what == EARLY} == {4}
    assert [state.what for state in sweep(file)] == whats
    said = CliRunner().invoke(commands, ["sweep", str(file)])
    assert said.exit_code == 0
    assert "ended early" in said.output


def test_what_halving_must_say(tmp_path: Path) -> None:
    file = written(tmp_path, "[sweep.halving]\nfactor = 1\nfrist = 3")
    with pytest.raises(ConfigError, match="frist: unknown key") as caught:
        read_sweep(file)
    assert "[sweep.halving] factor" in str(caught.value)


@pytest.mark.draws
def test_the_page_of_a_sweep_shows_every_key(tmp_path: Path) -> None:
    base = {
        **BASE,
        "analyzers": [
            {"name": "error", "every": 1},
            {"name": "snr"},
            {"name": "phases", "every": 1},
        ],
    }
    grid = (
        '"optimizers.0.lr" = [1e-4, 1e-2]\nweighting.name = ["vanilla", "rba"]\nrun.seed = [0, 1]'
    )
    file = written(tmp_path, f"[sweep.grid]\n{grid}", base)
    sweep(file)
    page = tmp_path / "runs" / "sweep.html"
    text = page.read_text(encoding="utf-8")
    for name in ("against-optimizers-0-lr", "against-weighting-name", "steps-rel-l2"):
        assert f'id="figure-{name}"' in text
        assert (tmp_path / "runs" / "sweep" / f"{name}.png").exists()
    assert text.count("<tr>") == 5
    other = tmp_path / "elsewhere.html"
    results = tmp_path / "runs" / "results.csv"
    written_before = results.read_bytes()
    results.unlink()
    said = CliRunner().invoke(commands, ["compare", str(file), "-o", str(other)])
    assert said.exit_code == 0, said.output
    assert other.exists()
    assert results.read_bytes() == written_before


def test_a_page_of_a_sweep_that_has_not_begun_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "[sweep.grid]\nrun.seed = [0, 1]")
    drawn = draw_sweep(file)
    assert drawn.groups == []
    said = CliRunner().invoke(commands, ["sweep", str(file), "--status"])
    assert said.exit_code == 0
    assert "2 waiting" in said.output
    assert "No run is done yet" in drawn.page.read_text(encoding="utf-8")
    assert sweep_states(file)
