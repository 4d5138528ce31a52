"""What a person reads while a run trains: its speed of late, not that of its beginning."""

from __future__ import annotations

import pytest

from pinn.engine.training import progress
from pinn.engine.training.progress import Lines


def test_the_time_left_is_told_from_the_last_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stage of a step a second, then one of 64."""
    clock = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock)
    lines = Lines()
    lines.begin(0, 12_900)
    for step in range(1, 101):
        clock += 1.0
        lines.step(step, 1.0, {})
    assert capsys.readouterr().out.splitlines()[-1].endswith("1.0 steps/s  3:33:20 left")
    for step in range(101, 6_501):
        clock += 2.0**-6
        lines.step(step, 1.0, {})
    assert capsys.readouterr().out.splitlines()[-1].endswith("64.0 steps/s  1:40 left")
