"""`pinn predict`: the observables of a run at the points of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn import engine
from pinn.core import PinnError, Shape
from pinn.core.errors import nearest, one_of
from pinn.core.files import read_file, write_atomically
from pinn.plugins.commands.shown import shown

LARGEST = 2**31
"""Bytes of a table."""
DELIMITERS = ",;\t"
CLOSE = 1e-6
"""Of an interval: how far beyond its ends rounding may lead."""


@frozen
class Table:
    """The columns of a CSV file, as text.

    Attributes:
        lines: the number of the line in the file, of each row.
    """

    file: Path
    columns: dict[str, list[str]]
    lines: Sequence[int]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The column as numbers.

        Raises:
            PinnError: a cell is none; says in which line.
        """
        found = np.empty(len(self.lines))
        for row, (text, line) in enumerate(zip(self.columns[column], self.lines, strict=True)):
            try:
                found[row] = float(text)
            except ValueError:
                found[row] = math.nan
            if not math.isfinite(found[row]) or "_" in text:
                raise PinnError(f"{self.file}: line {line}: {column} is {text!r}, not a number")
        return found

    def points(self, domain: Shape) -> NDArray[np.float64]:
        """The coordinates, (n, dimension), wherever their columns stand.

        Raises:
            PinnError: a coordinate has no column, or a cell of it holds no number.
        """
        for name in domain.names:
            if name not in self.columns:
                raise PinnError(
                    f"{self.file}: has no column {name!r}{nearest(name, self.columns)}; the "
                    f"coordinates are {', '.join(domain.names)}, its columns {one_of(self.columns)}"
                )
        return np.stack([self.numbers(name) for name in domain.names], axis=1)


def read_table(file: Path) -> Table:
    """A CSV file with a line of names; commas, semicolons or tabs stand between its cells.

    Raises:
        PinnError: it is none; says in which line.
    """
    content = read_file(file, largest=LARGEST)
    if content is None:
        raise PinnError(f"{file}: there is no such file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PinnError(f"{file}: is not a UTF-8 text file ({error.reason})") from None
    first, *_ = text.splitlines() or [""]
    reader = csv.reader(io.StringIO(text), delimiter=max(DELIMITERS, key=first.count))
    rows, lines = [], []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise PinnError(f"{file}: line {reader.line_num}: is not CSV: {error}") from None
    if len(rows) < 2:
        raise PinnError(f"{file}: has no points: expected a line of names, and lines of numbers")
    names, *rows = rows
    for name in names:
        if names.count(name) > 1:
            raise PinnError(f"{file}: has two columns called {name!r}")
    for row, line in zip(rows, lines[1:], strict=True):
        if len(row) != len(names):
            raise PinnError(
                f"{file}: line {line}: has {len(row)} cells; its first line names {len(names)} columns"
            )
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return Table(file, columns, lines[1:])


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--at",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="The points, a column a coordinate; others are kept. Default: the evaluation grid.",
)
@click.option("--best", is_flag=True, help="With the network of best.pt, not the newest one.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The .csv or .npz file to write; without it, CSV is printed.",
)
def predict(run: Path, at: Path | None, best: bool, output: Path | None) -> None:
    """Evaluate the network of RUN, a run's directory, at the points of a table.

    Observables become further columns; where the table has one of that name,
    the predicted one is called NAME_predicted. On the evaluation grid, an .npz
    file has a 1-D array per coordinate and one array per observable on their
    meshgrid(indexing="ij").
    """
    if output is not None and output.suffix not in (".csv", ".npz"):
        raise PinnError(f"{output}: expected the ending .csv or .npz; `pinn export` writes others")
    opened = engine.open_run(run, best=best)
    columns = _at(opened, at) if at else _on_grid(opened, as_table=_is_csv(output))
    content = _csv(columns) if _is_csv(output) else _npz(columns)
    if output is None:
        click.echo(content.decode(), nl=False)
        return
    write_atomically(output, content)
    click.echo(f"wrote {shown(output)}: {', '.join(columns)}")


def _is_csv(output: Path | None) -> bool:
    return output is None or output.suffix == ".csv"


def _at(run: engine.Run, file: Path) -> dict[str, Any]:
    domain = run.domain
    table = read_table(file)
    points = table.points(domain)
    for text in _outside(table, points, domain):
        click.echo(f"note: {text}", err=True)
    found = run.predict(points)
    columns: dict[str, Any] = {
        name: points[:, domain.names.index(name)] if name in domain.names else np.array(texts)
        for name, texts in table.columns.items()
    }
    for name, values in _in_precision(run, found).items():
        columns[f"{name}_predicted" if name in columns else name] = values
    return columns


def _on_grid(run: engine.Run, as_table: bool) -> dict[str, Any]:
    grid = run.on_grid()
    fields = _in_precision(run, grid.fields)
    if not as_table:
        return {**grid.coordinates, **fields}
    places = dict(zip(grid.coordinates, grid.points().T, strict=True))
    return {**places, **{name: values.ravel() for name, values in fields.items()}}


def _in_precision(run: engine.Run, fields: Any) -> dict[str, NDArray[Any]]:
    """With as many digits as the run computed."""
    config = run.config
    assert isinstance(config, engine.Config)
    return {name: values.astype(config.run.precision) for name, values in fields.items()}


def _outside(table: Table, points: NDArray[np.float64], domain: Shape) -> Iterable[str]:
    low, high = np.array(domain.lower), np.array(domain.upper)
    room = CLOSE * (high - low)
    beyond = (points < low - room) | (points > high + room)
    rows = np.flatnonzero(beyond.any(1))
    if len(rows):
        axis = int(np.flatnonzero(beyond[rows[0]])[0])
        count = f"{len(rows):,} of {len(points):,} points {'is' if len(rows) == 1 else 'are'}"
        yield (
            f"{count} outside of the domain, where the network was not trained; the first, in line "
            f"{table.lines[rows[0]]}, has {domain.names[axis]} = {points[rows[0], axis]:g}, of "
            f"{low[axis]:g} to {high[axis]:g}"
        )


def _csv(columns: dict[str, Any]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.astype(str) for values in columns.values()), strict=True))
    return text.getvalue().encode()


def _npz(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **columns)
    return buffer.getvalue()
