"""metrics.jsonl: one line a measured step, appended as training goes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pinn.core.checkpoint import cannot_write, write_atomically

Record = dict[str, Any]


class Records:
    """The records of a run, in memory and in its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Record] = list(read(path)) if path.exists() else []
        self.unwritten = False

    def append(self, step: int, quantities: Mapping[str, Any]) -> None:
        """Add one line and write it."""
        self.add(step, quantities)
        self.write()

    def add(self, step: int, quantities: Mapping[str, Any]) -> None:
        """Add to the line of this step, which `write` writes.

        Numbers that are not finite become null, arrays become lists.
        """
        if not self.unwritten:
            self.rows.append({"step": step})
            self.unwritten = True
        self.rows[-1].update((name, _plain(value)) for name, value in quantities.items())

    def write(self) -> None:
        """Append the line that was added, if there is one."""
        if not self.unwritten:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.rows[-1], allow_nan=False) + "\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.unwritten = False

    def keep_until(self, step: int) -> None:
        """Forget what was recorded after `step`: resumed training measures it again."""
        kept = [row for row in self.rows if row["step"] <= step]
        if len(kept) < len(self.rows) or self.path.exists():
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in kept)
            write_atomically(self.path, text.encode())
        self.rows = kept

    def __contains__(self, name: str) -> bool:
        """Whether `name` was ever recorded."""
        return any(name in row for row in reversed(self.rows))

    @property
    def names(self) -> list[str]:
        """Of the quantities that were recorded."""
        return sorted({name for row in self.rows for name in row} - {"step"})

    def last(self, name: str) -> Any:
        """The newest value of `name`; None if it was never recorded or is not finite."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """{quantity: (steps, values)}; null becomes NaN."""
        return {name: self.series(name) for name in self.names}

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps at which `name` was measured, and its values."""
        found = [(row["step"], row[name]) for row in self.rows if name in row]
        steps = np.array([step for step, _ in found], dtype=np.int64)
        values = np.array([math.nan if value is None else value for _, value in found])
        return steps, values


def read(path: Path) -> Iterator[Record]:
    """The complete lines of a metrics file; a line cut short by a crash is left out."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        number = float(array)
        if not math.isfinite(number):
            return None
        return int(number) if isinstance(value, int) else number
    return [_plain(item) for item in array]
