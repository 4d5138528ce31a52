"""What the folders may import, what the package ships, and what importing it costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from pinn.core.discovery import registry
from pinn.core.kinds import KINDS
from pinn.core.options import key_of
from pinn.core.registry import Part
from pinn.engine.cli import commands

ROOT = Path(__file__).parents[1]
FACE = ("pinn.core", "pinn.core.lazy")
ENGINE = ("derivatives", "configuration", "reporting", "training", "watching", "sweeping")
ROOMS = {
    "core": ("pinn.core.*",),
    "engine/derivatives": ("pinn.core.*",),
    "engine/configuration": ("pinn.core.*",),
    "engine/reporting": ("pinn.core.*", "pinn.engine.configuration.*"),
    "engine/training": ("pinn.core.*", *(f"pinn.engine.{room}.*" for room in ENGINE[:3])),
    "engine/watching": ("pinn.core.*", *(f"pinn.engine.{room}.*" for room in ENGINE[:4])),
    "engine/sweeping": ("pinn.core.*", *(f"pinn.engine.{room}.*" for room in ENGINE[:4])),
    "engine": ("pinn.core.*", *(f"pinn.engine.{room}.*" for room in ENGINE)),
    "plugins/commands": ("pinn.core", "pinn.core.*", "pinn.engine"),
    "testing": ("pinn.core.*", "pinn.engine", "pinn.engine.*"),
    "plugins": FACE,
    "problems": FACE,
    "analyzers": FACE,
}
"""Who may import whom, beside itself: modules, or whole rooms."""
TOPS = ("core", "engine", "plugins", "problems", "analyzers", "testing")
FILES = sorted(
    p for top in TOPS for p in (ROOT / top).rglob("*.py*") if p.suffix in {".py", ".pyi"}
)
PARTS = registry().parts()


def module(path: Path) -> str:
    parts = ("pinn", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path) for path in FILES}


def room(path: Path) -> str:
    folder = path.relative_to(ROOT).parent.as_posix() + "/"
    return max((name for name in ROOMS if folder.startswith(f"{name}/")), key=len)


def imported(path: Path) -> set[str]:
    """The modules of this project that the file imports, wherever in it and whatever for."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            stub = path.suffix == ".pyi" and node.level == 1
            assert stub or node.level == 0, f"{path}: relative import"
            whence = f"{module(path)}.{node.module}" if stub else str(node.module)
            names = [f"{whence}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            assert name.partition(".")[0] not in TOPS, f"{path}: import {name}: write pinn.{name}"
            if name.startswith("pinn."):
                found.add(name if name in MODULES else name.rpartition(".")[0])
    return found


GRAPH = {module(path): set[str]() for path in FILES}
for _path in FILES:
    GRAPH[module(_path)] |= imported(_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    own = "pinn." + room(path).replace("/", ".")
    for name in imported(path):
        allowed = [own, f"{own}.*", *ROOMS[room(path)]]
        assert any(fnmatch(name, rule) for rule in allowed), f"{path} imports {name}"
        assert name in MODULES, f"{path} imports {name}, which does not exist"


def test_no_circle_of_imports_not_even_for_types() -> None:
    assert list(TopologicalSorter(GRAPH).static_order())


def test_whose_fault_an_error_is_is_asked_at_the_doors_alone() -> None:
    doors = {name for name, others in GRAPH.items() if "pinn.core.blame" in others}
    assert not any(name.startswith("pinn.engine.derivatives") for name in doors)
    assert {n for n in doors if n.startswith("pinn.engine.training")} == {
        "pinn.engine.training.checking",
        "pinn.engine.training.ready",
        "pinn.engine.training.run",
    }


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if p.relative_to(ROOT).parts[0] in {"core", "engine", "testing"}],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_machine_names_no_part_not_even_as_text(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for others in ("plugins", "problems", "analyzers"):
                assert f"pinn.{others}" not in node.value


@pytest.mark.parametrize("path", sorted((ROOT / "plugins/commands/templates").glob("*.py.jinja")))
def test_what_pinn_new_writes_imports_the_doors(path: Path) -> None:
    whence = re.findall(r"^from (pinn\S*) import", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert whence
    assert set(whence) <= {*FACE, "pinn.testing"}


def test_the_core_is_small_and_flat() -> None:
    files = list((ROOT / "core").rglob("*.py"))
    assert {path.parent for path in files} == {ROOT / "core"}
    assert len(files) <= 23
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 4_600


def test_the_wheel_holds_every_package_and_what_lies_in_it() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    folders = {path.parent.relative_to(ROOT) for path in FILES}
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


@pytest.mark.parametrize(
    "room",
    [
        "core",
        "core.view",
        "core.randomness",
        "engine",
        "engine.cli",
        "engine.configuration.directory",
    ],
)
def test_torch_is_not_imported_to_look_around(room: str) -> None:
    code = f"import sys, pinn.{room}; print([m for m in sys.modules if m.startswith('torch')])"
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
    shown = CliRunner().invoke(commands, ["describe", part.name]).output
    assert part.summary
    assert part.summary in shown
    for field in attrs.fields(part.cls):
        text = field.metadata.get("help", "")
        assert text, f"{part.kind} {part.name}: {field.name} has no description"
        assert f"  {key_of(field)} " in shown
        assert text in shown


def test_every_kind_has_a_part() -> None:
    assert {part.kind for part in PARTS} == set(KINDS)
