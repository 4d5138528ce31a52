"""The page *Your own PDE in ten minutes*, followed to the letter."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pinn.core import offered
from pinn.engine.cli import commands
from pinn.plugins.commands.scaffold import new_package
from pinn.testing import check_problem

PAGE = (Path(__file__).parents[2] / "docs" / "ten-minutes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+).*\n((?:.*\n)*?)```$", PAGE, re.M)
SHOWN = [text for language, text in BLOCKS if language == "text"]
(MODULE,) = (text for language, text in BLOCKS if language == "python")
(SECTION,) = (text for language, text in BLOCKS if language == "toml")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `pinn new problem fisher` writes, and the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = new_package("problem", "fisher")
    monkeypatch.chdir(folder)
    return tmp_path / folder


def fisher(folder: Path, text: str = MODULE) -> type[Any]:
    """The problem of a module with this text."""
    path = folder / "pinn_fisher.py"
    path.write_text(text, encoding="utf-8")
    spec = spec_from_file_location("pinn_fisher", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["pinn_fisher"] = module  # where attrs looks up the types of the options
    try:
        spec.loader.exec_module(module)
        (problem,) = module.pinn_problems()
        with offered(problem):
            return problem
    finally:
        del sys.modules["pinn_fisher"]


def check(problem: type[Any]) -> str:
    """What `pinn check pinn.toml` prints."""
    with offered(problem):
        return CliRunner().invoke(commands, ["check", "pinn.toml"]).output


def test_the_page_names_every_file_that_is_written(package: Path) -> None:
    (table,) = re.findall(r"^\| file \| \|\n((?:\|.*\n)*)", PAGE, re.M)
    first_column = "".join(line.split("|")[1] for line in table.splitlines())
    assert {*re.findall(r"`([\w.]+)`", first_column)} == {path.name for path in package.iterdir()}


def test_the_configuration_is_refused_until_its_section_is_the_pages(package: Path) -> None:
    problem = fisher(package)
    assert check(problem) in SHOWN
    config = Path("pinn.toml")
    old = config.read_text(encoding="utf-8")
    new = re.sub(r"\[problem\]\n(?:.+\n)+", SECTION, old)
    config.write_text(new, encoding="utf-8")
    assert check(problem) in SHOWN
    assert "error" not in check(problem)


def test_the_problem_of_the_page_passes_the_conformance_kit(package: Path) -> None:
    check_problem(fisher(package))


@pytest.mark.parametrize(
    ("right", "wrong"), [("u_xx - growth", "u_xx + growth"), ('("x=-1", "x=1")', '("x=-2", "x=1")')]
)
def test_mistakes_are_told_in_the_words_of_the_page(package: Path, right: str, wrong: str) -> None:
    assert MODULE.count(right) == 1
    with pytest.raises(AssertionError) as failure:
        check_problem(fisher(package, MODULE.replace(right, wrong)))
    assert f"{failure.value}\n" in SHOWN
