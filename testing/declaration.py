"""What every part says of itself; `core/contract.py` has what it must before it can be used at all."""

from __future__ import annotations

from typing import Any

import tomli
import tomli_w
from attrs.exceptions import FrozenInstanceError

from pinn.core.options import Faults, key_of, options, structure, type_name, unstructure
from pinn.core.registry import summary
from pinn.testing.trial import Trial

TYPES = "int, float, str, bool, Path, list and dict of these, and unions such as float | None"
OF_EVERY_TYPE: tuple[Any, ...] = (True, 3, 0.5, "a word", [None], {"a": None})


def it_cannot_be_changed(trial: Trial) -> None:
    try:
        trial.part.name = trial.part.name
    except FrozenInstanceError:
        return
    except AttributeError:
        pass
    raise AssertionError(
        f"{type(trial.part).__name__} can be changed: put @attrs.frozen above it instead of "
        "@attrs.define; what changes during training is handed in and returned"
    )


def it_says_what_it_is(trial: Trial) -> None:
    cls = type(trial.part)
    assert summary(cls), (
        f"{cls.__name__} has no docstring: its first line is what `pinn list` shows; a formula is good"
    )
    for field in options(cls):
        if not field.metadata.get("help"):
            trial.advise(
                f"the option {key_of(field)!r} has no description for `pinn describe`: write "
                f'{field.name}: {type_name(field.type)} = option(…, "what it is")'
            )


def its_options_survive_a_toml_file(trial: Trial) -> None:
    part, cls = trial.part, type(trial.part)
    read: dict[str, Any] = {}
    for name, value in unstructure(part).items():
        try:
            read |= tomli.loads(tomli_w.dumps({name: value}))
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"the option {name!r} = {value!r} cannot be written to a TOML file ({error}): use "
                f"{TYPES}, and make what is needed of them in a method"
            ) from error
    try:
        again = structure(read, cls)
    except Faults as faults:
        raise AssertionError(
            f"its options are not read back from a TOML file: {faults}. Use the types {TYPES}, and "
            "validators that accept the defaults"
        ) from faults
    for field in options(cls):
        one, other = getattr(part, field.name), getattr(again, field.name)
        assert one == other, (
            f"the option {key_of(field)!r} is {one!r}, but {other!r} when it is read back from a "
            f"TOML file: a converter or {type_name(field.type)} does not fit; use {TYPES}"
        )
    assert again == part, (
        "a part with the same options is not equal to it, so that a run cannot be opened again: "
        "leave eq as attrs makes it, and keep what is computed from the options out of the fields"
    )


def wrongly_typed_options_are_refused(trial: Trial) -> None:
    cls = type(trial.part)
    for field in options(cls):
        assert not all(_accepted(cls, key_of(field), value) for value in OF_EVERY_TYPE), (
            f"the option {key_of(field)!r} accepts anything, as its type {type_name(field.type)} says: "
            f"use {TYPES}"
        )


def _accepted(cls: type[Any], name: str, value: Any) -> bool:
    try:
        structure({name: value}, cls)
    except Faults as faults:
        return not any(path.split(".")[0] == name for path, _ in faults.faults)
    return True


DECLARATION = (
    it_cannot_be_changed,
    it_says_what_it_is,
    its_options_survive_a_toml_file,
    wrongly_typed_options_are_refused,
)
