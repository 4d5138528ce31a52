"""What the folders may import, what the package ships, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from pinn.core.registry import KINDS, Part, registry
from pinn.engine.cli import _commands

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "engine", "plugins", "problems", "analyzers", "testing")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PARTS = registry().parts()


def imported(path: Path) -> Iterator[str]:
    """Every module of this project that the file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room, *inside = path.relative_to(ROOT).parts
    allowed = {"core", room}
    if room in {"core", "engine", "testing"} or inside[0] == "commands":
        allowed |= {"core", "engine", "plugins"}
    for name in imported(path):
        first, *rest = name.split(".")
        assert first not in ROOMS, f"{path}: import {name}: write pinn.{name}"
        if first == "pinn":
            assert rest[0] in allowed, f"{path} imports {name}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if "core" in p.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_core_names_no_sibling_not_even_as_text(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for room in ("plugins", "problems", "analyzers"):
                assert f"pinn.{room}" not in node.value


def test_the_wheel_holds_every_package_and_what_lies_in_it() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    assert {"pinn." + ".".join(folder.parts) for folder in folders} == set(setup["packages"])
    for folder in folders:
        assert (ROOT / folder / "__init__.py").exists()
    for package, folder in setup["package-dir"].items():
        others = {
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
        }
        shipped = {
            path for rule in setup["package-data"][package] for path in (ROOT / folder).glob(rule)
        }
        assert others <= shipped


def python(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return found.stdout


def test_importing_the_core_does_not_import_torch() -> None:
    code = "import sys, pinn.core; print([m for m in sys.modules if m.startswith('torch')])"
    assert python(code).strip() == "[]"


@pytest.mark.parametrize("command", [["list"], ["describe", "adam"], ["--help"]])
def test_commands_that_do_not_train_do_not_load_torch(command: list[str]) -> None:
    code = (
        "import sys\nfrom pinn.engine.cli import main\n"
        f"sys.argv = ['pinn', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('torch._C' in sys.modules, 'scipy' in sys.modules, 'matplotlib' in sys.modules)"
    )
    assert python(code).splitlines()[-1] == "False False False"


def test_lazy_torch_is_torch_once_it_is_used() -> None:
    found = python(
        "import sys\nfrom pinn.core.lazy import torch\nassert 'torch' not in sys.modules\n"
        "tensor = torch.ones(2)\nimport torch as real\n"
        "assert torch.Tensor is real.Tensor and isinstance(tensor, real.Tensor)\n"
        "assert torch.nn.Module is real.nn.Module\nprint(hasattr(torch, 'no_such_name'))"
    )
    assert found == "False\n"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind} {part.name}")
def test_every_option_says_what_it_is(part: Part) -> None:
    shown = CliRunner().invoke(_commands, ["describe", part.name]).output
    assert part.summary
    assert part.summary in shown
    for field in attrs.fields(part.cls):
        text = field.metadata.get("help", "")
        assert text, f"{part.kind} {part.name}: {field.name} has no description"
        assert f"  {field.name} " in shown
        assert text in shown


def test_every_kind_has_a_part() -> None:
    assert {part.kind for part in PARTS} == set(KINDS)
