"""From TOML values to attrs classes, strictly: nothing is coerced, every fault is named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from pinn.core.errors import PinnError, nearest, one_of

T = TypeVar("T")

LISTS: tuple[Any, ...] = (list, tuple)
TABLES: tuple[Any, ...] = (dict,)

NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
LIMITS = {(int, int): "a whole number below 2^63", (float, float): "a finite number"}


class Faults(Exception):
    """Everything wrong with a table, as (key path, message)."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{path}: {message}" for path, message in faults))


def structure(table: Mapping[str, Any], cls: type[T]) -> T:
    """`table` as an instance of the attrs class `cls`.

    Raises:
        Faults: unknown or missing keys, wrong types, values that a validator refuses.
    """
    attrs.resolve_types(cls)  # type: ignore[type-var]
    fields = {field.name: field for field in options(cls)}
    faults = [
        (key, f"unknown key{nearest(key, fields)}; known are {one_of(fields)}")
        for key in sorted(table.keys() - fields.keys())
    ]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            try:
                values[field.alias or name] = _checked(table[name], field)
            except Exception as error:  # whatever a type or a validator says
                faults += _faults(error, name, field.type)
        elif field.default is attrs.NOTHING:
            faults.append((name, "is missing"))
    if faults:
        raise Faults(faults)
    try:
        return cls(**values)
    except Exception as error:  # what the class says of its options together
        raise Faults([("", _message(error))]) from error


def options(cls: type[Any]) -> list[attrs.Attribute[Any]]:
    """The fields of an attrs class that a table may set."""
    return [field for field in attrs.fields(cls) if field.init]


READABLE = (*NAMES, *LISTS, *TABLES, Sequence, Mapping, Any, type(None), ...)


def check_readable(annotation: Any) -> None:
    """A TOML file can hold an option of this type.

    Raises:
        TypeError: it cannot.
    """
    origin = get_origin(annotation)
    if origin is Literal:
        return
    inner = get_args(annotation) if origin in READABLE or _is_union_of_scalars(annotation) else ()
    if not inner and annotation not in READABLE:
        raise TypeError(
            f"has the type {shown_type(annotation)}, which a TOML file cannot hold; use int, float, "
            "str, bool, list, tuple, dict or Literal, also with | None"
        )
    for each in inner:
        check_readable(each)


def shown_type(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _checked(value: Any, field: attrs.Attribute[Any]) -> Any:
    if type(value) is type(field.default) and value == field.default:
        return value  # such as an infinite default, which is written out and read again
    structured = value if field.type is None else _CONVERTER.structure(value, field.type)
    if field.validator is not None and field.converter is None:
        with suppress(AttributeError):  # it looks at the instance, which is made and checked later
            field.validator(None, field, structured)
    return structured


def unstructure(instance: Any) -> dict[str, Any]:
    """The options of an attrs instance as TOML values; what is None is left out."""
    found = {a.name: _plain(getattr(instance, a.name)) for a in options(type(instance))}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _strict(kind: type, accepts: Callable[[Any], bool]) -> Callable[[Any, type], Any]:
    def hook(value: Any, _: type) -> Any:
        if not accepts(value):
            expected = LIMITS.get((kind, type(value)), NAMES[kind])
            raise TypeError(f"expected {expected}, found {shown(value)}")
        return kind(value)

    return hook


def shown(value: Any) -> str:
    """A value as one writes it in TOML, or nearly."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _finite(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_union_of_scalars(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, type(int | str)) and bool(get_args(annotation))


def _structure_union(value: Any, annotation: Any) -> Any:
    """The first member of the union that takes the value as it is."""
    messages = []
    container = TABLES if isinstance(value, Mapping) else LISTS
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
    raise TypeError(f"expected {' or '.join(messages)}, found {shown(value)}")


def _structure_list(value: Any, annotation: Any) -> Any:
    (item, *_) = get_args(annotation) or (Any,)
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, found {shown(value)}")
    items = (_CONVERTER.structure(v, item) for v in value)
    return tuple(items) if get_origin(annotation) is tuple else list(items)


def _structure_table(value: Any, annotation: Any) -> Any:
    _, item = get_args(annotation) or (str, Any)
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, found {shown(value)}")
    found = {}
    for key, inner in value.items():
        try:
            found[str(key)] = _CONVERTER.structure(inner, item)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{key}: {error}") from None
    return found


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _strict(int, _whole))
    converter.register_structure_hook(float, _strict(float, _finite))
    converter.register_structure_hook(str, _strict(str, lambda v: isinstance(v, str)))
    converter.register_structure_hook(bool, _strict(bool, lambda v: isinstance(v, bool)))
    converter.register_structure_hook_func(
        lambda annotation: get_origin(annotation) in LISTS, _structure_list
    )
    converter.register_structure_hook_func(
        lambda annotation: get_origin(annotation) in TABLES, _structure_table
    )
    converter.register_structure_hook_func(_is_union_of_scalars, _structure_union)
    return converter


_CONVERTER = _converter()


def _faults(error: BaseException, path: str, annotation: Any) -> Iterator[tuple[str, str]]:
    """The leaves of a cattrs error tree."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [a.name for a in attrs.fields(annotation)]
        for key in sorted(error.extra_fields):
            yield f"{path}.{key}", f"unknown key{nearest(key, known)}; known are {one_of(known)}"
    elif isinstance(error, ClassValidationError):
        located, others = error.group_exceptions()
        for inner, note in located:
            inside = f"{path}.{note.name}"
            if isinstance(inner, KeyError):
                yield inside, "is missing"
            else:
                yield from _faults(inner, inside, note.type)
        for other in others:
            yield from _faults(other, path, annotation)
    elif isinstance(error, IterableValidationError):
        for inner in error.exceptions:
            yield from _faults(inner, path, annotation)
    else:
        yield path, _message(error)


def _message(error: BaseException) -> str:
    """What a type or a validator says of a value; where it fails instead, how and at which line."""
    text = str(error.args[0]) if error.args else ""  # attrs adds the attribute and the value to it
    if isinstance(error, PinnError | TypeError | ValueError) and text:
        return text
    from pinn.core.blame import fault  # now: it needs the registry, which needs this module

    return fault(error)
