"""Whose fault an error is: the plugin, the part and the line that it came out of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.core.errors import PinnError, TrainingError, out_of_memory
from pinn.core.origin import NOT_INSTALLED, Origin
from pinn.core.parts import Analyzer
from pinn.core.registry import Part, registry
from pinn.core.tracebacks import Place, kinship, places, told

if TYPE_CHECKING:
    from pinn.core.records import Records

BUILT_BY = {"torch.nn.modules.module": "network", "torch.optim.optimizer": "optimizer"}
"""Who builds what has a base class of this module."""

FAILURE = "failure"
"""What an analyzer's failure is recorded as, behind its name and a dot."""


@frozen
class Culprit:
    """Where an error came out of a plugin; the part is None where it may be one of several."""

    origin: Origin
    part: Part | None
    place: Place

    def __str__(self) -> str:
        plugin = f"plugin {self.origin.entry_point!r}"
        part = f"{self.part.kind} {self.part.name!r}" if self.part else plugin
        return f"{part} of {self.origin}"


def culprit(error: BaseException) -> Culprit | None:
    """The innermost line in a plugin; None where the error came out of no third party's."""
    found = registry()
    outward = list(places(error))
    for depth, place in enumerate(outward):
        origin = _owner(place.module, found.modules)
        if origin is not None and not origin.built_in:
            offered = [p for p in found.parts() if p.origin.distribution == origin.distribution]
            return Culprit(origin, _part(outward[depth:], offered), place)
    return None


def _owner(module: str, modules: Mapping[str, Origin]) -> Origin | None:
    """The plugin whose modules are nearest in name; a part of a program is its own module alone."""
    if module in modules:
        return modules[module]
    installed = {name for name, origin in modules.items() if origin != NOT_INSTALLED}
    near = max(installed, key=lambda name: kinship(name, module), default="")
    return modules[near] if near and kinship(near, module) else None


def _part(outward: Sequence[Place], offered: Sequence[Part]) -> Part | None:
    """The part whose method, or that of what it built, was running; else the only one that it can be."""
    for place in outward:
        me = type(place.variables.get("self"))
        for part in offered:
            if me is part.cls or _stands_in(place, part.cls):
                return part
        built = {BUILT_BY.get(base.__module__) for base in me.__mro__}
        if made := [part for part in offered if part.kind in built]:
            return _only(made)
    return _only([p for p in offered if p.cls.__module__ == outward[0].module]) or _only(offered)


def _stands_in(place: Place, cls: type[Any]) -> bool:
    """Whether the function is written in the body of the class, as a validator or a lambda is."""
    return place.module == cls.__module__ and place.function.startswith(f"{cls.__qualname__}.")


def _only(parts: Sequence[Part]) -> Part | None:
    return parts[0] if len(parts) == 1 else None


def where(error: BaseException, part: Any = None) -> str:
    """ " (pinn_heat.py:31, pinn-heat 0.1)", or nothing where no third party is at fault.

    Args:
        part: whose fault it is where no line of a plugin was running.
    """
    found = culprit(error)
    if found is None:
        return by(part)
    whose = "" if found.origin == NOT_INSTALLED else f", {found.origin}"
    return f" ({found.place}{whose})"


def by(part: Any) -> str:
    """ " (pinn-heat 0.1)" for a part of a third party, else nothing."""
    origin = origin_of(part)
    own = origin is None or origin.built_in or origin == NOT_INSTALLED
    return "" if own else f" ({origin})"


def origin_of(part: Any) -> Origin | None:
    """Where a part came from, if its class is registered."""
    return next((p.origin for p in registry().parts() if p.cls is type(part)), None)


def fault(error: BaseException, part: Any = None) -> str:
    """The error on one line, and the line of the plugin that it came out of."""
    return told(error) + where(error, part)


def blamed(error: Exception, after: int | None = None) -> PinnError | None:
    """An error of a plugin as a message; None where it is not a plugin's.

    Args:
        after: how many steps are done, once training has begun.
    """
    if isinstance(error, PinnError) or out_of_memory(error):
        return None
    found = culprit(error)
    if found is None:
        return None
    when = "" if after is None else f" after {after:,} steps" if after else " in the first step"
    message = f"{found} fails{when} at {found.place}: {told(error)}. "
    if after is None:
        return PinnError(f"{message}PINN_TRACEBACK=1 shows the traceback")
    return TrainingError(
        f"{message}What was saved stays, and the same command continues from there once that is "
        "mended. PINN_TRACEBACK=1 shows the traceback"
    )


@contextmanager
def blaming(after: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn an error that comes out of a plugin into a message that names it; see `blamed`.

    Raises:
        PinnError: a part failed; TrainingError if `after` says how many steps are done.
    """
    try:
        yield
    except Exception as error:
        message = blamed(error, after() if after else None)
        if message is None:
            raise
        raise message from error


def failure(analyzer: Analyzer, error: Exception) -> str:
    """What to record of an analyzer that failed to measure: the error, and where it came out."""
    if culprit(error) is not None:
        return fault(error)
    module = type(analyzer).__module__
    lines = [str(place) for place in places(error) if kinship(place.module, module) > 1]
    origin = origin_of(analyzer)
    known = [*lines[:1], *([str(origin)] if origin else [])]
    return told(error) + (f" ({', '.join(known)})" if known else "")


def failure_note(analyzer: Analyzer, failure: str, step: int) -> str:
    """What to tell of an analyzer that failed to measure, where training goes on without it."""
    return (
        f"step {step:,}: analyzer {analyzer.name!r} fails: {failure}; training goes on, and it is "
        "tried again when it is next due"
    )


def failures(analyzer: str, records: Records) -> list[str]:
    """ "measurement at step 20: ValueError: boom (…)", a line for each text that was recorded."""
    steps: dict[str, list[int]] = {}
    for row in records.rows:
        if text := row.get(f"{analyzer}.{FAILURE}"):
            steps.setdefault(text, []).append(row["step"])
    return [f"{_measurements(at)}: {text}" for text, at in steps.items()]


def _measurements(steps: Sequence[int]) -> str:
    first, *others = steps
    if not others:
        return f"measurement at step {first:,}"
    return f"{len(steps):,} measurements, at steps {first:,} to {others[-1]:,}"
