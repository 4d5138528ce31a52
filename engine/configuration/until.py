"""When a stage ends, other than by its number of steps."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

import numpy as np
from attrs import frozen

from pinn.core.errors import PinnError, nearest, one_of

if TYPE_CHECKING:
    from pinn.core.records import Records

FORMS = (
    'an event such as "total_diffusion", "QUANTITY < NUMBER", "plateau" or "plateau of QUANTITY"'
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
PROGRESS = 0.01
"""A minimum counts as new if it is lower by this share."""


class Until(Protocol):
    """What ends a stage before its last step."""

    @property
    def quantity(self) -> str | None:
        """What must be recorded from the beginning; None if nothing."""

    def met(self, records: Records, begin: int) -> bool:
        """Whether the newest record says so, in a stage that began after step `begin`."""


@frozen
class Happened:
    """An event was announced, in this stage or before."""

    event: str
    quantity: None = None

    def met(self, records: Records, begin: int) -> bool:
        return records.last(self.event) is not None


@frozen
class Passed:
    """A quantity is measured below (or above) a bound."""

    quantity: str
    sign: str
    bound: float

    def met(self, records: Records, begin: int) -> bool:
        value = records.rows[-1].get(self.quantity)
        if value is None:
            return False
        return bool(value < self.bound if self.sign == "<" else value > self.bound)


@frozen
class Plateau:
    """The last `patience` steps of the stage brought no new minimum."""

    quantity: str
    patience: int

    def met(self, records: Records, begin: int) -> bool:
        if self.quantity not in records.rows[-1]:
            return False
        steps, values = records.series(self.quantity)
        values = values.astype(float)
        recent = steps > steps[-1] - self.patience
        before = (steps > begin) & ~recent
        best_since = float(np.nanmin(values[recent], initial=math.inf))
        best_before = float(np.nanmin(values[before], initial=math.inf))
        lower = best_before - PROGRESS * abs(best_before)
        return math.isfinite(best_before) and best_since >= lower


def parse_until(text: str, patience: int, events: Collection[str]) -> Until:
    """What `text` says; `events` are those that the analyzers of the run announce.

    Raises:
        PinnError: it says nothing that is known.
    """
    if text in events:
        return Happened(text)
    if bound := re.fullmatch(r"\s*(\S+)\s*([<>])\s*(\S+)\s*", text):
        return Passed(bound[1], bound[2], _number(bound[3], text))
    if plateau := re.fullmatch(r"\s*plateau(?:\s+of\s+(\S+))?\s*", text):
        return Plateau(plateau[1] or "loss.unweighted", patience)
    known = (
        f"the analyzers of this run announce {one_of(events)}"
        if events
        else ("no analyzer of this run announces an event")
    )
    raise PinnError(
        f"expected {FORMS}, found {text!r}{nearest(text, [*events, 'plateau'])}; {known}"
    )


def _number(text: str, whole: str) -> float:
    if NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    raise PinnError(f"expected a number behind the sign, found {whole!r}")
