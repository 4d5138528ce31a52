"""Checkpoints: whole or not there, and opened without running what is in them."""

from __future__ import annotations

import errno
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

from pinn.core import PinnError, TrainingError, files
from pinn.core.files import cannot_write, remove_left_over, write_atomically as write
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training import checkpoint as checkpoints
from pinn.engine.training.checkpoint import (
    CorruptCheckpoint,
    newest_first,
    newest_whole,
    read,
    save,
    seal,
    sealed,
    set_aside,
)

RUN = {"run": {"seed": 3}, "problem": {"name": "burgers", "viscosity": 0.05}}
"""The configuration that checkpoints belong to."""


def state(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "module": {"w": torch.full((4,), float(step))},
        "seconds": {"training": 0.1},
    }


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    save(tmp_path, 7, state(7), RUN, best=False)
    found = read(tmp_path / "step-000000007.pt")
    assert found["step"] == 7
    assert torch.equal(found["module"]["w"], torch.full((4,), 7.0))
    assert names(tmp_path) == ["step-000000007.pt"]


def test_the_newest_two_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save(tmp_path, step, state(step), RUN, best=step in (1, 2))
    assert names(tmp_path) == ["best.pt", "step-000000004.pt", "step-000000005.pt"]
    assert read(tmp_path / "best.pt")["step"] == 2
    assert [path.name for path in newest_first(tmp_path)] == names(tmp_path)[:0:-1]


def test_ten_million_steps_sort_as_numbers(tmp_path: Path) -> None:
    for step in (999, 1_000, 10_000_000):
        save(tmp_path, step, state(step), RUN, best=False)
    assert [read(path)["step"] for path in newest_first(tmp_path)] == [10_000_000, 1_000]


@pytest.mark.parametrize("name", ["step-000000007.pt", "best.pt"])
@pytest.mark.parametrize("named", [{}, {"mmap": True}])
def test_torch_opens_it_as_it_is(tmp_path: Path, name: str, named: dict[str, Any]) -> None:
    save(tmp_path, 7, state(7), RUN, best=True)
    found = torch.load(tmp_path / name, weights_only=True, **named)
    assert torch.equal(found["module"]["w"], torch.full((4,), 7.0))
    with ZipFile(tmp_path / name) as archive:
        assert archive.testzip() is None


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
        if "x" not in mode:
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
        save(tmp_path, step, state(step), RUN, best=True)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    fail(monkeypatch)
    with pytest.raises(TrainingError):
        save(tmp_path, 3, state(3), RUN, best=True)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_killed_writer_leaves_a_temporary_file_that_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1, state(1), RUN, best=False)
    left = tmp_path / ".step-000000002.pt.0123abcd.tmp"
    left.write_bytes(b"half")
    others = tmp_path / ".mine.tmp"
    others.write_bytes(b"mine")
    assert [path.name for path in newest_first(tmp_path)] == ["step-000000001.pt"]
    save(tmp_path, 2, state(2), RUN, best=False)
    assert read(tmp_path / "step-000000002.pt")["step"] == 2
    remove_left_over(tmp_path)
    assert not left.exists()
    assert others.exists()


def test_a_link_that_was_prepared_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    monkeypatch.setattr(files, "token_hex", lambda count: "0" * 2 * count)  # somebody guessed it
    (tmp_path / ".file.00000000.tmp").symlink_to(precious)
    (tmp_path / "file").symlink_to(precious)
    with pytest.raises(TrainingError, match="File exists"):
        write(tmp_path / "file", b"new")
    write(tmp_path / "file", b"new")  # the failure removed the link
    assert precious.read_bytes() == b"precious"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_room_is_only_asked_for_where_there_is_none(code: int) -> None:
    said = str(cannot_write(Path("file"), OSError(code, os.strerror(code))))
    assert "room" not in said
    assert "room" in str(cannot_write(Path("file"), OSError(errno.ENOSPC, "")))


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


def flip_the_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def add(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


DAMAGE = [cut, flip, empty, zeros, another_program, flip_the_checksum, add]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    save(tmp_path, 1, state(1), RUN, best=False)
    (path,) = newest_first(tmp_path)
    damage(path)
    with pytest.raises(CorruptCheckpoint):
        read(path)


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_one_before_is_used_and_said(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    for step in (1, 2):
        save(directory.checkpoints, step, state(step), RUN, best=False)
    damage(directory.checkpoints / "step-000000002.pt")
    found, corrupt = newest_whole(directory.checkpoints, RUN)
    assert found is not None
    assert found["step"] == 1
    assert [path.name for path in corrupt] == ["step-000000002.pt"]
    assert names(directory.checkpoints) == ["step-000000001.pt", "step-000000002.pt"]
    set_aside(corrupt)
    assert names(directory.checkpoints) == ["step-000000001.pt", "step-000000002.corrupt"]
    again, corrupt = newest_whole(directory.checkpoints, RUN)
    assert again is not None
    assert not corrupt


def test_none_is_whole(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    for step in (1, 2):
        save(directory.checkpoints, step, state(step), RUN, best=False)
        cut(directory.checkpoints / f"step-00000000{step}.pt")
    with pytest.raises(TrainingError, match=r"no checkpoint is whole; delete .* to start again"):
        newest_whole(directory.checkpoints, RUN)
    assert len(names(directory.checkpoints)) == 2


def test_none_was_saved(tmp_path: Path) -> None:
    assert newest_whole(RunDirectory(tmp_path).checkpoints, RUN) == (None, [])


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    save(tmp_path, 1, state(1), RUN, best=False)
    (path,) = newest_first(tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        with pytest.raises((CorruptCheckpoint, PinnError)):
            read(path)


# a checkpoint of something else


def test_another_runs_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path, 1, state(1), RUN, best=False)
    other = {**RUN, "run": {"seed": 77}}
    with pytest.raises(PinnError, match=r"step-000000001.pt: belongs to another run") as caught:
        newest_whole(tmp_path, other)
    assert "  run.seed: 3 there, 77 here" in str(caught.value).splitlines()
    assert names(tmp_path) == ["step-000000001.pt"]


def test_a_renamed_one_is_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path, 1, state(1), RUN, best=False)
    (tmp_path / "step-000000001.pt").rename(tmp_path / "step-000000002.pt")
    with pytest.raises(PinnError, match=r"step-000000002.pt: holds step 1, so that it was renamed"):
        newest_whole(tmp_path, RUN)


def test_what_a_user_put_beside_is_neither_read_nor_removed(tmp_path: Path) -> None:
    users = {
        "step-000000009.backup.pt",
        "step-9.pt",
        "step-000000009.pt.bak",
        "a-step-000000009.pt",
    }
    for name in users:
        (tmp_path / name).write_bytes(b"mine")
    for step in (1, 2, 3):
        save(tmp_path, step, state(step), RUN, best=False)
    found = [path.name for path in newest_first(tmp_path)]
    assert found == ["step-000000003.pt", "step-000000002.pt"]
    assert users < {*names(tmp_path)}


@pytest.mark.parametrize(
    "content",
    [
        b"pinn checkpoint 1 sha256 00\n",
        b"pinn checkpoint 2 sha256 00\nPK",
        b"PK pinn checkpoint 4 sha256 " + 64 * b"0",
    ],
)
def test_one_of_another_version_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "step-000000001.pt").write_bytes(content)
    with pytest.raises(PinnError, match="was written by another version of pinn"):
        newest_whole(tmp_path, RUN)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(PinnError, match="cannot be read: Permission denied"):
        newest_whole(tmp_path, RUN)


@pytest.mark.parametrize(
    "content", [{}, {"step": 1}, {"step": "1", "run": "{}"}, {"step": 1, "run": "["}]
)
def test_tensors_of_something_else_are_no_checkpoint(tmp_path: Path, content: Any) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / "step-000000001.pt").write_bytes(sealed(buffer.getvalue()))
    with pytest.raises(CorruptCheckpoint, match="does not hold what a checkpoint holds"):
        read(tmp_path / "step-000000001.pt")


# somebody else's checkpoint


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def in_its_own(buffer: io.BytesIO) -> bytes:
    """Of a pickle, which has no place for a comment."""
    return buffer.getvalue() + seal(buffer.getvalue())


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("dump", [torch.save, pickle.dump])
def test_opening_a_checkpoint_runs_no_code(tmp_path: Path, dump: Callable[..., None]) -> None:
    """Even where the checksum fits: it protects against accidents, not against people."""
    buffer = io.BytesIO()
    dump({"step": 1, "module": Bomb(tmp_path / "boom")}, buffer)
    path = tmp_path / "step-000000001.pt"
    path.write_bytes(sealed(buffer.getvalue()) if dump is torch.save else in_its_own(buffer))
    with pytest.raises(CorruptCheckpoint, match="does not hold what a checkpoint holds"):
        read(path)
    assert not (tmp_path / "boom").exists()
    with pytest.raises(TrainingError, match="no checkpoint is whole"):
        newest_whole(tmp_path, RUN)


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
    save(tmp_path, 1, state(1), RUN, best=False)
    read(newest_first(tmp_path)[0])
    assert asked == [True]
