"""What the pages show works: code runs, configurations are accepted, commands exist."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import click
import pytest
import tomli
import torch
from attrs import evolve, frozen

import pinn.core
import pinn.testing
from pinn.core import offered
from pinn.core.kinds import KINDS
from pinn.engine import Config, load_config, parse_config, train
from pinn.engine.cli import commands
from pinn.engine.sweeping.sweep import read_sweep

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)```$", re.M
)
OTHERS = ("pandas", "polars", "tensorboard")
"""Libraries that the project does not need; a page that imports one goes unrun where it is missing."""
BROKEN = ("Forgetful",)
"""Parts that pages show because they break their contract."""


@frozen
class Block:
    """A block of code in a page, and where: `line` is that of its first line."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        title = re.search(r'title="([^"]*)"', fence["rest"])
        line = text.count("\n", 0, fence.start("text")) + 1
        yield Block(fence["language"], title[1] if title else "", dedent(fence["text"]), line)


def of_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_blocks(*languages: str) -> list[Path]:
    return [page for page in PAGES if any(b.language in languages for b in blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_block_of_code_is_seen(page: Path) -> None:
    fences = page.read_text(encoding="utf-8").count("```")
    assert fences == 2 * len(list(blocks(page)))
    known = {"", "text", "console", "sh", "python", "toml", "json"}
    assert {block.language for block in blocks(page)} <= known


@pytest.mark.parametrize("page", with_blocks("python", "toml"), ids=of_page)
@pytest.mark.usefixtures("room")
def test_the_code_runs_and_the_configurations_are_accepted(page: Path, module: ModuleType) -> None:
    run_page(page, module)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks("python"), ids=of_page)
@pytest.mark.usefixtures("room")
def test_every_part_that_a_page_defines_keeps_its_contract(page: Path, module: ModuleType) -> None:
    run_page(page, module)
    for name, part in vars(module).items():
        bases = getattr(part, "__mro__", ())
        for kind in KINDS.values():
            if kind.base in bases and part is not kind.base and name not in BROKEN:
                getattr(pinn.testing, f"check_{kind.name}")(part)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the files that pages name, and runs of a test's size."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(pinn.engine, "load_config", loads_small)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "pinn.toml").symlink_to(ROOT / "pinn.toml")


@pytest.fixture
def module(page: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Where the code of a page runs."""
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def run_page(page: Path, module: ModuleType) -> None:
    """In the order of the page, in one module; parts that it defines are known to what follows."""
    text = page.read_text(encoding="utf-8")
    for library in OTHERS:
        if f"\nimport {library}\n" in text:
            pytest.importorskip(library)
    if "runs/burgers" in text:
        train(loads_small("pinn.toml"))
    if page.name == "README.md":
        vars(module).update(a_loop_of_ones_own())
    for block in blocks(page):
        if block.language == "python":
            run_block(block, page, module)
        elif block.language == "toml":
            with offered(*parts_of(module)):
                check_toml(block)


def run_block(block: Block, page: Path, module: ModuleType) -> None:
    """Runs a block, and the tests that it defines; a block with a title is also a file of that name."""
    before = {*vars(module)}
    if block.title:
        Path(block.title).write_text(block.text, encoding="utf-8")
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
    with offered(*parts_of(module)):
        exec(code, vars(module))
    for name in vars(module).keys() - before:
        if name.startswith("test_"):
            vars(module)[name]()


def a_loop_of_ones_own() -> dict[str, Any]:
    """What the README takes for granted where it watches a loop; `range` has a few steps at most."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    return {
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters()),
        "points": torch.rand(30, 2),
        "residuals": lambda points: model(points)[:, 0] - points[:, 0],
        "range": lambda count: range(min(count, 3)),
    }


def parts_of(module: ModuleType) -> list[type[Any]]:
    """What the hooks that the page has defined so far offer."""
    hooks = [vars(module)[kind.hook] for kind in KINDS.values() if kind.hook in vars(module)]
    return [part for hook in hooks for part in hook()]


def check_toml(block: Block) -> None:
    table = tomli.loads(block.text)
    if "project" in table or "build-system" in table:
        assert "pinn" in table["project"]["entry-points"]
    elif "sweep" in table:
        Path("sweep.toml").write_text(block.text, encoding="utf-8")
        planned = read_sweep(Path("sweep.toml"))
        assert planned.runs or planned.search
    else:
        parse_config(completed(table))


def completed(table: dict[str, Any]) -> dict[str, Any]:
    """A part of a configuration with what it leaves out, so that it can be read."""
    defaults = {
        "problem": {"name": "burgers"},
        "optimizers": [{"name": "adam", "steps": 1}],
        "analyzers": [{"name": n} for n in ("error", "snr", "homogeneity", "phases")],
    }
    return defaults | table


def loads_small(path: str, overrides: Sequence[str] = ()) -> Config:
    """`load_config`, with the sizes of the run cut down to a test's."""
    config = load_config(path, overrides)
    options = evolve(config.points.options, interior=64, conditions=8)
    stages = [evolve(s, options=evolve(s.options, steps=3), points=options) for s in config.stages]
    return evolve(
        config,
        run=evolve(config.run, device="cpu", compile="never"),
        network=evolve(config.network, width=8, depth=2),
        points=evolve(config.points, options=options, own={}),
        stages=tuple(stages),
    )


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_file_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    for path in re.findall(
        r"`((?:examples|problems|analyzers|configs)/[\w./-]+)`", page.read_text()
    ):
        room = ROOT / path.split("/")[0]
        assert (ROOT / path).exists() or not room.exists(), path


def command_lines(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language in ("sh", "console"):
            text = block.text.replace("\\\n", " ")
            for line in text.splitlines():
                if block.language == "sh" or line.startswith("$ "):
                    yield line.removeprefix("$ ")


COMMANDS = [(page, line) for page in PAGES for line in command_lines(page)]


@pytest.mark.parametrize(
    ("page", "line"), COMMANDS, ids=[f"{of_page(p)}: {t}" for p, t in COMMANDS]
)
def test_every_command_exists_with_its_options(page: Path, line: str) -> None:
    for words in split_at_operators(shlex.split(line, comments=True)):
        program, *arguments = words
        if Path(program).name == "pinn":
            check_pinn(arguments)
        elif program == "make":
            makefile = (ROOT / "Makefile").read_text()
            targets = re.findall(r"^([\w-]+):", makefile, re.M)
            variables = re.findall(r"\$\((?:if \$\()?(\w+)\)", makefile)
            names = {argument.partition("=")[0] for argument in arguments}
            assert names <= {*targets, *variables}


def split_at_operators(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line such as `cd there && pinn run pinn.toml`."""
    command: list[str] = []
    for word in words:
        if word in ("&&", "|", ";", "&", ">"):
            yield command
            command = []
        elif command or "=" not in word:  # a variable set for this command
            command.append(word)
    if command:
        yield command


def check_pinn(arguments: list[str]) -> None:
    """click takes the arguments, without running the command."""
    context = click.Context(commands, info_name="pinn")
    if arguments[0].startswith("-"):
        commands.make_context("pinn", arguments, resilient_parsing=True)
        return
    command = commands.get_command(context, arguments[0])
    assert command is not None, arguments[0]
    command.make_context(arguments[0], arguments[1:])
    assert arguments[0] != "new" or arguments[1] in KINDS
