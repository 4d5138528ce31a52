"""A class of torch optimizers by its import path, made with options that it knows."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import islice
from textwrap import shorten
from types import ModuleType
from typing import Any

import torch

from pinn.core import PinnError

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
LONGEST = 400
"""Letters of a list of names: a package may have a hundred optimizers."""


def made(
    path: str, parameters: Sequence[torch.nn.Parameter], options: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """The optimizer of these parameters that the class at `path` makes.

    Raises:
        PinnError: there is no such class, it has no such option, or it refuses a value.
    """
    cls = imported(path)
    known = known_options(cls)
    for name in options:
        if name not in known:
            raise PinnError(
                f"{path} knows no option {name!r}{_guess(name, known)} It knows {_listed(known)}"
            )
    try:
        return cls(parameters, **options)
    except Exception as error:  # whatever it says of its values
        raise PinnError(f"{path} refuses its options or parameters: {_said(error)}") from error


def imported(path: str) -> type[torch.optim.Optimizer]:
    """The class at `path`, such as "torch.optim.AdamW".

    Raises:
        PinnError: the package or the module is missing or fails, or has no such optimizer.
    """
    where, _, name = path.rpartition(".")
    module = _module(where, path)
    if not hasattr(module, name):
        there = _optimizers(module)
        raise PinnError(
            f"{where} has no {name!r}{_guess(name, there)} Its optimizers are {_listed(there)}"
        )
    found = getattr(module, name)
    if not _is_optimizer(found):
        raise PinnError(f"{path} is no subclass of torch.optim.Optimizer, but {found!r}")
    cls: type[torch.optim.Optimizer] = found
    return cls


def _module(where: str, path: str) -> ModuleType:
    package, _, _ = where.partition(".")
    try:
        return import_module(where)
    except ModuleNotFoundError as error:
        if error.name == package:
            raise PinnError(
                f"{path} needs the package {package}, which is not installed: "
                f"pip install {package.replace('_', '-')}"
            ) from None
        if error.name is not None and f"{where}.".startswith(f"{error.name}."):
            raise PinnError(f"{path}: there is no module {error.name}") from None
        raise PinnError(f"{path}: importing {where} fails: {_said(error)}") from error
    except Exception as error:  # whatever the package does when it is imported
        raise PinnError(f"{path}: importing {where} fails: {_said(error)}") from error


def known_options(cls: type[torch.optim.Optimizer]) -> list[str]:
    """What its constructor takes by name beside the parameters, which come first.

    `**kwargs` count for nothing: some packages swallow whatever they do not know. Where a constructor
    names nothing else, it hands on to that of the next base class.
    """
    for base in (base for base in cls.__mro__ if "__init__" in vars(base)):
        taken = inspect.signature(vars(base)["__init__"]).parameters.values()
        behind_the_parameters = islice(taken, 2, None)
        names = [option.name for option in behind_the_parameters if option.kind in NAMED]
        if names:
            return names
    return []


def _is_optimizer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer)


def _optimizers(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if _is_optimizer(value)]


def _guess(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def _listed(names: Collection[str]) -> str:
    return shorten(", ".join(sorted(names)), LONGEST, placeholder=" …") or "none"


def _said(error: Exception) -> str:
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first}"
