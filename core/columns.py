"""Records by quantity: numbers in arrays take a tenth of the memory of a dict a record."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

import numpy as np

Record = dict[str, Any]
KINDS = {int: "q", float: "d", type(None): "d"}
"""Types of which arrays are made; None is NaN in them."""
BATCH = 4096
"""Records that are sorted into columns at once."""


class Column:
    """The values of one quantity, and the places of the records that have one."""

    def __init__(self) -> None:
        self._places: range | array[int] = range(0)
        """Of nearly all quantities a range: they are in every record from their first on."""
        self._values: Any = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def places(self) -> np.ndarray:
        return np.array(self._places, dtype=np.int64)

    def of_rows(self, values: np.ndarray) -> np.ndarray:
        """Those of a value a record that belong to the records of this column; a view if it can be."""
        if isinstance(self._places, range):
            return values[self._places.start : self._places.stop]
        return values[self.places]

    def _place(self, places: Sequence[int]) -> None:
        """Add places that rise."""
        first, last = places[0], places[-1] + 1
        joined = not self._places or self._places[-1] == first - 1
        if isinstance(self._places, range) and joined and last - first == len(places):
            self._places = range(self._places[0] if self._places else first, last)
            return
        if isinstance(self._places, range):
            self._places = array("q", self._places)
        self._places.extend(places)

    def put(self, place: int, value: Any) -> None:
        """The value of a record behind all that have one, or of the last of them."""
        if self._places and self._places[-1] == place:
            self._places = self._places[:-1]
            self._values.pop()
        kind = KINDS.get(type(value), "")
        if not self._places and kind:
            self._values = array(kind)
        if isinstance(self._values, array) and self._values.typecode != kind:
            self._values = [self[index] for index in range(len(self))]
        if isinstance(self._values, array):
            value = math.nan if value is None else value
        elif isinstance(value, list):
            value = _as_array(value)
        self._place([place])
        self._values.append(value)

    def extend(self, places: list[int], values: list[Any]) -> None:
        """The values of several records, as `put` puts each."""
        types = set(map(type, values))
        kinds = {KINDS.get(each, "") for each in types}
        if not self._places and len(kinds) == 1 and "" not in kinds:
            self._values = array(*kinds)
        if isinstance(self._values, array) and kinds == {self._values.typecode}:
            known = [math.nan if v is None else v for v in values] if len(types) > 1 else values
            self._place(places)
            self._values.extend(known if types != {type(None)} else [math.nan] * len(values))
            return
        for place, value in zip(places, values, strict=True):
            self.put(place, value)

    def __getitem__(self, index: int) -> Any:
        value = self._values[index]
        if isinstance(value, np.ndarray):
            return _listed(value)
        return None if isinstance(value, float) and math.isnan(value) else value

    def of(self, place: int) -> int | None:
        """The index of the value that this record has."""
        index = bisect_left(self._places, place)
        return index if index < len(self) and self._places[index] == place else None

    def values(self) -> np.ndarray:
        """None is NaN; arrays are stacked, or objects of them where their shapes differ."""
        if isinstance(self._values, array):
            return np.array(self._values)
        cells = [cell(value) for value in self._values]
        if len({np.shape(one) for one in cells}) <= 1:
            return np.array(cells)
        objects = np.empty(len(cells), dtype=object)
        for index, one in enumerate(cells):
            objects[index] = one
        return objects


class Rows(Sequence[Record]):
    """Records in the order of their steps, each made when it is looked at.

    Attributes:
        columns: by quantity, in the order in which they were recorded first.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._steps = array("q")
        self.columns: dict[str, Column] = {}
        rows = iter(rows)
        while batch := list(islice(rows, BATCH)):
            self._extend(batch)

    def _extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        found: dict[str, tuple[list[int], list[Any]]] = {}
        place = len(self)
        for names, alike in groupby(rows, key=tuple):
            table = [row.values() for row in alike]
            here = range(place, place + len(table))
            for name, column in zip(names, zip(*table, strict=True), strict=True):
                places, values = found.setdefault(name, ([], []))
                places.extend(here)
                values.extend(column)
            place = here.stop
        self._steps.extend(found.pop("step")[1])
        for name, (places, values) in found.items():
            self.columns.setdefault(name, Column()).extend(places, values)

    @property
    def steps(self) -> np.ndarray:
        return np.array(self._steps)

    def append(self, row: Mapping[str, Any]) -> None:
        self._steps.append(row["step"])
        self.extend_last(row)

    def extend_last(self, quantities: Mapping[str, Any]) -> None:
        """Add to the last record, in place of what it has of these."""
        for name, value in quantities.items():
            if name != "step":
                if name not in self.columns:
                    self.columns[name] = Column()
                self.columns[name].put(len(self) - 1, value)

    def aligned(self, name: str) -> np.ndarray:
        """A number a record, NaN where it has none; the steps under the name "step".

        Raises:
            TypeError, ValueError: something else was recorded.
        """
        if name == "step":
            return self.steps.astype(float)
        found = np.full(len(self), math.nan)
        if name in self.columns:
            found[self.columns[name].places] = self.columns[name].values()
        return found

    def until(self, step: int) -> Rows:
        """Those up to this step."""
        count = bisect_right(self._steps, step)
        return self if count == len(self) else Rows(islice(self, count))

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        row = {"step": self._steps[place]}
        for name, column in self.columns.items():
            if (index := column.of(place)) is not None:
                row[name] = column[index]
        return row

    def __iter__(self) -> Iterator[Record]:
        following = dict.fromkeys(self.columns, 0)
        for place, step in enumerate(self._steps):
            row: Record = {"step": step}
            for name, index in following.items():
                column = self.columns[name]
                if index < len(column) and column._places[index] == place:
                    row[name] = column[index]
                    following[name] = index + 1
            yield row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def cell(value: Any) -> Any:
    """A recorded value as numbers: null is NaN, also in lists, which are arrays."""
    if value is None:
        return math.nan
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


def _as_array(value: list[Any]) -> Any:
    """The numbers of a list, if it is even; the list itself where it is not."""
    try:
        return np.array(value, dtype=np.float64)
    except ValueError:
        return value


def _listed(values: np.ndarray) -> Any:
    if not np.isnan(values).any():
        return values.tolist()
    if values.ndim > 1:
        return [_listed(each) for each in values]
    return [None if math.isnan(value) else value for value in values.tolist()]
