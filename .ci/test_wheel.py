"""What an installed wheel can lack: a file, a module's requirement, an entry point, a name of a door.

Runs beside the wheel alone; the tree is read only to compare with. What the code does, the tests of the
tree say.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import pytest

from pinn.core.discovery import registry
from pinn.core.kinds import KINDS
from pinn.engine import reference_solution
from pinn.plugins.commands.scaffold import new_package
from pinn.problems import cavity_reference

TREE = Path(os.environ["PINN_TREE"])
PYPROJECT = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PYPROJECT["tool"]["setuptools"]["package-dir"]
"""{package: its folder in the tree}"""
WHEEL = distribution("pinn-dynamics")
FILES = {
    str(file) for file in WHEEL.files or () if file.parts[0] == "pinn" and file.suffix != ".pyc"
}
MODULES = sorted(
    file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for file in FILES
    if file.endswith(".py") and file != "pinn/engine/training/tensorboard.py"  # an extra's
)
PINN = Path(sys.executable).with_name("pinn")
SMALL = ["run.directory=a", "network.width=8", "points.interior=256"]
SMALL += ["optimizers.0.steps=5", "optimizers.1.steps=2"]


def command(*words: str | Path, folder: Path) -> str:
    """What the command that the wheel installed prints."""
    done = subprocess.run([PINN, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broken" not in done.stderr
    return done.stdout


def test_it_is_the_wheel_that_is_tested() -> None:
    for room in ROOMS:
        file = import_module(room).__file__
        assert Path(str(file)).is_relative_to(sys.prefix), file


def test_it_holds_every_file_of_the_tree() -> None:
    expected = {
        f"{package.replace('.', '/')}/{path.relative_to(TREE / folder).as_posix()}"
        for package, folder in ROOMS.items()
        for path in (TREE / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected == FILES


@pytest.mark.parametrize("name", MODULES)
def test_every_module_finds_what_it_imports(name: str) -> None:
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        assert getattr(module, public) is not None


def test_every_entry_point_is_there_and_offers_sound_parts() -> None:
    points = {point.name: point.value for point in WHEEL.entry_points.select(group="pinn")}
    assert points == PYPROJECT["project"]["entry-points"]["pinn"]
    assert not registry().broken
    assert {part.kind for part in registry().parts()} == {*KINDS}


@pytest.mark.parametrize(
    "cls", [p.cls for p in registry().parts() if p.kind == "problem"], ids=lambda cls: cls.name
)
def test_every_problem_has_its_reference(cls: type) -> None:
    assert reference_solution(cls()) is not None


def test_a_reference_comes_from_the_data_that_are_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cavity_reference, "solve", None)  # takes half a minute a flow
    for name in FILES:
        if match := re.fullmatch(r"pinn/problems/data/cavity_re(\d+)(_regularised)?\.npz", name):
            cavity_reference.load(float(match[1]), "regularised" if match[2] else "constant")
    assert any(name.startswith("pinn/problems/data/") for name in FILES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_of_every_kind_is_written(kind: str, tmp_path: Path) -> None:
    folder = new_package(kind, "wheel-made", tmp_path / "package")
    assert {"pyproject.toml", "README.md", "pinn.toml", "pinn_wheel_made.py"} <= {
        path.name for path in folder.iterdir()
    }


def test_the_commands_from_a_first_file_to_a_comparison(tmp_path: Path) -> None:
    listed = command("list", folder=tmp_path)
    for part in registry().parts():
        assert f"  {part.name} " in listed
    assert command("describe", "rba", folder=tmp_path).startswith("weighting rba")
    command("init", folder=tmp_path)
    assert "loss terms" in command("check", "pinn.toml", folder=tmp_path)
    command("run", "pinn.toml", *(f"--set={option}" for option in SMALL), folder=tmp_path)
    (tmp_path / "a" / "report.html").unlink()
    assert "wrote a/report.html" in command("report", "a", folder=tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    command("compare", "b", folder=tmp_path)
    assert (tmp_path / "compare.html").exists()
    assert "transitions" in json.loads(command("phases", "b", folder=tmp_path))
    command("reference", "cavity", "-o", "cavity.npz", folder=tmp_path)
    assert (tmp_path / "cavity.npz").exists()
