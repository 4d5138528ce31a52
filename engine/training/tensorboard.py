"""RUN/tensorboard/: what a run records and the figures of its report, for TensorBoard to show live.

A number is a curve `<analyzer>/<name>`, so that TensorBoard groups the curves as the report does; what
the training loop itself records stands under `training`. A word is a text at the steps where it changes.
Arrays are left to the figures, which are the images `figures/<name>`. Needs the package `tensorboard`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from pinn.core.columns import Record
from pinn.core.files import cannot_write
from pinn.engine.training.trainer import Trainer
from pinn.engine.training.undisturbed import global_state, restore_global_state

FIRST_FIGURES = 10_000
EVENTS = "events.out.tfevents."


class TensorBoard:
    """Writes each row that a trainer records.

    Figures are drawn with the first row at or behind step 10,000, 20,000, 40,000 and so on, and taken
    from the report when the run ends or is stopped. To draw 20 takes some 6 s: of the time so far 3 %
    where a step takes 20 ms, and never a larger share later.

    What was recorded before the option was set is made up for, each quantity when it is recorded again.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.config = trainer.config
        self.state = trainer.state
        self.records = trainer.records
        self.figures = trainer.directory.figures
        self.file = EventFile(trainer.directory.tensorboard, trainer.state.step)
        before = list(self.records.rows)
        missed, written = (before, []) if self.file.first else ([], before)
        self._missed = missed
        self._words = {n: v for row in written for n, v in row.items() if isinstance(v, str)}
        self._begun: set[str] = set()
        self.records.listeners.append(self.row)

    def row(self, row: Record) -> None:
        """Write a row, and draw if it is time."""
        begins = row.keys() - self._begun
        self._begun |= begins
        if begins:
            for earlier in self._missed:
                self._add(earlier["step"], {n: v for n, v in earlier.items() if n in begins})
        self._add(row["step"], row)
        before = self.records.rows[-2]["step"] if len(self.records.rows) > 1 else 0
        if _doublings(row["step"]) > _doublings(before):
            self._show(self._drawn())

    def end(self) -> None:
        """Show the figures of the report, which was just written, unless nothing was trained."""
        if self.file.begun:
            self._show(sorted(self.figures.glob("*.png")))

    def _add(self, step: int, quantities: Mapping[str, Any]) -> None:
        sources = self.records.sources
        tagged = {
            f"{sources.get(name, 'training')}/{name}": value
            for name, value in quantities.items()
            if name != "step" and value != self._words.get(name)
        }
        self._words |= {n: v for n, v in quantities.items() if isinstance(v, str)}
        self.file.add(
            step,
            numbers={tag: v for tag, v in tagged.items() if isinstance(v, int | float)},
            words={tag: v for tag, v in tagged.items() if isinstance(v, str)},
        )

    def _show(self, figures: Iterable[Path]) -> None:
        for path in figures:
            self.file.add(self.state.step, pictures={f"figures/{path.stem}": path.read_bytes()})

    def _drawn(self) -> list[Path]:
        """The figures that the analyzers declare, drawn from what is recorded so far."""
        from pinn.engine.reporting.report import draw_figures  # now: matplotlib is slow to load

        random = global_state()
        drawn = draw_figures(self.config, self.records, self.figures)
        restore_global_state(random)  # a plugin's figure may draw from them
        return drawn


def _doublings(step: int) -> int:
    """0 before the first figures, 1 up to twice that step, 2 up to four times, and so on."""
    return (step // FIRST_FIGURES).bit_length()


class EventFile:
    """The next event file of a folder; it is there once something is added.

    The package's own writers hand events to a thread that opens the file anew for every number, and that
    prints a traceback where the disk is full. Here all that a step has is one event, in the file when
    `add` returns.

    TensorBoard reads the files in the order of their names, and forgets what those before this one say
    about the steps behind `step`.

    Attributes:
        first: whether the folder has no other.
    """

    def __init__(self, folder: Path, step: int) -> None:
        count = len(list(folder.glob(f"{EVENTS}*")))
        self.first = count == 0
        self.path = folder / f"{EVENTS}{count:06}"
        self._step = step

    @property
    def begun(self) -> bool:
        return self.path.exists()

    def add(
        self,
        step: int,
        numbers: Mapping[str, float] | None = None,
        words: Mapping[str, str] | None = None,
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write what these tags have at a step; pictures are PNG.

        Raises:
            TrainingError: it cannot be written.
        """
        values = [
            *(Summary.Value(tag=tag, simple_value=value) for tag, value in (numbers or {}).items()),
            *(value for tag, text in (words or {}).items() for value in text_pb(tag, text).value),
            *(Summary.Value(tag=tag, image=_image(png)) for tag, png in (pictures or {}).items()),
        ]
        if values:
            self._write(Event(step=step, summary=Summary(value=values)))

    def _write(self, *events: Event) -> None:
        if not self.begun:
            start = SessionLog(status=SessionLog.START)
            events = (
                Event(file_version="brain.Event:2"),
                Event(step=self._step + 1, session_log=start),
                *events,
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                for event in events:
                    event.wall_time = time.time()
                    RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise cannot_write(self.path, error) from error


def _image(png: bytes) -> Summary.Image:
    width, height = Image.open(io.BytesIO(png)).size
    return Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
