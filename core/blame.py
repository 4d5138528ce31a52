"""Whose fault an error is: the plugin, the part and the line that it came out of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from pinn.core.discovery import registry
from pinn.core.errors import PartError, PinnError, TrainingError, Whence, out_of_memory
from pinn.core.registry import NOT_INSTALLED, Origin, Part
from pinn.core.tracebacks import Place, one_line, places, shared_prefix

BUILT_BY = {"torch.nn.modules.module": "network", "torch.optim.optimizer": "optimizer"}
"""Who builds what has a base class of this module."""


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
    near = max(installed, key=lambda name: shared_prefix(name, module), default="")
    return modules[near] if near and shared_prefix(near, module) else None


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


def suffix(whence: Whence) -> str:
    """ " (pinn_heat.py:31, pinn-heat 0.1)", or nothing where no third party is meant."""
    found = culprit(whence.error) if whence.error is not None else None
    origin = found.origin if found else registry().origin_of(whence.part)
    foreign = origin is not None and not origin.built_in and origin != NOT_INSTALLED
    told = [*([str(found.place)] if found else []), *([str(origin)] if foreign else [])]
    return f" ({', '.join(told)})" if told else ""


def worded(error: PinnError) -> str:
    """Its text, with the origin of every part of which it speaks."""
    return "".join(p if isinstance(p, str) else suffix(p) for p in error.pieces)


def explained(error: BaseException, part: Any = None) -> str:
    """The error on one line, and the line of the plugin that it came out of, or else whose `part` is."""
    return one_line(error) + suffix(Whence(part, error))


def explained_closely(error: BaseException, part: Any) -> str:
    """As `explained`, with the line and the distribution of a built-in `part` too."""
    if culprit(error) is not None:
        return explained(error)
    module = type(part).__module__
    lines = [str(place) for place in places(error) if shared_prefix(place.module, module) > 1]
    told = [*lines[:1], *(str(origin) for origin in [registry().origin_of(part)] if origin)]
    return one_line(error) + (f" ({', '.join(told)})" if told else "")


def as_message(error: Exception, after: int | None = None) -> PinnError | None:
    """What to tell the user of an error of a part; None where it is not a plugin's fault.

    Args:
        after: how many steps are done, once training has begun.
    """
    if isinstance(error, PartError):
        return PinnError(worded(error))
    if isinstance(error, PinnError):
        return error
    found = None if out_of_memory(error) else culprit(error)
    if found is None:
        return None
    when = "" if after is None else f" after {after:,} steps" if after else " in the first step"
    message = f"{found} fails{when} at {found.place}: {one_line(error)}. "
    if after is None:
        return PinnError(f"{message}PINN_TRACEBACK=1 shows the traceback")
    return TrainingError(
        f"{message}What was saved stays, and the same command continues from there once that is "
        "mended. PINN_TRACEBACK=1 shows the traceback"
    )


@contextmanager
def blaming(after: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn an error that comes out of a part into a message that names it; see `as_message`.

    Raises:
        PinnError: a part failed; TrainingError if `after` says how many steps are done.
    """
    try:
        yield
    except Exception as error:
        message = as_message(error, after() if after else None)
        if message is None or message is error:
            raise
        raise message from (error.__cause__ if isinstance(error, PartError) else error)
