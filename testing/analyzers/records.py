"""What an analyzer says that it records, and what it does record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from pinn.core.discovery import registry
from pinn.core.errors import nearest, one_of
from pinn.core.parts import Schedule
from pinn.core.records import FAILURE
from pinn.testing.analyzers.runs import EVERY, observed, trained_run, unobserved
from pinn.testing.trial import Trial

QUANTITY = r"[A-Za-z0-9_.]+"


def its_declarations_are_well_formed(trial: Trial) -> None:
    part = trial.part
    assert isinstance(part.schedule, Schedule) and all(step > 0 for step in part.schedule.at), (
        f"schedule is {part.schedule!r}: write schedule = Schedule(every=100); steps are counted "
        "from 1"
    )
    for what, names in (("needs", part.needs), ("events", part.events)):
        assert isinstance(names, tuple) and len(set(names)) == len(names), (
            f"{what} is {names!r}: write a tuple of different names, as in {what} = "
            f"({str(names)!r},)"
        )
    for quantity in (*part.events, *filter(None, [part.shows])):
        check_quantity(quantity)
    known = [other.name for other in registry().parts("analyzer")]
    for need in part.needs:
        assert need in known and need != part.name, (
            f"it needs {need!r}{nearest(need, known)}, which is no other analyzer; installed are "
            f"{one_of(known)}. To check it beside one that is not installed, call check_analyzer "
            "inside `with pinn.core.offered(Other):`"
        )


def check_quantity(quantity: str) -> None:
    assert re.fullmatch(QUANTITY, quantity) and quantity != "step", (
        f"{quantity!r} cannot name a quantity: use letters, digits, underscores and dots, as in "
        "'snr.layer1'"
    )


def what_it_measures_can_be_recorded(trial: Trial) -> None:
    with trained_run(trial) as trainer:
        found = trial.part.measure(trainer.view())
    assert isinstance(found, Mapping), (
        f"measure returns {type(found).__name__}: return {{quantity: number}}, or {{}} where "
        "there is nothing"
    )
    for quantity, value in found.items():
        assert isinstance(quantity, str), (
            f"measure names a quantity {quantity!r}: names are strings"
        )
        check_quantity(quantity)
        assert not isinstance(value, Tensor), (
            f"{quantity!r} is a torch tensor, which cannot be recorded from a GPU: return "
            "float(x), or x.cpu().numpy() for an array"
        )
        try:
            np.asarray(0.0 if isinstance(value, str) else value, np.float64)
        except (TypeError, ValueError):
            raise AssertionError(
                f"{quantity!r} is {value!r}: return a number, an array of numbers or a word; "
                "leave out what is not known yet"
            ) from None


def its_records_are_its_own_and_tell_something(trial: Trial) -> None:
    part, rows = trial.part, observed(trial).rows
    others = {name for row in unobserved(trial).rows for name in row}
    own: dict[str, list[Any]] = {}
    for with_it, without in zip(rows, unobserved(trial).rows, strict=True):
        for name in others:
            assert with_it.get(name) == without.get(name), (
                f"it records {name!r}, which the training loop or an analyzer that it needs "
                "records already: choose another name, such as "
                f"'{part.name.replace('-', '_')}.{name}'"
            )
        for name, value in with_it.items():
            if name not in others:
                own.setdefault(name, []).append(value)
    failure = own.get(f"{part.name}.{FAILURE}", [None])[0]
    assert failure is None, (
        f"measure fails at one of the first steps ({failure}): records of earlier steps may be missing"
    )
    assert own, (
        f"it recorded nothing in a run of {rows[-1]['step']} steps that asked it every {EVERY}: return "
        "what it measures"
    )
    assert any(_tells(value) for values in own.values() for value in values), (
        f"all that it records, {one_of(own)}, is null, which stands for NaN and infinity: look "
        "for 0/0 in measure"
    )
    for event in part.events:
        for value in own.get(event, ()):
            assert isinstance(value, int | float) and 0 < value <= rows[-1]["step"], (
                f"the event {event!r} is {value!r}: record the step at which it happened, from "
                "when it is known, and nothing before"
            )
    if part.shows is not None:
        assert isinstance(rows[-1].get(part.shows), int | float | str), (
            f"shows = {part.shows!r} is not among what it recorded at the last step as a number "
            f"or word; it recorded {one_of(own)}"
        )


def _tells(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_tells, value))
    return value is not None
