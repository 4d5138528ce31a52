"""What a person sees while a run trains."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pinn.core.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


LATELY = 60.0
"""Seconds over which the speed is measured: stages differ, and so does what else the machine does."""


class Reporter:
    """Is told how a run goes; this one says nothing."""

    def begin(self, done: int, total: int) -> None:
        """Training begins behind step `done`, to end with step `total`."""

    def note(self, text: str) -> None:
        """Something to be said in words."""

    def shorten(self, total: int) -> None:
        """The run will end by step `total`: a stage ended before its last step."""

    def step(self, step: int, loss: float, shown: Mapping[str, float | str]) -> None:
        """A step was made; `shown` is what analyzers found last."""

    def end(self) -> None:
        """Training ended, or failed."""


class Paced(Reporter):
    """Shows how far training is, every few seconds: its losses, its speed, the time that is left."""

    seconds: ClassVar[float]

    def begin(self, done: int, total: int) -> None:
        self.total = total
        self._recent: deque[tuple[float, int]] = deque()
        self._next = time.monotonic() + self.seconds

    def shorten(self, total: int) -> None:
        self.total = total

    def step(self, step: int, loss: float, shown: Mapping[str, float | str]) -> None:
        now = time.monotonic()
        if not self._recent:  # what came before, such as compiling, does not count
            self._recent.append((now, step))
        if now < self._next and step < self.total:
            return
        self.show(step, f"{_values(loss, shown)}  {self._speed(now, step)}")
        self._next = time.monotonic() + self.seconds

    def show(self, step: int, text: str) -> None:
        raise NotImplementedError

    def _speed(self, now: float, step: int) -> str:
        """Steps per second lately, and the time that is left at that pace."""
        while len(self._recent) > 1 and self._recent[1][0] < now - LATELY:
            self._recent.popleft()
        begin, first = self._recent[0]
        self._recent.append((now, step))
        if step == first or now == begin:
            return ""
        rate = (step - first) / (now - begin)
        return f"{rate:.1f} steps/s  {_duration((self.total - step) / rate)} left"


class Bar(Paced):
    """A live progress bar, for terminals."""

    seconds = 0.2

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None

    def begin(self, done: int, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().begin(done, total)
        self._next = 0.0
        self._progress = Progress(
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[values]}"),
            console=self._console,
            auto_refresh=False,
        )
        self._progress.start()
        self._task: TaskID = self._progress.add_task("", total=total, completed=done, values="")

    def shorten(self, total: int) -> None:
        super().shorten(total)
        assert self._progress is not None
        self._progress.update(self._task, total=total)

    def note(self, text: str) -> None:
        console = self._progress.console if self._progress else self._console
        console.print(printable(text), highlight=False, markup=False)

    def show(self, step: int, text: str) -> None:
        assert self._progress is not None
        self._progress.update(self._task, completed=step, values=text, refresh=True)

    def end(self) -> None:
        if self._progress:
            self._progress.stop()


class Lines(Paced):
    """A plain line every few seconds, for logs."""

    seconds = 5.0

    def note(self, text: str) -> None:
        print(printable(text), flush=True)

    def show(self, step: int, text: str) -> None:
        total = f"{self.total:,}"
        print(f"{step:>{len(total)},}/{total}  {text}".rstrip(), flush=True)


def for_terminal() -> Reporter:
    """A bar on a terminal, lines elsewhere."""
    if not sys.stdout.isatty():
        return Lines()
    from rich.console import Console

    return Bar(Console())


def _values(loss: float, shown: Mapping[str, float | str]) -> str:
    named = {"loss": loss, **shown}
    return "  ".join(f"{n} {v if isinstance(v, str) else f'{v:.2e}'}" for n, v in named.items())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
