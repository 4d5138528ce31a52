"""What a plugin and its classes must be; whatever is not so is an error that says how to mend it."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from types import ModuleType
from typing import Any

import attrs
import click
import pluggy

from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.kinds import Kind
from pinn.core.options import check_readable, key_of, options

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_hooks(plugin: object, hooks: Collection[str]) -> None:
    """Every marked function is a hook, every hook is marked, and there is one.

    Raises:
        PinnError: it is not so.
    """
    implemented = 0
    unmarked = []
    for name, member in _routines(plugin):
        mark = getattr(member, "pinn_impl", None)
        if mark is None:
            unmarked.append(name)
            continue
        hook = mark["specname"] or name
        if hook not in hooks:
            raise PinnError(f"there is no hook {hook!r}{nearest(hook, hooks)}")
        parameters = inspect.signature(member).parameters
        if parameters:
            raise PinnError(
                f"{name}({', '.join(parameters)}) takes parameters; a hook is called without any: "
                f"def {name}():"
            )
        implemented += 1
    for name in unmarked:
        if name in hooks:
            raise PinnError(f"{name} is not marked: put @hookimpl above it")
    if not implemented:
        close = [nearest(name, hooks) for name in unmarked if name.startswith("pinn_")]
        raise PinnError(
            "offers nothing: none of its functions is a hook with @hookimpl above it"
            f"{''.join(close[:1])}; hooks are {one_of(hooks)}"
        )


def _routines(plugin: object) -> Iterator[tuple[str, Any]]:
    """Functions of a module, methods of an object; other members are not even looked at."""
    if isinstance(plugin, ModuleType):
        members = vars(plugin)
    else:
        members = {name: inspect.getattr_static(plugin, name) for name in dir(plugin)}
    for name, member in members.items():
        if inspect.isroutine(member):
            yield name, getattr(plugin, name)


def offered_by(manager: pluggy.PluginManager, hook: str) -> list[Any]:
    """What the one registered plugin returns for this hook; nothing where it does not implement it.

    Raises:
        PinnError: it is not a list.
    """
    caller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        return []
    found = next(iter(caller()), None)  # pluggy leaves out None
    if not isinstance(found, list | tuple):
        what = found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
        what = "nothing" if found is None else what
        raise PinnError(f"{hook} returned {what}, expected a list, as in return [Heat]")
    return list(found)


def check_command(command: Any) -> None:
    """It is a command with a name.

    Raises:
        PinnError: it is not so.
    """
    if not isinstance(command, click.Command) or not command.name:
        raise PinnError(f"{command!r} is not a click command with a name")


def check_part(kind: Kind, cls: Any) -> None:
    """`cls` is a part of this kind, lacks nothing, and has options that a `pinn.toml` can hold.

    Raises:
        PinnError: it is not so.
    """
    if not (isinstance(cls, type) and issubclass(cls, kind.base)):
        raise PinnError(f"{cls!r} is not a subclass of pinn.core.{kind.base.__name__}")
    if "__attrs_attrs__" not in vars(cls):
        raise PinnError(f"{cls.__name__} is not an attrs class: put @attrs.frozen above it")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if kind.one_of and all(getattr(cls, m) is getattr(kind.base, m) for m in kind.one_of):
        missing.append(" or ".join(kind.one_of))
    if missing:
        raise PinnError(f"{cls.__name__} lacks {', '.join(missing)}")
    _check_name(cls)
    unset = [name for name in kind.base.__annotations__ if not hasattr(cls, name)]
    if unset:
        raise PinnError(f"{cls.__name__} lacks {', '.join(unset)}")
    _check_constants(cls)
    _check_options(kind, cls)


def _check_name(cls: type[Any]) -> None:
    name = getattr(cls, "name", None)
    example = f"as in name = {_hyphened(cls.__name__)!r}"
    if "name" in {key_of(field) for field in options(cls)}:
        raise PinnError(
            f"{cls.__name__}: its name is an option; write it without a type, {example}"
        )
    if not isinstance(name, str):
        raise PinnError(f"{cls.__name__} lacks a name, {example}")
    if not NAME.fullmatch(name):
        raise PinnError(
            f"{cls.__name__}: the name {name!r} is not in lower case with hyphens, as "
            f"{_hyphened(name)!r} is"
        )


def _hyphened(name: str) -> str:
    """ "allen-cahn" for AllenCahn or allen_cahn."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", "-", name).strip("-").lower()
    return words if NAME.fullmatch(words) else "heat"


def _check_constants(cls: type[Any]) -> None:
    """What a class says of itself has the form that is meant."""
    for name in ("fields", "needs", "events"):
        value = getattr(cls, name, ())
        if isinstance(value, str):
            raise PinnError(
                f"{cls.__name__}: {name} = {value!r} is not a tuple: write ({value!r},)"
            )
    domain = getattr(cls, "domain", None)
    if isinstance(domain, dict | list | tuple):
        raise PinnError(
            f"{cls.__name__}: its domain is a {type(domain).__name__}; expected a box, as in "
            "domain = Box(x=(0, 1))"
        )


def _check_options(kind: Kind, cls: type[Any]) -> None:
    if any(isinstance(field.type, str) for field in options(cls)):
        try:
            attrs.resolve_types(cls)
        except Exception as error:  # whatever stands for a type
            raise PinnError(
                f"{cls.__name__}: the type of an option is not known: {error}"
            ) from None
    taken = {key_of(field) for field in options(kind.options)} if kind.options else set()
    for field in options(cls):
        where = f"{cls.__name__}: the option {key_of(field)!r}"
        if key_of(field) in taken:
            raise PinnError(f"{where} has the name of an option that every {kind.name} has")
        if field.type is None:
            raise PinnError(f"{where} has no type: write {field.name}: float = …")
        try:
            check_readable(field.type)
        except TypeError as error:
            raise PinnError(f"{where} {error}") from None


def check_names(offered: Sequence[str]) -> None:
    """No two of these names are the same.

    Raises:
        PinnError: it is not so.
    """
    for name, count in Counter(offered).items():
        if count > 1:
            raise PinnError(f"offers the {name} {count} times")
