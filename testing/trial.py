"""The setting of a check: the part under test, undisturbed surroundings, failures as messages."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import attrs
import torch
from attrs import field, frozen

from pinn.core.discovery import offered
from pinn.core.errors import PinnError
from pinn.core.kinds import KINDS
from pinn.core.options import options, structure, unstructure
from pinn.engine.training.undisturbed import global_state, restore_global_state, seed_everything
from pinn.testing.companions import COMPANIONS

T = TypeVar("T")


class Advice(UserWarning):
    """Something about a part that works, and would be better otherwise; or that could not be checked."""


@frozen
class Trial:
    """A part under test, and a folder for its runs."""

    kind: str
    part: Any
    folder: Path
    kept: dict[str, Any] = field(factory=dict, repr=False)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` makes, kept under this name: several checks may look at one run."""
        if name not in self.kept:
            self.kept[name] = make()
        found: T = self.kept[name]
        return found

    def fresh(self) -> Any:
        """Another part with the same options."""
        return structure(unstructure(self.part), type(self.part))

    def advise(self, message: str) -> None:
        warnings.warn(f"{self}: {message}", Advice, stacklevel=2)

    def __str__(self) -> str:
        return f"{self.kind} {self.part.name!r}"


Check = Callable[[Trial], None]


def perform(kind: str, given: Any, checks: Sequence[Check]) -> None:
    """Try the part, or the part that the class makes by default, with each check in turn.

    Raises:
        AssertionError: what was found, and what to do.
    """
    part = _instance(kind, given)
    with _undisturbed(), offered(type(part), *COMPANIONS), TemporaryDirectory() as folder:
        trial = Trial(kind, part, Path(folder))
        for check in checks:
            with _explained(trial, check), _unchanged(part):
                check(trial)


def _instance(kind: str, given: Any) -> Any:
    cls = given if isinstance(given, type) else type(given)
    if not issubclass(cls, KINDS[kind].base):
        others = [other.name for other in KINDS.values() if issubclass(cls, other.base)]
        assert not others, f"{cls.__name__} is a part of kind {others[0]}: call check_{others[0]}"
        base = KINDS[kind].base.__name__
        raise AssertionError(
            f"{cls.__name__} is no {kind}: make it a subclass of pinn.core.{base}, as in "
            f"class {cls.__name__}({base})"
        )
    try:
        with offered(cls):
            pass
    except PinnError as error:
        raise AssertionError(f"{kind} {cls.__name__}: {error}") from None
    if not isinstance(given, type):
        return given
    needed = [field.name for field in options(cls) if field.default is attrs.NOTHING]
    if needed:
        example = ", ".join(f"{name}=…" for name in needed)
        raise AssertionError(
            f"{kind} {cls.__name__}: the options {', '.join(needed)} have no default: give them "
            f"one, or check an instance, as in check_{kind}({cls.__name__}({example}))"
        )
    try:
        return cls()
    except Exception as error:
        raise AssertionError(
            f"{kind} {cls.__name__}: its default options are refused: {error}: choose defaults "
            "that its validators accept"
        ) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves torch's settings, the random generators and the working directory as they were."""
    random, threads = global_state(), torch.get_num_threads()
    before = _settings()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    seed_everything(0)
    try:
        with torch.enable_grad():
            yield
    finally:
        restore_global_state(random)
        torch.set_num_threads(threads)
        torch.set_default_dtype(before["default dtype"])
        os.chdir(before["working directory"])


def _settings() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(),
        "working directory": Path.cwd(),
    }


@contextmanager
def _explained(trial: Trial, check: Check) -> Iterator[None]:
    """Failures, whatever they are, as an AssertionError that names the part."""
    before = _settings()
    try:
        yield
    except Exception as error:
        first = _first(error)
        if isinstance(first, AssertionError):
            message = str(first)
        elif isinstance(first, PinnError):
            message = f"{first} (found while checking that {_sentence(check)})"
        else:
            message = (
                f"it raised {type(first).__name__}: {first} (while checking that "
                f"{_sentence(check)}; the cause is above)"
            )
        raise AssertionError(f"{trial}: {message}") from first
    for name, value in _settings().items():
        assert value == before[name], (
            f"{trial}: it changes the {name} of the whole program from {before[name]} to {value}: "
            "other parts rely on it; leave it alone, or put it back"
        )


@contextmanager
def _unchanged(part: Any) -> Iterator[None]:
    before = {option.name: repr(getattr(part, option.name)) for option in options(type(part))}
    yield
    for name, was in before.items():
        became = repr(getattr(part, name))
        assert was == became, (
            f"using it changed its option {name!r} from {was} to {became}: work on a copy, as in "
            f"list(self.{name})"
        )


def _first(error: BaseException) -> BaseException:
    """Hypothesis may wrap a failure that does not repeat itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _sentence(check: Check) -> str:
    return getattr(check, "__name__", "it keeps its contract").replace("_", " ")
