"""Traces of training from files: anybody's CSV, or the metrics of a run."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, frozen
from numpy.typing import NDArray

from pinn.analyzers.homogeneity import FOLLOWED
from pinn.analyzers.phases_detection import Phases, find_phases
from pinn.core import PinnError

NEEDED = ("step", "gradient_mean_norm", "gradient_std_norm")
CELLS = ("weight_cell_mean", "weight_cell_rms")
PDE_SNR, ERROR, LOSSES = "snr.pde", "rel_l2", ("loss.unweighted", "loss")
METRICS = "metrics.jsonl"


@frozen
class Trace:
    """Columns of equal length, (measurements,), as `find_phases` takes them.

    Attributes:
        steps, mean_norm, std_norm: step, ‖μ‖₂, ‖σ‖₂ of the batch gradients.
        residual_order: φ_n of the weights; where it is not known φ_r, the mean over the root mean square
            of their means in cells. Here and below, the newest since the measurement before; NaN if
            there is none.
        pde_snr: S of the PDE part.
        error: relative L2.
        loss: unweighted, where that is known.
    """

    steps: NDArray[np.float64]
    mean_norm: NDArray[np.float64]
    std_norm: NDArray[np.float64]
    residual_order: NDArray[np.float64]
    pde_snr: NDArray[np.float64]
    error: NDArray[np.float64]
    loss: NDArray[np.float64]

    def phases(self) -> Phases:
        return find_phases(**asdict(self, recurse=False))


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
    newest = [math.nan] * len(OTHERS)
    for row in rows:
        where = f"{source}: measurement {len(columns) + 1}"
        for place, read in enumerate(OTHERS):
            if not math.isnan(value := read(where, row)):
                newest[place] = value
        if all(row.get(name) not in (None, "") for name in NEEDED):
            columns.append([*(_number(where, row, name) for name in NEEDED), *newest])
            newest = [math.nan] * len(OTHERS)
    return Trace(*np.array(columns, dtype=float).reshape(-1, len(NEEDED) + len(OTHERS)).T)


def _residual_order(where: str, row: Mapping[str, Any]) -> float:
    if not math.isnan(followed := _number(where, row, FOLLOWED)):
        return followed
    mean, rms = (_number(where, row, name) for name in CELLS)
    return mean / rms if mean >= 0 and rms > 0 else math.nan


def _loss(where: str, row: Mapping[str, Any]) -> float:
    unweighted, loss = (_number(where, row, name) for name in LOSSES)
    return loss if math.isnan(unweighted) else unweighted


OTHERS = (
    _residual_order,
    lambda where, row: _number(where, row, PDE_SNR),
    lambda where, row: _number(where, row, ERROR),
    _loss,
)
"""The columns of a trace that may be missing, in their order."""


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
