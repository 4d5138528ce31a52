"""Numbers that were measured or computed elsewhere: arrays of any sort, and columns of files."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.files import open_file

Array = NDArray[np.float64]

SEPARATORS = (",", ";", "\t")


def numbers(values: Any, what: str) -> Array:
    """An array, a list or a tensor as numbers in double precision, detached.

    Raises:
        PinnError: it holds something else; `what` names it.
    """
    try:
        if hasattr(values, "detach") and not values.is_complex():
            values = values.detach().double().cpu().numpy()
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        found = np.asarray(values)
        if found.dtype.kind not in "fiubO":
            raise TypeError(found.dtype)
        return found.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise PinnError(f"{what} is no array of numbers") from None


def read_columns(path: Path, wanted: Collection[str] | None = None) -> dict[str, Array]:
    """Columns of a CSV or Parquet file, or arrays of an NPZ file, by name.

    A CSV file has names in its first line, and numbers below, between commas, semicolons, tabs or
    spaces; an empty cell is NaN.

    Args:
        wanted: only these; None: all.

    Raises:
        PinnError: no such file, another kind of file, a column that is missing or holds no numbers.
    """
    path = path.expanduser()
    file = open_file(path)
    if file is None:
        raise PinnError(f"{path}: there is no such file")
    with file:
        try:
            found = _READERS[path.suffix.lower()](file, wanted)
        except KeyError:
            raise PinnError(f"{path}: expected a file {one_of(_READERS)}") from None
        except ImportError:
            raise PinnError(f"{path}: to read it takes pip install pandas pyarrow") from None
        except PinnError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise PinnError(f"{path}: cannot be read: {first}") from None
    for name in wanted or ():
        if name not in found:
            raise PinnError(
                f"{path}: has no column {name!r}{nearest(name, found)}; there are {one_of(found)}"
            )
    columns = {name: found[name] for name in wanted or found}
    return {name: numbers(column, f"{path}: {name}") for name, column in columns.items()}


def _read_csv(file: BinaryIO, wanted: Collection[str] | None) -> Mapping[str, Any]:
    first, _, rest = file.read().decode("utf-8-sig").lstrip("# ").partition("\n")
    most = max(SEPARATORS, key=first.count)
    separator = most if most in first else None  # None: spaces
    names = [name.strip().strip('"') for name in first.split(separator)]
    places = [place for place, name in enumerate(names) if wanted is None or name in wanted]
    if not places:
        return dict.fromkeys(names)

    def table(**options: Any) -> Array:
        lines = io.StringIO(rest)
        return np.loadtxt(lines, delimiter=separator, usecols=places, ndmin=2, **options)

    if not rest.strip():
        return dict.fromkeys(names, np.empty(0))
    try:
        found = table()
    except ValueError as error:  # an empty cell, or what is no number
        try:
            found = table(converters=lambda cell: float(cell.strip() or "nan"))
        except ValueError:
            first_row = "could not" in str(error)  # NumPy counts from 0 there, and elsewhere from 1
            where = re.sub(
                r"row (\d+)", lambda m: f"row {int(m[1]) + first_row} below the names", str(error)
            )
            raise ValueError(where) from None
    read = dict(zip((names[place] for place in places), found.T, strict=True))
    return {**dict.fromkeys(names), **read}


def _read_npz(file: BinaryIO, _: Collection[str] | None) -> Mapping[str, Any]:
    return dict(np.load(file, allow_pickle=False))


def _read_parquet(file: BinaryIO, wanted: Collection[str] | None) -> Mapping[str, Any]:
    import pandas

    return dict(pandas.read_parquet(file).items())  # type: ignore[arg-type]


_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
}
