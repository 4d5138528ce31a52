"""A run whose plugin was edited since it began says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinn.core import PinnError
from pinn.core.discovery import offered
from pinn.engine import Config, train

MakeConfig = Callable[..., Config]

MODULE = '''
from attrs import frozen
from pinn.core import Box, Condition, Problem

@frozen
class Rod(Problem):
    """Heat in a rod."""

    name = "rod"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q):
        return {"heat": q.u_t - 0.1 * q.u_xx}

    def conditions(self):
        yield Condition("ends", on=("x=0", "x=1"), residual=lambda q: q.u)
'''


@pytest.fixture
def rod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "a_rod_of_my_own.py"
    file.write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, file.stem, raising=False)  # that of another test
    return file


def edit(file: Path) -> None:
    file.write_text(MODULE.replace("0.1", "0.2"), encoding="utf-8")


@pytest.fixture
def trained(
    rod: Path, make_config: MakeConfig, without_results: None, crashing: Any
) -> Callable[..., list[str]]:
    """Trains, or continues, and gives the notes; killed behind a step where one is named."""

    def run(killed_at: int = -1) -> list[str]:
        from a_rod_of_my_own import Rod  # type: ignore[import-not-found]

        reporter = crashing(killed_at)
        with offered(Rod):
            config = make_config({"name": "rod"}, run={"checkpoint": 1})
            if killed_at < 0:
                train(config, reporter)
            else:
                with pytest.raises(Exception, match=r"^$"):
                    train(config, reporter)
        notes: list[str] = reporter.notes
        return notes

    return run


def test_nothing_is_said_where_nothing_was_edited(trained: Callable[..., list[str]]) -> None:
    trained(3)
    assert not any("changed" in note for note in [*trained(), *trained()])


def test_an_unfinished_run_goes_on_and_says_so(
    trained: Callable[..., list[str]], rod: Path
) -> None:
    trained(3)
    edit(rod)
    (note,) = (note for note in trained() if "changed" in note)
    assert "a_rod_of_my_own was changed since this run began" in note


def test_a_finished_run_is_not_taken_for_one_of_the_new_code(
    trained: Callable[..., list[str]], rod: Path
) -> None:
    trained()
    edit(rod)
    for _ in range(2):  # it does not forget
        with pytest.raises(PinnError, match="finished run of another version of a_rod_of_my_own"):
            trained()


def test_a_run_without_a_checkpoint_begins_with_the_new_code(
    trained: Callable[..., list[str]], rod: Path, tmp_path: Path
) -> None:
    trained(1)
    for file in (tmp_path / "run" / "checkpoints").iterdir():
        file.unlink()
    edit(rod)
    assert not any("changed" in note for note in [*trained(), *trained()])


def test_built_in_parts_are_not_among_the_sources(
    trained: Callable[..., list[str]], tmp_path: Path
) -> None:
    trained()
    environment = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))
    assert list(environment["sources"]) == ["a_rod_of_my_own"]


@pytest.mark.parametrize("damaged", ["", "{", "{}", '{"versions": {}}'])
def test_an_environment_that_says_nothing_stops_nothing(
    trained: Callable[..., list[str]], tmp_path: Path, damaged: str
) -> None:
    trained(3)
    (tmp_path / "run" / "environment.json").write_text(damaged, encoding="utf-8")
    assert not any("changed" in note for note in trained())
