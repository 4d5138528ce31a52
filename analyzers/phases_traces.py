"""Traces of training from files: anybody's CSV, or the metrics of a run."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, evolve, field, frozen
from attrs.filters import exclude

from pinn.analyzers.homogeneity import FOLLOWED
from pinn.analyzers.phases_detection import Phases, find_phases
from pinn.analyzers.phases_evidence import Floats, newest
from pinn.core import PinnError, Records, open_file

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
        left_out: what stood in the file and is no measurement, a text each.
    """

    steps: Floats
    mean_norm: Floats
    std_norm: Floats
    residual_order: Floats
    pde_snr: Floats
    error: Floats
    loss: Floats
    left_out: Sequence[str] = field(default=(), kw_only=True)

    def phases(self) -> Phases:
        return find_phases(**asdict(self, recurse=False, filter=exclude("left_out")))


def read_trace(path: Path) -> Trace:
    """A CSV file with a header, a metrics.jsonl, or the directory of a run.

    Raises:
        PinnError: it cannot be read, lacks a column, or holds what is not a number.
    """
    file = path / METRICS if path.is_dir() else path
    if file.suffix == ".jsonl":
        records = Records(file)
        _check_columns(path, ["step", *records.rows.columns], len(records.rows))
        return evolve(trace_of_records(records, str(path)), left_out=records.damage)
    rows = _of_csv(path)
    _check_columns(path, dict.fromkeys(str(name) for row in rows for name in row), len(rows))
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

    return _trace(column)


def trace_of_records(records: Records, source: str = "records") -> Trace:
    """The trace in the records of a run; `source` names them in messages.

    Raises:
        PinnError: a quantity is not a number.
    """

    def column(name: str) -> Floats:
        try:
            return records.rows.aligned(name)
        except (TypeError, ValueError):
            raise _no_number(source, name, records.series(name)[1].tolist()) from None

    return _trace(column)


def _trace(column: Callable[[str], Floats]) -> Trace:
    """`column` gives the values of a quantity, one a measurement, NaN where there is none."""
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


def _of_csv(path: Path) -> list[dict[str, Any]]:
    if (file := open_file(path)) is None:
        return []
    try:
        with TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PinnError(f"{path}: is neither CSV nor metrics of a run: {error}") from None


def _check_columns(path: Path, names: Iterable[str], measurements: int) -> None:
    if path.is_dir() and not (path / METRICS).exists():
        raise PinnError(f"{path}: has no {METRICS}: is it the directory of a run?")
    if not measurements:
        raise PinnError(f"{path}: {'has no measurements' if path.exists() else 'no such file'}")
    if missing := [name for name in NEEDED if name not in names]:
        raise PinnError(f"{path}: lacks {', '.join(missing)}; its columns are {', '.join(names)}")
