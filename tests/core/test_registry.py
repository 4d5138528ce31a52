"""Plugins that are broken in every way: each is named, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import attrs
import click
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
    discovery as registries,
    hookimpl,
    option,
)
from pinn.core.discovery import load_plugins
from pinn.core.registry import Origin
from pinn.engine.cli import commands

Offer = Callable[..., tuple[Any, Origin]]


class EntryPoint:
    """An entry point that gives a module, or fails as an import does."""

    value = "a_plugin"

    def __init__(self, module: ModuleType | BaseException) -> None:
        self.content = module

    def load(self) -> ModuleType:
        if isinstance(self.content, BaseException):
            raise self.content
        return self.content


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


class Quits(BaseException):
    """Not even an Exception."""


def wrong_option(annotation: Any, name: str = "strange") -> type:
    cls = problem(**{"name": "fine", name: option(None)})
    cls.__annotations__ = {} if annotation is None else {name: annotation}
    return attrs.frozen(cls)


@click.command()
def hello() -> None:
    """Greets."""


BROKEN: dict[str, tuple[ModuleType | BaseException, list[str]]] = {
    "import error": (ImportError("no libjax.so"), ["ImportError: no libjax.so"]),
    "missing dependency": (
        ModuleNotFoundError("No module named 'jaxx.numpy'", name="jaxx.numpy"),
        ["needs 'jaxx', which is not installed: pip install jaxx"],
    ),
    "missing part of a dependency": (
        ModuleNotFoundError("No module named 'scipy.jax'", name="scipy.jax"),
        ["needs 'scipy.jax': the version of 'scipy' that is installed does not have it"],
    ),
    "another version's module": (
        ModuleNotFoundError("No module named 'pinn.core.gone'", name="pinn.core.gone"),
        ["needs 'pinn.core.gone': this version of pinn-dynamics does not have it"],
    ),
    "another version's name": (
        ImportError("cannot import name 'Gone' from 'pinn.core' (/a/b.py)", name="pinn.core"),
        ["cannot import name 'Gone' from 'pinn.core': this version of pinn-dynamics does not have"],
    ),
    "an entry point to no module": (
        ModuleNotFoundError("No module named 'a_plugin'", name="a_plugin"),
        ["its entry point names the module 'a_plugin', which does not exist: install it again"],
    ),
    "an entry point to no attribute": (
        AttributeError("module 'a_plugin' has no attribute 'plugin'"),
        ["its entry point names 'a_plugin', which does not exist: install it again"],
    ),
    "several lines": (ValueError("one\n\n  two"), ["ValueError: one two"]),
    "quits": (Quits("now"), ["Quits: now"]),
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
    "misspelt and not marked": (
        module(pinn_problmes=unmarked),
        ["offers nothing", "did you mean 'pinn_problems'?"],
    ),
    "no hook": (module(), ["offers nothing: none of its functions is a hook with @hookimpl"]),
    "hook with an argument": (
        module(pinn_problems=with_argument),
        ["pinn_problems(config) takes parameters", "def pinn_problems():"],
    ),
    "hook raises": (module(pinn_problems=hook(ValueError("boom"))), ["ValueError: boom"]),
    "hook exits": (module(pinn_problems=hook(SystemExit(1))), ["SystemExit: 1"]),
    "not a list": (
        module(pinn_problems=hook(Heat)),
        ["pinn_problems returned Heat, expected a list"],
    ),
    "nothing": (
        module(pinn_problems=hook(None)),
        ["pinn_problems returned nothing, expected a list"],
    ),
    "a word": (module(pinn_problems=hook("Heat")), ["pinn_problems returned a str, expected a"]),
    "not a command": (module(pinn_commands=hook([hook(None)])), ["not a click command"]),
    "one name twice": (
        module(pinn_problems=hook([Heat, OtherHeat])),
        ["offers the problem 'heat' 2 times"],
    ),
    "one command twice": (
        module(pinn_commands=hook([hello, hello])),
        ["offers the command 'hello' 2 times"],
    ),
    "an instance": (module(pinn_problems=hook([Heat()])), ["not a subclass of pinn.core.Problem"]),
    "another kind": (module(pinn_networks=hook([Heat])), ["not a subclass of pinn.core.Network"]),
    "not attrs": (
        module(pinn_problems=hook([problem()])),
        ["Bad is not an attrs class", "@attrs.fro"],
    ),
    "subclass that is not attrs": (
        module(pinn_problems=hook([type("Sub", (Heat,), {"name": "sub"})])),
        ["Sub is not an attrs class"],
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
    "name with capitals": (
        module(pinn_problems=hook([attrs.frozen(problem(name="Allen_Cahn2D"))])),
        ["the name 'Allen_Cahn2D' is not in lower case with hyphens, as 'allen-cahn2d' is"],
    ),
    "name is an option": (
        module(pinn_problems=hook([wrong_option(str, "name")])),
        ["its name is an option; write it without a type, as in name = 'bad'"],
    ),
    "fields are one word": (
        module(pinn_problems=hook([attrs.frozen(problem(name="fine", fields="psi"))])),
        ["fields = 'psi' is not a tuple: write ('psi',)"],
    ),
    "domain is a table": (
        module(pinn_problems=hook([attrs.frozen(problem(name="fine", domain={"x": (0, 1)}))])),
        ["its domain is a dict; expected a box"],
    ),
    "option without a type": (
        module(pinn_problems=hook([wrong_option(None)])),
        ["the option 'strange' has no type: write strange: float"],
    ),
    "option that a file cannot hold": (
        module(pinn_problems=hook([wrong_option(list[torch.Tensor] | None)])),
        ["the option 'strange' has the type Tensor, which a TOML file cannot hold"],
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
    found = load_plugins([offer("bad", content), offer("good", GOOD)])
    assert [part.name for part in found.parts("problem")] == ["heat"]
    (broken,) = found.broken
    assert str(broken).startswith("plugin 'bad' of pinn-bad 1.2: ")
    for text in expected:
        assert text in str(broken)
    with pytest.raises(PinnError, match="no problem is called 'bad'"):
        found.find("problem", "bad")
    assert found.find("problem", "heat").cls is Heat


def test_the_line_of_the_plugin_is_said() -> None:
    """Of the plugin, however deep in others the error was raised."""
    scope: dict[str, Any] = {"__name__": "a_plugin.problems"}
    source = "def names():\n    import json\n\n    return json.loads('no')\n"
    exec(compile(source, "/somewhere/a_plugin/problems.py", "exec"), scope)

    class Fails(EntryPoint):
        def load(self) -> ModuleType:
            return scope["names"]()

    origin = Origin("pinn-bad", "1.2", "bad")
    (broken,) = load_plugins([(Fails(GOOD), origin)]).broken
    assert broken.cause.startswith("json.decoder.JSONDecodeError: Expecting value")
    assert broken.cause.endswith(" (a_plugin/problems.py:4)")


def test_a_syntax_error_says_its_line() -> None:
    error = SyntaxError("invalid syntax", ("/somewhere/a_plugin/walls.py", 7, 1, "def", 7, 2))
    (broken,) = load_plugins([offer("bad", error)]).broken
    assert broken.cause == "SyntaxError: invalid syntax (walls.py:7)"


def test_an_interrupt_while_a_plugin_loads_is_not_its_fault() -> None:
    with pytest.raises(KeyboardInterrupt):
        load_plugins([offer("slow", KeyboardInterrupt())])


def test_an_error_that_cannot_even_be_shown_is_reported() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    (broken,) = load_plugins([offer("bad", Mute())]).broken
    assert "Mute" in broken.cause


@pytest.mark.parametrize(
    "annotation",
    [
        float,
        list[int] | None,
        dict[str, float],
        tuple[float, ...],
        int | dict[str, int],
        Literal["a", "b"],
        list,
    ],
)
def test_options_that_a_file_can_hold_are_accepted(annotation: Any) -> None:
    found = load_plugins([offer("good", module(pinn_problems=hook([wrong_option(annotation)])))])
    assert found.broken == ()
    assert found.find("problem", "fine")


def test_an_option_named_as_one_that_every_part_of_its_kind_has() -> None:
    @frozen
    class Often(Analyzer):
        name = "often"

        every: int = option(1, "how often")

        def measure(self, view: Any) -> dict[str, float]:
            return {}

    (broken,) = load_plugins([offer("bad", module(pinn_analyzers=hook([Often])))]).broken
    assert "the option 'every' has the name of an option that every analyzer has" in broken.cause


def test_events_and_needs_are_tuples() -> None:
    @frozen
    class Reads(Analyzer):
        name = "reads"
        needs = "snr"  # type: ignore[assignment]

        def measure(self, view: Any) -> dict[str, float]:
            return {}

    (broken,) = load_plugins([offer("bad", module(pinn_analyzers=hook([Reads])))]).broken
    assert "needs = 'snr' is not a tuple: write ('snr',)" in broken.cause


# versions


INSTALLED = version("pinn-dynamics")
NEXT = ">=9,<10"


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (f"pinn-dynamics{NEXT}", "pip install 'pinn-dynamics<10,>=9'"),
        (f"PINN.dynamics ({NEXT})", "pip install 'pinn-dynamics<10,>=9'"),
        ("pinn-dynamics==9.*", "pip install 'pinn-dynamics==9.*'"),
        ("pinn-dynamics<0.0.1", "pip install --upgrade pinn-late"),
        ("pinn-dynamics!=" + INSTALLED, "pip install --upgrade pinn-late"),
        (f"pinn-dynamics{NEXT}; python_version > '3'", "pip install 'pinn-dynamics<10,>=9'"),
        ("pinn-dynamics", None),
        ("pinn-dynamics[test]>=0.0.1", None),
        (f"pinn-dynamics=={INSTALLED}", None),
        ("pinn-dynamics>=0.0.1rc1,<100", None),
        (f"pinn-dynamics{NEXT}; python_version < '3'", None),
        (f"pinn-dynamics{NEXT}; extra == 'more'", None),
        ("pinn-dynamics-extras>=9", None),
        ("pinn-dynamics>=no version", None),
        ("numpy>=99", None),
    ],
)
def test_a_plugin_for_another_version_is_not_loaded(requirement: str, expected: str | None) -> None:
    origin = Origin("pinn-late", "3.0", "late", (requirement,))
    found = load_plugins([(EntryPoint(GOOD), origin)])
    if expected is None:
        assert found.broken == ()
        assert found.find("problem", "heat")
        return
    (broken,) = found.broken
    for text in ("pinn-late 3.0", "it needs pinn-dynamics", f"{INSTALLED} is installed", expected):
        assert text in str(broken)
    assert found.parts() == []


@pytest.mark.parametrize("base", [Network, Sampler, Weighting, Analyzer])
def test_every_kind_is_checked_for_its_methods(base: type) -> None:
    incomplete = attrs.frozen(type("Incomplete", (base,), {"name": "incomplete"}))
    found = load_plugins(
        [offer("bad", module(**{f"pinn_{base.__name__.lower()}s": hook([incomplete])}))]
    )
    assert "Incomplete lacks " in str(found.broken[0])


def test_a_weighting_has_one_of_two_methods() -> None:
    half = {"name": "half", "initial": lambda self, count: None}
    without, *with_one = (
        attrs.frozen(type("Half", (Weighting,), half | dict.fromkeys(methods, half["initial"])))
        for methods in ((), ("update",), ("update_at",))
    )
    found = load_plugins([offer("bad", module(pinn_weightings=hook([without])))])
    assert "Half lacks update or update_at" in str(found.broken[0])
    for cls in with_one:
        assert not load_plugins([offer("good", module(pinn_weightings=hook([cls])))]).broken


def test_a_plugin_may_offer_parts_of_several_kinds() -> None:
    @frozen
    class Still(Weighting):
        name = "still"

        def initial(self, count: int) -> torch.Tensor:
            return torch.ones(count)

        def update(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
            return weights

    several = module(pinn_problems=hook([Heat]), pinn_weightings=hook((Still,)))
    found = load_plugins([offer("several", several)])
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
        load_plugins([offer("good", module(pinn_problems=hook([Heat]), torch=Shy("torch")))]).broken
        == ()
    )


TWO = [offer("first", GOOD), offer("second", module(pinn_problems=hook([OtherHeat])))]


def test_two_plugins_with_one_name() -> None:
    found = load_plugins(TWO)
    with pytest.raises(PinnError) as caught:
        found.find("problem", "heat")
    for text in ("pinn-first 1.2", "'first'", "pinn-second 1.2", "PINN_DISABLE_PLUGINS=second"):
        assert text in str(caught.value)
    assert [part.origin.entry_point for part in found.parts("problem")] == ["first", "second"]
    assert len(found.conflicts()) == 1


@pytest.mark.parametrize(
    "name",
    ["second", "pinn-second", " second , first-other", "PINN_Second", "pinn.second", "Second"],
)
def test_a_disabled_plugin_is_not_there(name: str) -> None:
    found = load_plugins(TWO, name)
    assert found.find("problem", "heat").cls is Heat
    assert found.conflicts() == []
    assert [origin.entry_point for origin in found.disabled] == ["second"]
    assert found.suspects() == ["may offer it, but is left out by PINN_DISABLE_PLUGINS: second"]


def test_a_disabled_plugin_is_not_even_imported() -> None:
    found = load_plugins([offer("bad", ImportError("never"))], "bad")
    assert found.broken == ()
    assert found.parts() == []


def test_a_disabled_name_that_no_plugin_has_is_told() -> None:
    found = load_plugins(TWO, "secnd,first")
    assert found.unmatched == (
        "PINN_DISABLE_PLUGINS: 'secnd' names no installed plugin (did you mean 'second'?)",
    )
    assert load_plugins(TWO, " , ").unmatched == ()


def test_the_spare_one_of_two_is_never_the_built_in() -> None:
    found = load_plugins([offer("third", GOOD), offer("problems", GOOD, "pinn-dynamics")])
    (conflict,) = found.conflicts()
    assert conflict.endswith("PINN_DISABLE_PLUGINS=third")


COMMAND = module(pinn_commands=hook([hello]))


def test_two_plugins_with_one_command() -> None:
    found = load_plugins([offer("first", COMMAND), offer("second", COMMAND)])
    (conflict,) = found.conflicts()
    for text in ("the command 'hello'", "pinn-first 1.2", "PINN_DISABLE_PLUGINS=second"):
        assert text in conflict
    with pytest.raises(PinnError, match="the command 'hello' is offered by"):
        found.find_command("hello")
    assert found.find_command("goodbye") is None


def test_a_command_named_as_a_built_in_one() -> None:
    found = load_plugins([offer("first", COMMAND)])
    assert found.conflicts() == []
    entry_point, _ = offer("own", module(pinn_commands=hook([greet("hello", print)])))
    found = load_plugins(
        [offer("first", COMMAND), (entry_point, Origin("pinn-dynamics", "1.0", "own"))]
    )
    (conflict,) = found.conflicts()
    assert conflict.startswith(
        "the command 'hello' of pinn-first 1.2 has the name of a built-in command, which stays"
    )


def test_one_name_of_two_kinds_is_no_conflict() -> None:
    @frozen
    class Namesake(Sampler):
        name = "heat"

        def draw(self, domain: Any, count: int, generator: Any) -> Any:
            return generator.random((count, domain.dimension))

    found = load_plugins([offer("a", GOOD), offer("b", module(pinn_samplers=hook([Namesake])))])
    assert found.conflicts() == []
    assert found.find("sampler", "heat").cls is Namesake


# the command, with plugins beside the built-in ones


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Plugins as if they were installed."""
    installed = list(registries.installed_plugins())

    def add(*offers: tuple[Any, Origin]) -> None:
        monkeypatch.setattr(registries, "installed_plugins", lambda: [*installed, *offers])
        registries.installed.cache_clear()

    yield add
    monkeypatch.undo()
    registries.installed.cache_clear()


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
    result = CliRunner(env=environment).invoke(commands, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_list_shows_the_plugin_its_origin_and_what_is_broken(install: Callable[..., None]) -> None:
    install(*TWO, offer("bad", ImportError("no libjax.so")))
    result = pinn("list")
    assert result.exit_code == 0
    assert "[pinn-first 1.2]" in result.stdout
    assert "[pinn-second 1.2]" in result.stdout
    assert "helmholtz" in result.stdout
    assert "broken: plugin 'bad' of pinn-bad 1.2: ImportError" in result.stderr
    assert "broken: the problem 'heat' is offered by" in result.stderr


def test_list_warns_of_a_misspelt_way_out(install: Callable[..., None]) -> None:
    install()
    result = pinn("list", PINN_DISABLE_PLUGINS="analyzer,PROBLEMS")
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: PINN_DISABLE_PLUGINS: 'analyzer' names no installed plugin (did you mean "
        "'analyzers'?)\n"
    )
    assert "helmholtz" not in result.stdout
    assert "snr" in result.stdout


def greet(name: str, callback: Callable[[], None]) -> click.Command:
    return click.Command(name, callback=callback)


def test_the_commands_of_plugins(install: Callable[..., None]) -> None:
    def shout() -> None:
        raise PinnError("not so loud")

    def sing() -> None:
        raise click.UsageError("sing what?")

    one = module(
        pinn_commands=hook([greet("hello", lambda: click.echo("hello")), greet("run", shout)])
    )
    two = module(
        pinn_commands=hook([greet("hello", shout), greet("shout", shout), greet("sing", sing)])
    )
    group = module(pinn_commands=hook([click.Group("choir", [greet("shout", shout)])]))
    install(offer("one", one), offer("group", group))
    assert pinn("hello").stdout == "hello\n"
    assert "Missing argument" in pinn("run").stderr
    assert pinn("choir", "shout").stderr == "error: not so loud\n"
    assert (
        "broken: the command 'run' of pinn-one 1.2 has the name of a built-in"
        in pinn("list").stderr
    )
    install(offer("one", one), offer("two", two))
    result = pinn("hello")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: the command 'hello' is offered by pinn-one 1.2 (entry")
    assert pinn("shout").stderr == "error: not so loud\n"
    assert pinn("sing").stderr.endswith("Error: sing what?\n")
    assert pinn("--help").exit_code == 0


def test_a_command_that_a_broken_plugin_may_offer(install: Callable[..., None]) -> None:
    install(offer("bad", ImportError("no libjax.so")))
    result = pinn("helo")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "error: no command is called 'helo'"
    assert "may offer it, but is broken: plugin 'bad' of pinn-bad 1.2" in result.stderr
    assert pinn("--version").exit_code == 0
    install()
    assert "No such command 'helo'" in pinn("helo").stderr


def test_describe_beside_a_broken_plugin(install: Callable[..., None]) -> None:
    install(offer("bad", ImportError("no libjax.so")))
    assert (pinn("describe", "adam").exit_code, pinn("describe", "adam").stderr) == (0, "")
    result = pinn("describe", "unheard")
    assert result.exit_code == 2
    assert "may offer it, but is broken: plugin 'bad' of pinn-bad 1.2" in result.stderr


def test_a_part_that_is_left_out_is_not_a_riddle(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install(*TWO)
    file = tmp_path / "heat.toml"
    file.write_text(TOML.format(kappa="0.2"), encoding="utf-8")
    result = pinn("check", str(file), PINN_DISABLE_PLUGINS="first,second")
    assert result.exit_code == 2
    assert "may offer it, but is left out by PINN_DISABLE_PLUGINS: first, second" in result.stderr


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
    install(offer("bad", ImportError("no libjax.so")), TWO[0])
    assert pinn("check", str(file)).exit_code == 0
    install(offer("bad", ImportError("no libjax.so")))
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert "no problem is called 'heat'" in result.stderr
    assert "may offer it, but is broken: plugin 'bad' of pinn-bad 1.2: ImportError" in result.stderr


def test_disabling_resolves_a_conflict(install: Callable[..., None], tmp_path: Path) -> None:
    file = tmp_path / "heat.toml"
    file.write_text(TOML.format(kappa="0.2"), encoding="utf-8")
    install(*TWO)
    assert "is offered by pinn-first 1.2" in pinn("check", str(file)).stderr
    registries.installed.cache_clear()
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
    "no equation": ({"equations": lambda self, q: {}}, ["neither equations nor conditions"]),
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
        [", with network mlp, fails at a point: ZeroDivisionError: by zero"],
    ),
    "solution raises": (
        {"solution": failing},
        [", with network mlp, fails at a point: ZeroDivisionError: by zero"],
    ),
    "equation without a value": (
        {"equations": lambda self, q: {"heat": torch.log(q.u_x - 1e9)}},
        ["equation 'heat' is nan at x = ", "for the untrained network. Look for divisions, roots"],
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
    for text in (*expected, "pinn-wrong 1.2"):
        assert text in result.stderr
