"""Options of a part: attrs fields that know their one-line description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], object]


def option(default: Any = attrs.NOTHING, help: str = "", validator: Validator | None = None) -> Any:
    """An option with a default, a description for `pinn describe`, and a validator.

    >>> @attrs.frozen
    ... class Rba:
    ...     eta: float = option(0.001, "learning rate of the weights", above(0))
    """
    if isinstance(default, list | dict):
        empty = type(default)
        return attrs.field(
            factory=lambda: empty(default), validator=validator, metadata={"help": help}
        )
    return attrs.field(default=default, validator=validator, metadata={"help": help})


def above(bound: float) -> Validator:
    """A number greater than `bound`."""
    return _check(lambda value: value > bound, f"greater than {bound:g}")


def at_least(bound: float) -> Validator:
    """A number that is `bound` or greater."""
    return _check(lambda value: value >= bound, f"at least {bound:g}")


def between(low: float, high: float) -> Validator:
    """A number from `low` to `high`, both included."""
    return _check(lambda value: low <= value <= high, f"between {low:g} and {high:g}")


def fraction() -> Validator:
    """At least 0 and below 1: the memory of a running mean."""
    return _check(lambda value: 0 <= value < 1, "at least 0 and below 1")


def choice(*allowed: str) -> Validator:
    """One of these words."""
    return _check(lambda value: value in allowed, "one of " + ", ".join(allowed))


def _check(accepts: Callable[[Any], bool], expected: str) -> Validator:
    def validate(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not accepts(value):
            raise ValueError(f"expected {expected}, found {value!r}")

    return validate
