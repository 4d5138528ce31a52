"""The reference is complete: every hook, option, command, public name, file and quantity is in it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click
import pytest

import pinn.core
import pinn.engine
import pinn.testing
from pinn.core import hookspecs
from pinn.core.discovery import registry
from pinn.core.kinds import KINDS
from pinn.core.options import key_of, options
from pinn.engine import Config, train
from pinn.engine.cli import commands
from pinn.engine.configuration.config import RunOptions
from pinn.engine.configuration.reader import SECTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOOKS = [name for name in vars(hookspecs) if name.startswith("pinn_")]
SHARED = [kind.options for kind in KINDS.values() if kind.options]
CLASSES = [part.cls for part in registry().parts()] + [RunOptions, *SHARED]


@pytest.fixture(scope="module")
def rendered() -> Callable[[str], str]:
    """A page of the reference as MkDocs is given it."""
    sys.path.insert(0, str(DOCS))
    try:
        import generate
    finally:
        sys.path.remove(str(DOCS))

    def render(page: str) -> str:
        text = (DOCS / "reference" / page).read_text(encoding="utf-8")
        return str(generate.on_page_markdown(text))

    return render


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    page = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
    signature = inspect.signature(getattr(hookspecs, hook))
    shown = f"{hook}{signature}".replace("'", "")
    assert f"\n## {hook}\n\n`{shown}`\n" in page


def test_no_hook_is_documented_that_does_not_exist() -> None:
    page = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)", page, re.M) == HOOKS


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_stands_on_the_page_of_its_kind_with_its_options(
    kind: str, rendered: Callable[[str], str]
) -> None:
    page = rendered(f"{kind}s.md")
    headings = [f"## {part.name} {{ #{part.name} }}" for part in registry().parts(kind)]
    starts = [page.index(heading) for heading in headings]
    for part, start, end in zip(registry().parts(kind), starts, [*starts[1:], None], strict=True):
        section = page[start:end]
        for option in options(part.cls):
            assert f"| `{key_of(option)}` |" in section


@pytest.mark.parametrize("cls", [RunOptions, *SHARED])
def test_every_option_of_a_section_is_on_the_page_of_the_configuration(
    cls: type[Any], rendered: Callable[[str], str]
) -> None:
    for option in options(cls):
        assert f"| `{option.name}` |" in rendered("configuration.md")


def test_every_section_has_its_place_on_the_page_of_the_configuration() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^## (\w+)$", page, re.M)) == SECTIONS


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_option_says_in_words_what_it_is(cls: type[Any]) -> None:
    for option in attrs.fields(cls):
        assert option.metadata.get("help"), option.name


def test_every_command_and_option_is_on_the_page_of_the_command_line(
    rendered: Callable[[str], str],
) -> None:
    page = rendered("command-line.md")
    context = click.Context(commands)
    names = commands.list_commands(context)
    assert re.findall(r"^## pinn (\S+)", page, re.M) == names
    for name in names:
        command = commands.get_command(context, name)
        assert command is not None
        assert command.help
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[-1] in page
                assert option.help


def public(package: ModuleType) -> list[str]:
    """What a package hands on, its modules apart."""
    named = ((n, value) for n, value in vars(package).items() if not n.startswith("_"))
    return [name for name, value in named if not inspect.ismodule(value)]


API = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.glob("reference/python-*.md"))


@pytest.mark.parametrize(
    "name",
    [
        *(f"pinn.core.{name}" for name in public(pinn.core)),
        *(f"pinn.engine.{name}" for name in pinn.engine.__all__),
        *(f"pinn.testing.{name}" for name in public(pinn.testing)),
    ],
)
def test_every_public_name_has_a_docstring_and_a_place_in_the_reference(name: str) -> None:
    assert f"\n::: {name}\n" in API
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules[module], attribute)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__doc__


def test_every_page_is_in_the_navigation() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert re.search(rf": {page.relative_to(DOCS)}$", site, re.M), page


def test_every_file_of_a_run_is_documented(make_config: Callable[..., Config]) -> None:
    page = (DOCS / "reference" / "run-directory.md").read_text(encoding="utf-8")
    run = train(make_config({"name": "burgers"}))
    for path in run.path.iterdir():
        assert f"`{path.name}{'/' * path.is_dir()}`" in page
    for key in run.summary:
        assert f"`{key}`" in page


def test_every_quantity_that_is_recorded_is_documented(make_config: Callable[..., Config]) -> None:
    page = (DOCS / "reference" / "quantities.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w.]+)`(?=.* \|)", page)
    stands_for = {
        "EQUATION|CONDITION": r"(burgers|initial|walls)",
        "OBSERVABLE": "u",
        "MATRIX": r"\d+\.weight",
        "LAYER": r"layer\d+",
        "Gcells": r"\d+cells",
        "Sstrips": r"\d+strips",
        "COORDINATE": "([xt]|all)",
        "TERM|OTHER": "(burgers|initial|walls)",
    }
    patterns = [re.escape(name) for name in names]
    for word, meaning in stands_for.items():
        patterns = [re.sub(word, lambda _, m=meaning: m, pattern) for pattern in patterns]
    # `needs` is met in the order in which the parts stand here
    analyzers = ["error", "snr", "adam-snr", "equilibrium", "balance", "homogeneity", "phases"]
    analyzers += ["compression", "spectrum", "curvature", "sensitivity", "stagnation", "fresh"]
    analyzers += ["rounding", "symmetry", "search"]
    assert {*analyzers, "maps"} == {part.name for part in registry().parts("analyzer")}
    observed = [{"name": name, "every": 1} for name in analyzers] + [{"name": "maps", "at": [2]}]
    stages = [{"name": name, "steps": 3} for name in ("adam", "gauss-newton", "ss-broyden")]
    run = train(make_config({"name": "burgers"}, analyzers=observed, optimizers=stages))
    for quantity in {name for row in rows(run.path) for name in row}:
        assert any(re.fullmatch(pattern, quantity) for pattern in patterns), quantity


def rows(path: Path) -> list[dict[str, Any]]:
    import json

    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
