"""A run killed before and after every operation on files: it ends as if nothing was.

A copy of this process trains, and kills itself at one of them.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinn.engine import Config, train
from pinn.engine.training.checkpoint import read

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be copied here")

OPERATIONS = ("fsync", "replace", "rename", "unlink", "mkdir")
WRITING = ("xb", "wb", "ab")
FEWEST = 60
"""Operations that a run has at least; before and after each it is killed."""


class Counting:
    """Counts operations on files; kills the process before or after one of them."""

    def __init__(self, fatal: int = 0, after: bool = False) -> None:
        self.done = 0
        self.fatal = fatal
        self.after = after

    def __call__(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.done += 1
            fatal = self.done == self.fatal
            if fatal and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return operation(*given, **named)
            finally:  # also where it fails, as making a folder that is there
                if fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in OPERATIONS:
            monkeypatch.setattr(os, name, self(getattr(os, name)))
        plain, counted = Path.open, self(Path.open)

        def opened(path: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
            return (counted if mode in WRITING else plain)(path, mode, *given, **named)

        monkeypatch.setattr(Path, "open", opened)


def killed(config: Config, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a copy of this process, that trains, was killed at its operation."""
    copy = os.fork()
    if not copy:
        try:
            counting.patch(monkeypatch)
            train(config)
        finally:
            os._exit(0)
    _, status = os.waitpid(copy, 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def config(make_config: Callable[..., Config]) -> Config:
    return make_config(
        {"name": "helmholtz", "a1": 1, "a2": 1},
        run={"record": 1, "checkpoint": 2},
        optimizers=[{"name": "adam", "steps": 4}, {"name": "lbfgs", "steps": 2}],
    )


@pytest.mark.parametrize("apart", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_anywhere_ends_the_same(
    apart: int,
    config: Config,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    train(config.in_directory(tmp_path / "first"))  # which makes caches that later ones find
    with pytest.MonkeyPatch.context() as patch:
        counting = Counting()
        counting.patch(patch)
        train(config)
    assert counting.done > FEWEST
    best = read(config.directory / "checkpoints" / "best.pt")["step"]
    for point in range(2, 2 * counting.done + 2, apart):
        broken = config.in_directory(tmp_path / "broken")
        with pytest.MonkeyPatch.context() as patch:
            assert killed(broken, Counting(point // 2, after=bool(point % 2)), patch)
        train(broken)
        assert_same_runs(config.directory, broken.directory)
        assert read(broken.directory / "checkpoints" / "best.pt")["step"] == best
        left = [path.name for path in broken.directory.rglob("*.tmp*")]
        assert not left, point
        shutil.rmtree(broken.directory)
