"""From TOML values to attrs classes, strictly: nothing is coerced, every fault is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError

from pinn.core.errors import nearest, one_of

T = TypeVar("T")

LISTS: tuple[Any, ...] = (list, tuple)
TABLES: tuple[Any, ...] = (dict,)

NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


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
    try:
        return _CONVERTER.structure(table, cls)
    except ClassValidationError as error:
        raise Faults(list(_faults(error, "", cls))) from error


def unstructure(instance: Any) -> dict[str, Any]:
    """The options of an attrs instance as TOML values; what is None is left out."""
    found = {a.name: _plain(getattr(instance, a.name)) for a in attrs.fields(type(instance))}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _strict(kind: type, accepts: Callable[[Any], bool]) -> Callable[[Any, type], Any]:
    def hook(value: Any, _: type) -> Any:
        if not accepts(value):
            raise TypeError(f"expected {NAMES[kind]}, found {value!r}")
        return kind(value)

    return hook


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_union_of_scalars(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, type(int | str)) and bool(get_args(annotation))


def _structure_union(value: Any, annotation: Any) -> Any:
    """The first member of the union that takes the value as it is."""
    messages = []
    for member in get_args(annotation):
        if member is type(None):
            if value is None:
                return None
            continue
        try:
            return _CONVERTER.structure(value, member)
        except Exception as error:  # each member's refusal is part of the message
            messages.append(str(error).split(", found")[0].removeprefix("expected "))
    raise TypeError(f"expected {' or '.join(messages)}, found {value!r}")


def _structure_list(value: Any, annotation: Any) -> Any:
    (item, *_) = get_args(annotation) or (Any,)
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, found {value!r}")
    items = (_CONVERTER.structure(v, item) for v in value)
    return tuple(items) if get_origin(annotation) is tuple else list(items)


def _structure_table(value: Any, annotation: Any) -> Any:
    _, item = get_args(annotation) or (str, Any)
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, found {value!r}")
    return {str(key): _CONVERTER.structure(v, item) for key, v in value.items()}


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(int, _strict(int, _whole))
    converter.register_structure_hook(
        float, _strict(float, lambda v: _whole(v) or isinstance(v, float))
    )
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


def _faults(error: BaseException, path: str, cls: type) -> Iterator[tuple[str, str]]:
    """The leaves of a cattrs error tree."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [a.name for a in attrs.fields(cls)]
        for key in sorted(error.extra_fields):
            yield _join(path, key), f"unknown key{nearest(key, known)}; known are {one_of(known)}"
    elif isinstance(error, ClassValidationError):
        located, others = error.group_exceptions()
        for inner, note in located:
            yield from _faults(inner, _join(path, note.name), note.type)
        for other in others:
            yield from _faults(other, path, cls)
    elif isinstance(error, IterableValidationError):
        for inner in error.exceptions:
            yield from _faults(inner, path, cls)
    elif isinstance(error, KeyError):
        yield path, "is missing"
    else:
        yield path, str(error)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
