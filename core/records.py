"""What was measured: metrics.jsonl, one line a measured step, appended as training goes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import orjson

from pinn.core.columns import Record, Rows, cell
from pinn.core.errors import PinnError
from pinn.core.files import cannot_write, open_file, write_atomically

if TYPE_CHECKING:
    import pandas

FAILURE = "failure"
"""What an analyzer's failure is recorded as, behind its name and a dot."""
LARGEST = 2**63


class Records:
    """The records of a run, in memory and in its file.

    Attributes:
        damage: what stands in the file and is no record, a text each; it is left out.
        listeners: called with each line when it is written.
        sources: the analyzers that added the quantities, in this process.
    """

    def __init__(self, path: Path, within: Path | None = None) -> None:
        """Read what is in the file, which no link may lead out of the folder `within`.

        Raises:
            PinnError: it cannot be read.
        """
        self.path = path
        self.damage: list[str] = []
        self.unwritten = False
        self.listeners: list[Callable[[Record], None]] = []
        self.sources: dict[str, str] = {}
        self._rows = Rows()
        if (file := open_file(path, within)) is not None:
            with file:
                self._rows = Rows(read_rows(file, self.damage))

    @property
    def rows(self) -> Rows:
        """{"step": …, quantity: value} of each measured step."""
        return self._rows

    @rows.setter
    def rows(self, rows: Iterable[Record]) -> None:
        self._rows = Rows(rows)

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
        if self.unwritten:
            self._rows.extend_last(plain)
        else:
            self._rows.append({"step": step, **plain})
            self.unwritten = True
        if source is not None:
            self.sources.update(dict.fromkeys(quantities, source))

    def write(self) -> None:
        """Append the line that was added, if there is one."""
        if not self.unwritten:
            return
        row = self._rows[-1]
        try:
            with self.path.open("ab") as file:
                file.write(_line(row))
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.unwritten = False
        for listener in self.listeners:
            listener(row)

    def reopen(self) -> None:
        """Go on with the last line, which was written already."""
        last = self._rows[-1]
        self.keep_until(last["step"] - 1)
        self._rows.append(last)
        self.unwritten = True

    def keep_until(self, step: int) -> None:
        """Forget what was recorded after `step`: resumed training measures it again."""
        kept = self._rows.until(step)
        if len(kept) < len(self._rows) or self.path.exists():
            write_atomically(self.path, map(_line, kept))
        self._rows = kept

    def __contains__(self, name: str) -> bool:
        """Whether `name` was ever recorded."""
        return name in self._rows.columns

    @property
    def names(self) -> list[str]:
        """The names of the quantities that were recorded."""
        return sorted(self._rows.columns)

    def last(self, name: str) -> Any:
        """The newest value of `name`; None if it was never recorded or is not finite."""
        return self._rows.columns[name][-1] if name in self else None

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """{quantity: (steps, values)}; null becomes NaN."""
        steps = self._rows.steps  # once: most quantities are measured at all of them
        columns = self._rows.columns
        return {n: (columns[n].of_rows(steps), columns[n].values()) for n in self.names}

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps at which `name` was measured, and its values.

        Arrays are stacked, or are objects of the values where their shapes differ.
        """
        if name == "step":
            return self._rows.steps, self._rows.steps
        if name not in self:
            return np.empty(0, np.int64), np.empty(0)
        column = self._rows.columns[name]
        return column.of_rows(self._rows.steps), column.values()

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
        rows, steps = list(self._rows), pandas.Index(self._rows.steps, name="step")
        columns = {n: [cell(row.get(n)) for row in rows] for n in self._rows.columns}
        return pandas.DataFrame(columns, index=steps)

    def failures(self, analyzer: str) -> list[str]:
        """ "measurement at step 20: ValueError: boom (…)", a line for each text that was recorded."""
        steps: dict[str, list[int]] = {}
        for step, text in zip(*self.series(f"{analyzer}.{FAILURE}"), strict=True):
            steps.setdefault(str(text), []).append(int(step))
        return [f"{_measurements(at)}: {text}" for text, at in steps.items()]


def _measurements(steps: Sequence[int]) -> str:
    first, *others = steps
    if not others:
        return f"measurement at step {first:,}"
    return f"{len(steps):,} measurements, at steps {first:,} to {others[-1]:,}"


def read_rows(lines: Iterable[bytes], damage: list[str]) -> Iterator[Record]:
    """The records in the lines of a metrics file.

    A last line that a crash cut short is left out in silence; what else is no record, or of an earlier
    step than the line before, is told in `damage`.
    """
    newest = 0
    for number, line in enumerate(lines, 1):
        try:
            row = _record(line, newest)
        except (ValueError, RecursionError) as error:
            if line.endswith(b"\n"):
                damage.append(f"line {number:,} is no record: {str(error)[:100]}")
            continue
        newest = row["step"]
        yield row


def _record(line: bytes, newest: int) -> Record:
    row = _parsed(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected {{…}}, found {type(row).__name__}")
    step = row.get("step")
    if type(step) is not int or not newest <= step < LARGEST:
        raise ValueError(f"expected a step of at least {newest:,}, found {str(step)[:30]}")
    values = row.values()
    if set(map(type, values)) <= {float, int} and math.isfinite(sum(values)) and step < LARGEST:
        return row  # nearly all are such; below they are looked at one by one
    for name, value in row.items():
        if not _recordable(value):
            raise ValueError(
                f"{name[:30]} is neither a finite number, null, text, nor a list of these"
            )
    return row


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # its words are of bytes; it also refuses some that are sound
        return json.loads(line.decode("utf-8"), parse_constant=_refused)


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _recordable(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(item, str) and _recordable(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str) or (type(value) is int and abs(value) < LARGEST)


def _line(row: Record) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        number = float(array)
        if not math.isfinite(number):
            return None
        return int(number) if isinstance(value, int) and abs(number) < LARGEST else number
    return [_plain(item) for item in array]
