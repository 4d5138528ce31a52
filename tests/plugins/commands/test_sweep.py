"""The table of a sweep that is drawn again and again while it trains."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pinn import engine
from tests.engine.sweeping.test_sweeping import written


def test_the_live_table_has_a_row_for_what_trains_and_counts_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "[sweep.grid]\nrun.seed = [0, 1, 2, 3]")
    first, second, third, fourth = engine.sweep_states(file)
    states = [
        evolve(first, what="done", step=2, final={"rel_l2": 0.25}),
        evolve(second, what="running", step=1, final={"rel_l2": 0.5}),
        evolve(third, what="failed", failure="it diverged"),
        fourth,
    ]

    def now(_: Any) -> list[Any]:
        return states

    monkeypatch.setattr(engine, "sweep_states", now)
    table = import_module("pinn.plugins.commands.sweep")._Table()
    table.look(file)
    table.ended(states[2], 2, 4)
    table.close()
    said = capsys.readouterr().out
    assert "1 done, 1 running, 1 failed, 1 waiting; best rel_l2 2.50e-01: seed=0\n" in said
    (row,) = [line for line in said.splitlines() if "5.00e-01" in line]
    assert second.run.name in row
    assert not [line for line in said.splitlines() if fourth.run.name in line]
    assert "it diverged" in said
