"""Checkpoints: whole or not there, and opened without running what is in them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pinn.core import TrainingError
from pinn.core.files import write_atomically as write
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training import checkpoint as checkpoints
from pinn.engine.training.checkpoint import (
    MAGIC,
    CorruptCheckpoint,
    newest_first,
    newest_whole,
    read,
    save,
)


def state(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "module": {"w": torch.full((4,), float(step))},
        "seconds": {"training": 0.1},
    }


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    save(tmp_path, 7, state(7), best=False)
    found = read(tmp_path / "step-000000007.pt")
    assert found["step"] == 7
    assert torch.equal(found["module"]["w"], torch.full((4,), 7.0))
    assert names(tmp_path) == ["step-000000007.pt"]


def test_the_newest_two_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, step, state(step), best=step in (1, 2))
    assert names(tmp_path) == ["best.pt", "step-000000004.pt", "step-000000005.pt"]
    assert read(tmp_path / "best.pt")["step"] == 2
    assert [path.name for path in newest_first(tmp_path)] == names(tmp_path)[:0:-1]


def test_ten_million_steps_sort_as_numbers(tmp_path: Path) -> None:
    for step in (999, 1_000, 10_000_000):
        save(tmp_path, step, state(step), best=False)
    assert [read(path)["step"] for path in newest_first(tmp_path)] == [10_000_000, 1_000]


# a failure in the middle


def no_space(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


class FullFile(io.BytesIO):
    """Takes a few bytes; then the disk is full."""

    def write(self, content: Any) -> int:
        if len(content) > 64:
            no_space()
        return super().write(content)


def fail_at_write(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def opened(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if "w" not in mode:
            return real(self, mode, *rest, **named)
        real(self, mode).close()
        return FullFile()

    monkeypatch.setattr(Path, "open", opened)


def fail_at_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", no_space)


def fail_at_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", no_space)


FAILURES = [fail_at_write, fail_at_fsync, fail_at_rename]


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[pytest.MonkeyPatch], None]
) -> None:
    path = tmp_path / "file"
    write(path, b"old")
    fail(monkeypatch)
    with pytest.raises(
        TrainingError, match=r"file: cannot be written: the disk is full; .* intact"
    ):
        write(path, b"new" * 1000)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
    write(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failure_leaves_the_old_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[pytest.MonkeyPatch], None]
) -> None:
    for step in (1, 2):
        save(tmp_path, step, state(step), best=True)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    fail(monkeypatch)
    with pytest.raises(TrainingError):
        save(tmp_path, 3, state(3), best=True)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_device_that_is_really_full(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, b"old")
    (tmp_path / ".file.tmp").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="the disk is full"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert Path("/dev/full").exists()


def test_a_killed_writer_leaves_a_temporary_file_that_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1, state(1), best=False)
    (tmp_path / ".step-000000002.pt.tmp").write_bytes(MAGIC + b"half")
    assert [path.name for path in newest_first(tmp_path)] == ["step-000000001.pt"]
    save(tmp_path, 2, state(2), best=False)
    assert read(tmp_path / "step-000000002.pt")["step"] == 2


def test_a_directory_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No such file or directory"):
        write(tmp_path / "nowhere" / "file", b"new")


# damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def another_program(path: Path) -> None:
    torch.save({"step": 1}, path)


DAMAGE = [cut, flip, empty, zeros, another_program]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    save(tmp_path, 1, state(1), best=False)
    (path,) = newest_first(tmp_path)
    damage(path)
    with pytest.raises(CorruptCheckpoint):
        read(path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_one_before_is_used_and_said(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    for step in (1, 2):
        save(directory.checkpoints, step, state(step), best=False)
    damage(directory.checkpoints / "step-000000002.pt")
    found, notes = newest_whole(directory.checkpoints)
    assert found is not None
    assert found["step"] == 1
    assert notes == ["step-000000002.pt is corrupt: continuing from step-000000001.pt"]
    assert names(directory.checkpoints) == ["step-000000001.pt", "step-000000002.corrupt"]
    again, notes = newest_whole(directory.checkpoints)
    assert again is not None
    assert notes == []


def test_none_is_whole(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    for step in (1, 2):
        save(directory.checkpoints, step, state(step), best=False)
        cut(directory.checkpoints / f"step-00000000{step}.pt")
    with pytest.raises(TrainingError, match=r"no checkpoint is whole; delete .* to start again"):
        newest_whole(directory.checkpoints)
    assert len(names(directory.checkpoints)) == 2


def test_none_was_saved(tmp_path: Path) -> None:
    assert newest_whole(RunDirectory(tmp_path).checkpoints) == (None, [])


# somebody else's checkpoint


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("dump", [torch.save, pickle.dump])
def test_opening_a_checkpoint_runs_no_code(tmp_path: Path, dump: Callable[..., None]) -> None:
    """Even where the checksum fits: it protects against accidents, not against people."""
    buffer = io.BytesIO()
    dump({"step": 1, "module": Bomb(tmp_path / "boom")}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    path = tmp_path / "step-000000001.pt"
    path.write_bytes(MAGIC + digest + b"\n" + buffer.getvalue())
    with pytest.raises(CorruptCheckpoint, match="does not hold what a checkpoint holds"):
        read(path)
    assert not (tmp_path / "boom").exists()
    with pytest.raises(TrainingError, match="no checkpoint is whole"):
        newest_whole(tmp_path)


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "boom")))
    assert (tmp_path / "boom").exists()


def test_torch_is_asked_for_weights_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = torch.load

    def load(*arguments: Any, **named: Any) -> Any:
        asked.append(named["weights_only"])
        return real(*arguments, **named)

    monkeypatch.setattr(checkpoints.torch, "load", load)
    save(tmp_path, 1, state(1), best=False)
    read(newest_first(tmp_path)[0])
    assert asked == [True]
