"""Options of a part: attrs fields with a description, read strictly from a table and written to one.

Nothing is coerced when they are read, and every fault is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs

from pinn.core.errors import PinnError, one_of, unknown_keys

T = TypeVar("T")
Validator = Callable[[Any, "attrs.Attribute[Any]", Any], object]

SCALARS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
LISTS: tuple[Any, ...] = (list, tuple)
UNIONS = (Union, UnionType)
LARGEST = 2**53
"""Up to which every whole number is one of double precision, too."""
READABLE = (*SCALARS, Path, *LISTS, dict, Sequence, Mapping, Any, type(None), ...)
"""What the types of options are made of."""


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


def zero_or_at_least(bound: float) -> Validator:
    """0, which switches something off, or a number that is `bound` or greater."""
    return _check(lambda value: value == 0 or value >= bound, f"0, or at least {bound:g}")


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


class Faults(Exception):
    """Everything wrong with a table, as (key path, error); see `refusal`."""

    def __init__(self, faults: Sequence[tuple[str, Exception]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path}: {refusal(e) or e}" for path, e in faults))


def refusal(error: Exception) -> str | None:
    """What a type or a validator says of a value; None where it fails instead."""
    text = str(error.args[0]) if error.args else ""  # attrs adds the attribute and the value to it
    return text if isinstance(error, PinnError | TypeError | ValueError) and text else None


def options(cls: type[Any]) -> list[attrs.Attribute[Any]]:
    """The fields of an attrs class that a table may set."""
    return [field for field in attrs.fields(cls) if field.init]


def key_of(field: attrs.Attribute[Any]) -> str:
    """What a table calls it: `class` for a field `class_`, whose own name Python would not allow."""
    return field.name.removesuffix("_")


def unstructure(instance: Any) -> dict[str, Any]:
    """The options of an attrs instance as TOML values; what is None is left out."""
    found = {key_of(field): getattr(instance, field.name) for field in options(type(instance))}
    return {name: _in_table(value) for name, value in found.items() if value is not None}


def _in_table(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def located(table: Mapping[str, Any], cls: type[Any], folder: Path) -> dict[str, Any]:
    """The table with the options of `cls` that are paths whole: relative ones begin in `folder`.

    An option whose type is `Path` or `Path | None` is the name of a file.
    """
    attrs.resolve_types(cls)
    found = dict(table)
    for field in options(cls):
        given: Any = found.get(key_of(field), field.default)
        named = isinstance(given, Path) or (isinstance(given, str) and given.strip())
        if named and Path in (field.type, *get_args(field.type)):
            with suppress(RuntimeError):  # the home of nobody
                given = Path(given).expanduser()
            found[key_of(field)] = str(folder / given)
    return found


def structure(table: Mapping[str, Any], cls: type[T]) -> T:
    """`table` as an instance of the attrs class `cls`.

    Raises:
        Faults: unknown or missing keys, wrong types, values that a validator refuses.
    """
    attrs.resolve_types(cls)  # type: ignore[type-var]
    fields = {key_of(field): field for field in options(cls)}
    faults: list[tuple[str, Exception]] = [
        (key, PinnError(f"unknown key{near}; known are {one_of(fields)}"))
        for key, near in unknown_keys(table.keys() - fields.keys(), fields)
    ]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in table:
            if field.default is attrs.NOTHING:
                faults.append((name, PinnError("is missing")))
            continue
        try:
            values[field.alias or name] = _checked(table[name], field)
        except Faults as inside:
            faults += [(f"{name}.{path}".rstrip("."), error) for path, error in inside.faults]
        except Exception as error:  # whatever a type or a validator says
            faults.append((name, error))
    if not faults:
        try:
            return cls(**values)
        except Exception as error:  # what the class says of its options together
            faults.append(("", error))
    raise Faults(faults)


def _checked(value: Any, field: attrs.Attribute[Any]) -> Any:
    if type(value) is type(field.default) and value == field.default:
        return value  # such as an infinite default, which is written out and read again
    structured = value if field.type is None else _CONVERTER.structure(value, field.type)
    if field.validator is not None and field.converter is None:
        with suppress(AttributeError):  # it looks at the instance, which is made and checked later
            field.validator(None, field, structured)
    return structured


def _scalar(kind: type) -> Callable[[Any, type], Any]:
    def hook(value: Any, _: type) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
        finite = whole or (isinstance(value, float) and math.isfinite(value))
        accepted = {int: whole, float: finite}.get(kind, isinstance(value, kind))
        if not accepted:
            limits = {(int, int): "a whole number up to 2^53", (float, float): "a finite number"}
            expected = limits.get((kind, type(value)), SCALARS[kind])
            raise TypeError(f"expected {expected}, found {in_toml(value)}")
        return kind(value)

    return hook


def _path(value: Any, _: type) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise TypeError(f"expected the name of a file, found {in_toml(value)}")
    return Path(value)


def _list(value: Any, annotation: Any) -> Any:
    (item, *_) = get_args(annotation) or (Any,)
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, found {in_toml(value)}")
    items = (_CONVERTER.structure(each, item) for each in value)
    return tuple(items) if get_origin(annotation) is tuple else list(items)


def _table(value: Any, annotation: Any) -> Any:
    _, item = get_args(annotation) or (str, Any)
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, found {in_toml(value)}")
    found = {}
    for key, inner in value.items():
        try:
            found[str(key)] = _CONVERTER.structure(inner, item)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{key}: {error}") from None
    return found


def _union(value: Any, annotation: Any) -> Any:
    """The first member of the union that takes the value as it is."""
    messages = []
    container = (dict,) if isinstance(value, Mapping) else LISTS
    for member in get_args(annotation):
        if get_origin(member) in container and isinstance(value, Mapping | list):
            return _CONVERTER.structure(value, member)
        if member is type(None):
            if value is None:
                return None
            continue
        try:
            return _CONVERTER.structure(value, member)
        except Exception as error:  # each member's refusal is part of the message
            messages.append(str(error).split(", found")[0].removeprefix("expected "))
    raise TypeError(f"expected {' or '.join(messages)}, found {in_toml(value)}")


def _made_of(origins: tuple[Any, ...], annotation: Any) -> bool:
    return get_origin(annotation) in origins


_CONVERTER = cattrs.Converter(detailed_validation=False)
for _kind in SCALARS:
    _CONVERTER.register_structure_hook(_kind, _scalar(_kind))
_CONVERTER.register_structure_hook(Path, _path)
_CONVERTER.register_structure_hook_func(attrs.has, structure)
for _origins, _hook in ((LISTS, _list), ((dict,), _table), (UNIONS, _union)):
    _CONVERTER.register_structure_hook_func(partial(_made_of, _origins), _hook)


def in_toml(value: Any) -> str:
    """A value as one writes it in TOML, or nearly."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def check_readable(annotation: Any) -> None:
    """A TOML file can hold an option of this type.

    Raises:
        TypeError: it cannot.
    """
    origin = get_origin(annotation)
    if origin is Literal:
        return
    inner = get_args(annotation) if origin in (*READABLE, *UNIONS) else ()
    if not inner and annotation not in READABLE:
        raise TypeError(
            f"has the type {type_name(annotation)}, which a TOML file cannot hold; use int, float, "
            "str, bool, Path, list, tuple, dict or Literal, also with | None"
        )
    for each in inner:
        check_readable(each)


def type_name(annotation: Any) -> str:
    """A type as it is written: `float`, `list[str]`, `float | None`."""
    named = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return named.replace("pathlib.Path", "Path")
