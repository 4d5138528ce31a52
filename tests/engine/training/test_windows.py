"""What Windows does otherwise, imitated: no directory can be opened there, and no terminal hangs up."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinn.core import TrainingError
from pinn.core.files import write_atomically
from pinn.engine import Config, open_run, train
from pinn.testing.small_runs import Killed, Killing


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuses_directories(path: Any, *given: Any, **named: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *given, **named)

    monkeypatch.setattr(os, "open", refuses_directories)
    monkeypatch.delattr(signal, "SIGHUP", raising=False)


def test_a_run_trains_goes_on_and_opens(windows: None, make_config: Callable[..., Config]) -> None:
    config = make_config({"name": "helmholtz"}, run={"checkpoint": 2})
    with pytest.raises(Killed):
        train(config, Killing(3))
    assert train(config).complete
    run = open_run(config.directory, best=True)
    assert run.metrics()
    assert run.predict(x=0, y=0)
    assert (run.path / "report.html").exists()


def test_a_file_system_that_syncs_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_sync_of_directories(monkeypatch, errno.EINVAL)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_directory_whose_sync_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_sync_of_directories(monkeypatch, errno.EIO)
    with pytest.raises(TrainingError, match="cannot be written"):
        write_atomically(tmp_path / "file", b"new")


def refuse_sync_of_directories(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
