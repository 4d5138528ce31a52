"""RUN/tensorboard/: what a run records and the figures of its report, for TensorBoard to show live.

A number is a curve `<analyzer>/<name>`, so that TensorBoard groups the curves as the report does; what
the training loop itself records stands under `training`. A word is a text at the steps where it changes.
Arrays are left to the figures, which are the images `figures/<name>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pinn.core.errors import PinnError
from pinn.core.randomness import global_state, restore_global_state
from pinn.core.records import Record
from pinn.engine.training.trainer import Trainer

FIRST_FIGURES = 10_000


def check_installed() -> None:
    """Raise a PinnError where the package `tensorboard` is missing."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise PinnError(
            "[run] tensorboard = true needs the package tensorboard: "
            "pip install 'pinn-dynamics[tensorboard]'"
        ) from error


class TensorBoard:
    """Writes each row that a trainer records.

    Figures are drawn with the first row at or behind step 10,000, 20,000, 40,000 and so on, and taken
    from the report when the run ends or is stopped. To draw 20 takes some 6 s: of the time so far 3 %
    where a step takes 20 ms, and never a larger share later.

    What was recorded before the option was set is made up for, each quantity when it is recorded again.
    """

    def __init__(self, trainer: Trainer) -> None:
        from pinn.engine.training.event_file import EventFile  # now: the package may be missing

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
        from pinn.engine.reporting.content import (
            Chapter,
            chapters,
        )  # now: matplotlib is slow to load
        from pinn.engine.reporting.figures import loss, unknowns
        from pinn.engine.reporting.page import Gallery
        from pinn.engine.reporting.report import Easel

        random = global_state()
        told = chapters(self.config, self.records)
        spans = [span for chapter in told for span in chapter.spans]
        own = Chapter("training", "", [loss(self.records), *unknowns(self.records)])
        easel = Easel(Gallery(self.figures), self.records, spans)
        exhibits = [e for chapter in [own, *told] for e in easel.section(chapter).exhibits]
        restore_global_state(random)  # a plugin's figure may draw from them
        return [self.figures / f"{exhibit.name}.png" for exhibit in exhibits]


def _doublings(step: int) -> int:
    """0 before the first figures, 1 up to twice that step, 2 up to four times, and so on."""
    return (step // FIRST_FIGURES).bit_length()
