"""Traces of training from files: anybody's CSV, or the metrics of a run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, frozen

from pinn.analyzers.homogeneity import FOLLOWED
from pinn.analyzers.phases_detection import Phases, find_phases
from pinn.analyzers.phases_evidence import Floats, newest
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
            of their means in cells. Here and below, the newest that is known; NaN before the first.
        pde_snr: S of the PDE part.
        error: relative L2.
        loss: unweighted, where that is known.
    """

    steps: Floats
    mean_norm: Floats
    std_norm: Floats
    residual_order: Floats
    pde_snr: Floats
    error: Floats
    loss: Floats

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


def trace_of(rows: Sequence[Mapping[str, Any]], source: str = "records") -> Trace:
    """The trace in rows of quantities by name; `source` names them in messages.

    Raises:
        PinnError: a quantity is not a number.
    """

    def column(name: str) -> Floats:
        values = [None if (value := row.get(name)) == "" else value for row in rows]
        try:
            return np.array(values, dtype=float)
        except (TypeError, ValueError):
            raise _no_number(source, name, values) from None

    needed = [column(name) for name in NEEDED]
    mean, rms = map(column, CELLS)
    with np.errstate(divide="ignore", invalid="ignore"):
        order_of_cells = np.where((mean >= 0) & (rms > 0), mean / rms, np.nan)
    others = [
        _first_known(column(FOLLOWED), order_of_cells),
        column(PDE_SNR),
        column(ERROR),
        _first_known(*map(column, LOSSES)),
    ]
    measured = ~np.isnan(needed).any(axis=0)
    return Trace(*(values[measured] for values in (*needed, *map(newest, others))))


def _first_known(values: Floats, otherwise: Floats) -> Floats:
    return np.where(np.isnan(values), otherwise, values)


def _no_number(source: str, name: str, values: Sequence[Any]) -> PinnError:
    """The first that is none, by its place."""
    for place, value in enumerate(values, 1):
        try:
            np.array([value], dtype=float)
        except (TypeError, ValueError):
            return PinnError(f"{source}: measurement {place}: {name} is {value!r}, not a number")
    return PinnError(f"{source}: {name} is not one number a measurement")


def _of_metrics(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Up to the first line that a crash cut short."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
