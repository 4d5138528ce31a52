"""Plugins that are broken in every way: each is named, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner

from pinn.core import (
    Analyzer,
    Box,
    Network,
    PinnError,
    Problem,
    Sampler,
    Weighting,
    hookimpl,
    option,
)
from pinn.core import (
    registry as registries,
)
from pinn.core.cli import _commands
from pinn.core.registry import Origin, Registry, load, registry

Offer = Callable[..., tuple[Any, Origin]]


class EntryPoint:
    """An entry point that gives a module, or fails as an import does."""

    def __init__(self, module: ModuleType | BaseException) -> None:
        self.module = module

    def load(self) -> ModuleType:
        if isinstance(self.module, BaseException):
            raise self.module
        return self.module


def module(**members: Any) -> ModuleType:
    made = ModuleType("a_plugin")
    vars(made).update(members)
    return made


def hook(result: Any) -> Callable[[], Any]:
    """A marked hook that returns `result`, or raises it."""

    @hookimpl
    def implementation() -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    return implementation


def offer(
    name: str, content: ModuleType | BaseException, package: str | None = None
) -> tuple[Any, Origin]:
    return EntryPoint(content), Origin(package or f"pinn-{name}", "1.2", name)


@frozen
class Heat(Problem):
    """u_t = u_xx"""

    name = "heat"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = option(0.1, "conductivity")

    def equations(self, q: Any) -> dict[str, torch.Tensor]:
        return {"heat": q.u_t - self.kappa * q.u_xx}


@frozen
class OtherHeat(Heat):
    """Another."""


GOOD = module(pinn_problems=hook([Heat]))


def problem(**members: Any) -> type:
    """A problem class with these members, not yet an attrs class."""
    whole = {
        "name": "bad",
        "fields": ("u",),
        "domain": Box(x=(0, 1)),
        "equations": lambda self, q: {},
    }
    whole |= members
    return type("Bad", (Problem,), {k: v for k, v in whole.items() if v is not None})


def unresolved() -> type:
    cls = problem()
    cls.__annotations__ = {"strange": "NoSuchType"}
    cls.strange = 1  # type: ignore[attr-defined]
    return attrs.frozen(cls)


@hookimpl
def pinn_problmes() -> list[type[Problem]]:
    return [Heat]


def unmarked() -> list[type[Problem]]:
    return [Heat]


@hookimpl
def with_argument(config: Any) -> list[type[Problem]]:
    return [Heat]


BROKEN: dict[str, tuple[ModuleType | BaseException, list[str]]] = {
    "import error": (ImportError("no module named 'jax'"), ["ImportError: no module named 'jax'"]),
    "syntax error": (SyntaxError("invalid syntax"), ["SyntaxError: invalid syntax"]),
    "exits": (SystemExit(3), ["SystemExit: 3"]),
    "misspelt hook": (
        module(pinn_problmes=pinn_problmes),
        ["no hook 'pinn_problmes'", "did you mean 'pinn_problems'?"],
    ),
    "hook without mark": (
        module(pinn_problems=unmarked),
        ["pinn_problems is not marked", "@hookimpl"],
    ),
    "hook with an argument": (module(pinn_problems=with_argument), ["config"]),
    "hook raises": (module(pinn_problems=hook(ValueError("boom"))), ["ValueError: boom"]),
    "not a list": (module(pinn_problems=hook(Heat)), ["not iterable"]),
    "an instance": (module(pinn_problems=hook([Heat()])), ["not a subclass of pinn.core.Problem"]),
    "another kind": (module(pinn_networks=hook([Heat])), ["not a subclass of pinn.core.Network"]),
    "not attrs": (
        module(pinn_problems=hook([problem()])),
        ["Bad is not an attrs class", "@attrs.fro"],
    ),
    "no method": (
        module(pinn_problems=hook([attrs.frozen(problem(equations=None))])),
        ["Bad lacks equations"],
    ),
    "no name": (module(pinn_problems=hook([attrs.frozen(problem(name=None))])), ["lacks a name"]),
    "name is no text": (
        module(pinn_problems=hook([attrs.frozen(problem(name=3))])),
        ["lacks a name"],
    ),
    "no domain": (
        module(pinn_problems=hook([attrs.frozen(problem(domain=None))])),
        ["Bad lacks domain"],
    ),
    "no fields": (
        module(pinn_problems=hook([attrs.frozen(problem(fields=None))])),
        ["Bad lacks fields"],
    ),
    "unknown type": (
        module(pinn_problems=hook([unresolved()])),
        ["the type of an option is not known", "NoSuchType"],
    ),
}


@pytest.mark.parametrize(("content", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_is_named_and_the_others_work(
    content: ModuleType | BaseException, expected: list[str]
) -> None:
    found = load([offer("bad", content), offer("good", GOOD)])
    assert [part.name for part in found.parts("problem")] == ["heat"]
    (broken,) = found.broken
    assert str(broken).startswith("plugin 'bad' of pinn-bad 1.2: ")
    for text in expected:
        assert text in str(broken)
    with pytest.raises(PinnError, match="no problem is called 'bad'"):
        found.find("problem", "bad")
    assert found.find("problem", "heat").cls is Heat


@pytest.mark.parametrize("base", [Network, Sampler, Weighting, Analyzer])
def test_every_kind_is_checked_for_its_methods(base: type) -> None:
    incomplete = attrs.frozen(type("Incomplete", (base,), {"name": "incomplete"}))
    found = load([offer("bad", module(**{f"pinn_{base.__name__.lower()}s": hook([incomplete])}))])
    assert "Incomplete lacks " in str(found.broken[0])


def test_a_plugin_may_offer_parts_of_several_kinds() -> None:
    @frozen
    class Still(Weighting):
        name = "still"

        def initial(self, count: int) -> torch.Tensor:
            return torch.ones(count)

        def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
            return weights

    several = module(pinn_problems=hook([Heat]), pinn_weightings=hook((Still,)))
    found = load([offer("several", several)])
    assert [(part.kind, part.name) for part in found.parts()] == [
        ("problem", "heat"),
        ("weighting", "still"),
    ]
    assert found.broken == ()


def test_a_helper_module_in_a_plugin_is_not_touched() -> None:
    class Shy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was asked for")

    assert (
        load([offer("good", module(pinn_problems=hook([Heat]), torch=Shy("torch")))]).broken == ()
    )


TWO = [offer("first", GOOD), offer("second", module(pinn_problems=hook([OtherHeat])))]


def test_two_plugins_with_one_name() -> None:
    found = load(TWO)
    with pytest.raises(PinnError) as caught:
        found.find("problem", "heat")
    for text in ("pinn-first 1.2", "'first'", "pinn-second 1.2", "PINN_DISABLE_PLUGINS=second"):
        assert text in str(caught.value)
    assert [part.origin.entry_point for part in found.parts("problem")] == ["first", "second"]
    assert len(found.conflicts()) == 1


@pytest.mark.parametrize("name", ["second", "pinn-second", " second , other"])
def test_a_disabled_plugin_is_not_there(name: str) -> None:
    found = load(TWO, name)
    assert found.find("problem", "heat").cls is Heat
    assert found.conflicts() == []


def test_a_disabled_plugin_is_not_even_imported() -> None:
    assert load([offer("bad", ImportError("never"))], "bad") == Registry({}, ())


def test_one_name_of_two_kinds_is_no_conflict() -> None:
    @frozen
    class Namesake(Sampler):
        name = "heat"

        def draw(self, domain: Any, count: int, generator: Any) -> Any:
            return generator.random((count, domain.dimension))

    found = load([offer("a", GOOD), offer("b", module(pinn_samplers=hook([Namesake])))])
    assert found.conflicts() == []
    assert found.find("sampler", "heat").cls is Namesake


# the command, with plugins beside the built-in ones


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Plugins as if they were installed."""
    installed = list(registries._entry_points())

    def add(*offers: tuple[Any, Origin]) -> None:
        monkeypatch.setattr(registries, "_entry_points", lambda: [*installed, *offers])
        registry.cache_clear()

    yield add
    monkeypatch.undo()
    registry.cache_clear()


TOML = """
[problem]
name = "heat"
kappa = {kappa}
[network]
width = 4
depth = 1
[[optimizers]]
name = "adam"
steps = 2
"""


def pinn(*words: str, **environment: str) -> Any:
    result = CliRunner(env=environment).invoke(_commands, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_list_shows_the_plugin_its_origin_and_what_is_broken(install: Callable[..., None]) -> None:
    install(*TWO, offer("bad", ImportError("no module named 'jax'")))
    result = pinn("list")
    assert result.exit_code == 0
    assert "[pinn-first 1.2]" in result.stdout
    assert "[pinn-second 1.2]" in result.stdout
    assert "helmholtz" in result.stdout
    assert "broken: plugin 'bad' of pinn-bad 1.2: ImportError" in result.stderr
    assert "broken: the problem 'heat' is offered by" in result.stderr


def test_describe_shows_both_of_one_name(install: Callable[..., None]) -> None:
    install(*TWO)
    result = pinn("describe", "heat")
    assert result.exit_code == 0
    assert "[pinn-first 1.2]" in result.stdout
    assert "[pinn-second 1.2]" in result.stdout
    assert "kappa  float  0.1  conductivity" in result.stdout


def test_the_options_of_a_plugin_are_checked(install: Callable[..., None], tmp_path: Path) -> None:
    install(TWO[0])
    file = tmp_path / "heat.toml"
    file.write_text(TOML.format(kappa="0.2"), encoding="utf-8")
    assert pinn("check", str(file)).exit_code == 0
    file.write_text(TOML.format(kappa="'0.2'"), encoding="utf-8")
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert "[problem] kappa: expected a number, found '0.2'" in result.stderr


def test_check_refuses_only_what_needs_the_broken_plugin(
    install: Callable[..., None], tmp_path: Path
) -> None:
    file = tmp_path / "heat.toml"
    file.write_text(TOML.format(kappa="0.2"), encoding="utf-8")
    install(offer("bad", ImportError("no module named 'jax'")), TWO[0])
    assert pinn("check", str(file)).exit_code == 0
    install(offer("bad", ImportError("no module named 'jax'")))
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert "no problem is called 'heat'" in result.stderr
    assert "may offer it, but is broken: plugin 'bad' of pinn-bad 1.2: ImportError" in result.stderr


def test_disabling_resolves_a_conflict(install: Callable[..., None], tmp_path: Path) -> None:
    file = tmp_path / "heat.toml"
    file.write_text(TOML.format(kappa="0.2"), encoding="utf-8")
    install(*TWO)
    assert "is offered by pinn-first 1.2" in pinn("check", str(file)).stderr
    registry.cache_clear()
    assert pinn("check", str(file), PINN_DISABLE_PLUGINS="second").exit_code == 0


# problems whose mathematics is wrong


def wrong(**members: Any) -> ModuleType:
    cls = type("Wrong", (Heat,), {"name": "wrong", **members})
    return module(pinn_problems=hook([attrs.frozen(cls)]))


def condition(on: Any = "t=0", residual: Any = None, name: str = "start") -> Callable[[Any], Any]:
    from pinn.core import Condition

    def conditions(self: Any) -> Any:
        yield Condition(name, on=on, residual=residual or (lambda q: q.u))

    return conditions


def failing(self: Any, q: Any = None) -> Any:
    raise ZeroDivisionError("by zero")


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "face that does not exist": (
        {"conditions": condition("t=2")},
        ["'t=2' is not a face", "t=0, t=1, x=0, x=1"],
    ),
    "coordinate that does not exist": ({"conditions": condition("z=0")}, ["'z=0' is not a face"]),
    "no face": ({"conditions": condition("left")}, ["'left' is not a face"]),
    "unknown quantity": (
        {"equations": lambda self, q: {"a": q.u_tt + q.v}},
        ["the equations of wrong", "'v'", "fields are u"],
    ),
    "unknown derivative": (
        {"equations": lambda self, q: {"a": q.u_xz}},
        ["the equations of wrong", "'u_xz'", "coordinates are t, x"],
    ),
    "unknown quantity in a condition": (
        {"conditions": condition(residual=lambda q: q.w)},
        ["condition 'start' of wrong", "'w'"],
    ),
    "bare tensor": (
        {"equations": lambda self, q: q.u_t},
        ["the equations of wrong must return {name: residual}"],
    ),
    "nothing": (
        {"equations": lambda self, q: None},
        ["must return {name: residual}, not NoneType"],
    ),
    "no equation": ({"equations": lambda self, q: {}}, ["must return {name: residual}"]),
    "a number": ({"equations": lambda self, q: {"a": 1.0}}, ["'a' is float, not a tensor"]),
    "one number for all points": (
        {"equations": lambda self, q: {"a": q.u_t.mean()}},
        ["'a' has shape () for 3 points", "(3,)"],
    ),
    "a column": (
        {"equations": lambda self, q: {"a": q.u_t[:, None]}},
        ["'a' has shape (3, 1) for 3 points"],
    ),
    "equations raise": (
        {"equations": failing},
        ["equations of wrong", "ZeroDivisionError: by zero"],
    ),
    "condition raises": (
        {"conditions": condition(residual=lambda q: 1 / 0)},
        ["condition 'start' of wrong", "ZeroDivisionError"],
    ),
    "conditions raise": (
        {"conditions": failing},
        ["[problem] wrong: its conditions fail: ZeroDivisionError: by zero"],
    ),
    "coefficient not finite": (
        {"equations": lambda self, q: {"a": q.u_t - float("inf") * q.u_x}},
        ["the equations of wrong fail", "Infinity"],
    ),
    "two conditions of one name": (
        {"conditions": lambda self: [*condition()(self), *condition("t=1")(self)]},
        ["[problem] wrong: two conditions are called 'start'"],
    ),
    "condition on nothing": (
        {"conditions": condition(())},
        ["[problem] wrong: condition 'start' is on no face"],
    ),
    "ansatz raises": (
        {"ansatz": failing},
        ["wrong, with network mlp, fails at a point: ZeroDivisionError: by zero"],
    ),
    "ansatz without a field": (
        {"ansatz": lambda self, q: {"v": q.u}},
        ["the ansatz of wrong must return the fields u, not v"],
    ),
    "observables raise": ({"observables": failing}, ["observables of wrong", "ZeroDivisionError"]),
    "equation and condition share a name": (
        {"conditions": condition(name="heat")},
        ["equations and conditions share a name"],
    ),
}


@pytest.mark.parametrize(("members", "expected"), WRONG.values(), ids=WRONG.keys())
def test_a_problem_that_is_wrong_is_a_message(
    install: Callable[..., None], tmp_path: Path, members: dict[str, Any], expected: list[str]
) -> None:
    install(offer("wrong", wrong(**members)))
    file = tmp_path / "wrong.toml"
    file.write_text(TOML.format(kappa="0.2").replace("heat", "wrong"), encoding="utf-8")
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for text in expected:
        assert text in result.stderr
