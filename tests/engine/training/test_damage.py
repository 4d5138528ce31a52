"""What a run does about records and checkpoints that are damaged, missing or somebody else's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinn.core import PinnError
from pinn.engine import Config, Run, open_run, train
from pinn.engine.training import trainer
from pinn.engine.training.checkpoint import newest_first, read
from pinn.testing.small_runs import Killed, Killing

MakeConfig = Callable[..., Config]
PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 1}
ANALYZER = {"name": "snr", "every": 1, "batches": 4}


@pytest.fixture
def half(make_config: MakeConfig, without_results: None) -> Callable[..., Config]:
    """A run of 12 steps that was killed behind step 7; its last checkpoint is of step 6."""

    def make(**stage: Any) -> Config:
        config = make_config(
            PROBLEM,
            run={"record": 1, "checkpoint": 3},
            optimizers=[{"name": "adam", "steps": 12, **stage}],
            analyzers=[ANALYZER],
        )
        with pytest.raises(Killed):
            train(config, Killing(7))
        return config

    return make


def steps(run: Run) -> list[int]:
    return [int(step) for step in run.metrics()["loss"][0]]


def everything(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def damage(config: Config, line: int, text: bytes = b"#") -> Path:
    """Write over the beginning of a line of the records, numbered from 1."""
    file = config.directory / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[line - 1] = text + lines[line - 1][len(text) :]
    file.write_bytes(b"".join(lines))
    return file


def test_a_bad_line_is_left_out_told_and_kept(
    half: Callable[..., Config], crashing: type[Any]
) -> None:
    config, reporter = half(), crashing()
    file = damage(config, 3)
    before = file.read_bytes()
    run = train(config, reporter)
    assert steps(run) == [1, 2, *range(4, 13)]
    (told,) = [note for note in reporter.notes if "line 3 is no record" in note]
    assert told.endswith("; left out, and the file as it was is kept as metrics.jsonl.corrupt")
    assert (config.directory / "metrics.jsonl.corrupt").read_bytes() == before


def test_what_training_depends_on_is_not_guessed(half: Callable[..., Config]) -> None:
    config = half(until="loss < 1e-30")
    damage(config, 3)
    before = everything(config.directory)
    with pytest.raises(PinnError, match=r"line 3 is no record.*A stage ends by what was recorded"):
        train(config)
    assert everything(config.directory) == before


def test_records_that_end_too_early_are_told(
    half: Callable[..., Config], crashing: type[Any]
) -> None:
    config, reporter = half(), crashing()
    file = config.directory / "metrics.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:4]))
    train(config, reporter)
    assert "metrics.jsonl: it ends at step 4, and training goes on at step 6" in reporter.notes


def test_a_reader_changes_nothing(half: Callable[..., Config]) -> None:
    config = half()
    damage(config, 3)
    newest, _ = newest_first(config.directory / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-1])
    before = everything(config.directory)
    run = open_run(config.directory)
    with pytest.warns(UserWarning, match=r"metrics.jsonl: line 3 is no record: .*, and left out"):
        assert steps(run) == [1, 2, 4, 5, 6, 7]
    assert run.predict(x=0.0, y=0.0)["u"].shape == ()
    assert everything(config.directory) == before


def test_records_without_a_checkpoint_are_not_emptied(half: Callable[..., Config]) -> None:
    config = half()
    for path in newest_first(config.directory / "checkpoints"):
        path.unlink()
    before = everything(config.directory)
    with pytest.raises(
        PinnError, match=r"has no checkpoint, although metrics.jsonl goes to step 7"
    ):
        train(config)
    assert everything(config.directory) == before


def test_a_run_that_is_killed_before_its_first_checkpoint_was_due_begins_again(
    make_config: MakeConfig,
    without_results: None,
    assert_same_runs: Callable[..., None],
    tmp_path: Path,
) -> None:
    whole = make_config(PROBLEM)
    broken = whole.in_directory(tmp_path / "broken")
    with pytest.raises(Killed):
        train(broken, Killing(3))
    for config in (broken, whole):
        train(config)
    assert_same_runs(broken.directory, whole.directory)


def test_a_run_whose_description_is_gone_is_known_by_its_checkpoint(
    half: Callable[..., Config], make_config: MakeConfig
) -> None:
    config = half()
    (config.directory / "pinn.toml").unlink()
    other = make_config(
        PROBLEM,
        run={"record": 1, "checkpoint": 3, "seed": 77},
        optimizers=[{"name": "adam", "steps": 12}],
        analyzers=[ANALYZER],
    )
    with pytest.raises(PinnError, match=r"belongs to another run:\n  run.seed: 0 there, 77 here"):
        train(other)
    assert train(config).config.run.seed == 0


def test_saving_by_the_clock_changes_nothing_but_when(
    half: Callable[..., Config],
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_runs: Callable[..., None],
    tmp_path: Path,
) -> None:
    config = make_config(PROBLEM, run={"checkpoint": 5}, optimizers=[{"name": "adam", "steps": 12}])
    train(config)
    saved: list[int] = []
    save = trainer.checkpoint.save
    monkeypatch.setattr(
        trainer.checkpoint, "save", lambda *given: (saved.append(given[1]), save(*given))
    )
    monkeypatch.setattr(trainer, "SECONDS", -1.0)  # every step takes longer
    often = config.in_directory(tmp_path / "often")
    train(often)
    assert saved == list(range(13))
    assert_same_runs(config.directory, often.directory)
    best = [read(c.directory / "checkpoints" / "best.pt")["step"] for c in (config, often)]
    assert best[0] == best[1]


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "checkpoints", "figures", "environment.json", ".lock", "tensorboard"]
)
def test_a_link_out_of_the_directory_is_refused(
    name: str, half: Callable[..., Config], tmp_path: Path
) -> None:
    config = half()
    outside = tmp_path / "outside"
    outside.mkdir() if "." not in name else outside.write_text("{}")
    path = config.directory / name
    if path.is_dir():
        path.rename(tmp_path / "was")
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    for attempt in (lambda: train(config), lambda: open_run(config.directory)):
        with pytest.raises(PinnError, match=rf"{name}: is a link out of .*, which is not followed"):
            attempt()
    assert not os.listdir(outside) if outside.is_dir() else outside.read_text() == "{}"


def test_a_pipe_is_no_file(half: Callable[..., Config]) -> None:
    config = half()
    file = config.directory / "metrics.jsonl"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(PinnError, match=r"metrics.jsonl: is a device or a pipe, no file"):
        open_run(config.directory).metrics()
