"""What was measured: metrics.jsonl, one line a measured step, appended as training goes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pinn.core.errors import PinnError
from pinn.core.files import cannot_write, write_atomically

if TYPE_CHECKING:
    import pandas

Record = dict[str, Any]

FAILURE = "failure"
"""What an analyzer's failure is recorded as, behind its name and a dot."""


class Records:
    """The records of a run, in memory and in its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Record] = list(read_rows(path)) if path.exists() else []
        self.unwritten = False
        self.listeners: list[Callable[[Record], None]] = []
        """Called with each line when it is written."""
        self.sources: dict[str, str] = {}
        """The analyzers that added the quantities, in this process."""

    def append(self, step: int, quantities: Mapping[str, Any]) -> None:
        """Add one line and write it."""
        self.add(step, quantities)
        self.write()

    def add(self, step: int, quantities: Mapping[str, Any], source: str | None = None) -> None:
        """Add to the line of this step, which `write` writes.

        Numbers that are not finite become null, arrays become lists. `source` is the analyzer that
        measured them, if one did.
        """
        plain = {name: _plain(value) for name, value in quantities.items()}
        if not self.unwritten:
            self.rows.append({"step": step})
            self.unwritten = True
        self.rows[-1].update(plain)
        if source is not None:
            self.sources.update(dict.fromkeys(quantities, source))

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
        for listener in self.listeners:
            listener(self.rows[-1])

    def reopen(self) -> None:
        """Go on with the last line, which was written already."""
        last = self.rows[-1]
        self.keep_until(last["step"] - 1)
        self.rows.append(last)
        self.unwritten = True

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
        """The names of the quantities that were recorded."""
        return sorted({name for row in self.rows for name in row} - {"step"})

    def last(self, name: str) -> Any:
        """The newest value of `name`; None if it was never recorded or is not finite."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """{quantity: (steps, values)}; null becomes NaN."""
        return {name: self.series(name) for name in self.names}

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps at which `name` was measured, and its values.

        Arrays are stacked, or are objects of the values where their shapes differ.
        """
        found = [(row["step"], row[name]) for row in self.rows if name in row]
        steps = np.array([step for step, _ in found], dtype=np.int64)
        return steps, _together([cell(value) for _, value in found])

    def failures(self, analyzer: str) -> list[str]:
        """ "measurement at step 20: ValueError: boom (…)", a line for each text that was recorded."""
        steps: dict[str, list[int]] = {}
        for row in self.rows:
            if text := row.get(f"{analyzer}.{FAILURE}"):
                steps.setdefault(text, []).append(row["step"])
        return [f"{_measurements(at)}: {text}" for text, at in steps.items()]

    def frame(self) -> pandas.DataFrame:
        """One row a recorded step (the index), one column a quantity, in the order of first records.

        NaN stands where a quantity was not measured or not finite, so that whole numbers become floats
        where some are missing. Arrays are NumPy arrays in a column of objects.

        Raises:
            PinnError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise PinnError(
                "frame() needs the package pandas: pip install 'pinn-dynamics[pandas]'"
            ) from error
        names = dict.fromkeys(name for row in self.rows for name in row if name != "step")
        steps = pandas.Index([row["step"] for row in self.rows], dtype=np.int64, name="step")
        columns = {name: [cell(row.get(name)) for row in self.rows] for name in names}
        return pandas.DataFrame(columns, index=steps)


def _measurements(steps: Sequence[int]) -> str:
    first, *others = steps
    if not others:
        return f"measurement at step {first:,}"
    return f"{len(steps):,} measurements, at steps {first:,} to {others[-1]:,}"


def read_rows(path: Path) -> Iterator[Record]:
    """The complete lines of a metrics file; a line cut short by a crash is left out."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def cell(value: Any) -> Any:
    """A recorded value as numbers: null is NaN, also in lists, which are arrays."""
    if value is None:
        return math.nan
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


def _together(cells: Sequence[Any]) -> np.ndarray:
    if len({np.shape(one) for one in cells}) <= 1:
        return np.array(cells)
    objects = np.empty(len(cells), dtype=object)
    for place, one in enumerate(cells):
        objects[place] = one
    return objects


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
