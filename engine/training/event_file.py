"""An event file of TensorBoard, written as training goes; needs the package `tensorboard`.

The package's own writers hand events to a thread that opens the file anew for every number, and that
prints a traceback where the disk is full. Here all that a step has is one event, in the file when `add`
returns.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from pinn.engine.training.checkpoint import cannot_write

NAME = "events.out.tfevents."


class EventFile:
    """The next event file of a folder; it is there once something is added.

    TensorBoard reads the files in the order of their names, and forgets what those before this one say
    about the steps behind `step`.

    Attributes:
        first: whether the folder has no other.
    """

    def __init__(self, folder: Path, step: int) -> None:
        count = len(list(folder.glob(f"{NAME}*")))
        self.first = count == 0
        self.path = folder / f"{NAME}{count:06}"
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
