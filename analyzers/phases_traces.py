"""Traces of training from files: anybody's CSV, or the metrics of a run."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.phases_detection import Phases, find_phases
from pinn.core import PinnError

CELLS = ("weight_cell_mean", "weight_cell_rms")
NEEDED = ("step", "gradient_mean_norm", "gradient_std_norm")
METRICS = "metrics.jsonl"


@frozen
class Trace:
    """Columns of equal length, (measurements,).

    Attributes:
        steps, mean_norm, std_norm: step, ‖μ‖₂, ‖σ‖₂ of the batch gradients.
        residual_order: φ_r, the mean over the root mean square of the cell means of the weights, the
            newest since the measurement before; NaN if there is none.
    """

    steps: NDArray[np.float64]
    mean_norm: NDArray[np.float64]
    std_norm: NDArray[np.float64]
    residual_order: NDArray[np.float64]

    def phases(self) -> Phases:
        return find_phases(self.steps, self.mean_norm, self.std_norm, self.residual_order)


def read_trace(path: Path) -> Trace:
    """A CSV file with a header, a metrics.jsonl, or the directory of a run.

    Raises:
        PinnError: it cannot be read, lacks a column, or holds what is not a number.
    """
    file = path / METRICS if path.is_dir() else path
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(_of_metrics(lines) if file.suffix == ".jsonl" else csv.DictReader(lines))
    except FileNotFoundError:
        what = (
            f"has no {METRICS}: is it the directory of a run?" if path.is_dir() else "no such file"
        )
        raise PinnError(f"{path}: {what}") from None
    except OSError as error:
        raise PinnError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PinnError(f"{path}: is neither CSV nor metrics of a run: {error}") from None
    if not rows:
        raise PinnError(f"{path}: has no measurements")
    missing = [name for name in NEEDED if not any(name in row for row in rows)]
    if missing:
        found = ", ".join(dict.fromkeys(str(name) for row in rows for name in row))
        raise PinnError(f"{path}: lacks {', '.join(missing)}; its columns are {found}")
    return trace_of(rows, str(path))


def trace_of(rows: Iterable[Mapping[str, Any]], source: str = "records") -> Trace:
    """The trace in rows of quantities by name; `source` names them in messages.

    Raises:
        PinnError: a quantity is not a number.
    """
    columns: list[list[float]] = []
    order = math.nan
    for row in rows:
        where = f"{source}: measurement {len(columns) + 1}"
        mean, rms = (_number(where, row, name) for name in CELLS)
        order = mean / rms if mean >= 0 and rms > 0 else order
        if all(row.get(name) not in (None, "") for name in NEEDED):
            columns.append([*(_number(where, row, name) for name in NEEDED), order])
            order = math.nan
    return Trace(*np.array(columns, dtype=float).reshape(-1, len(NEEDED) + 1).T)


def _of_metrics(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Up to the first line that a crash cut short."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _number(where: str, row: Mapping[str, Any], name: str) -> float:
    """NaN where there is nothing."""
    value = row.get(name)
    if value in (None, ""):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise PinnError(f"{where}: {name} is {value!r}, not a number") from None
