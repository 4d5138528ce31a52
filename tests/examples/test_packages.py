"""The packages in examples/, installed as anybody's, keep what their pages say."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))
EACH = pytest.mark.parametrize("name", NAMES)

STATEMENT = re.compile(r"`([\w.]+)` below ([\d.e-]+\d)")
"""How a page says what its run reaches."""

OFFLINE = ("--no-index", "--no-build-isolation", "--no-deps")
UNWANTED = ("runs", "build", "*.egg-info", "__pycache__", ".*")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, installed_environment: Any) -> Path:
    """A copy of the examples, all of them installed."""
    copy = tmp_path_factory.mktemp("examples") / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns(*UNWANTED))
    for name in NAMES:
        done = installed_environment.run("pip", "install", *OFFLINE, ".", cwd=copy / name)
        assert done.returncode == 0, done.stderr
    return copy


@pytest.fixture
def pinn(installed_environment: Any, packages: Path) -> Any:
    """A command in the folder of a package; what it prints."""

    def run(name: str, *words: str, timeout: float = 300) -> str:
        done = installed_environment.run("pinn", *words, cwd=packages / name, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    return run


def configuration(name: str) -> dict[str, Any]:
    return tomli.loads((EXAMPLES / name / "pinn.toml").read_text(encoding="utf-8"))


def stated(page: str) -> dict[str, float]:
    """{quantity: what it ends below}"""
    return {quantity: float(number) for quantity, number in STATEMENT.findall(page)}


def page(name: str) -> str:
    return (EXAMPLES / name / "README.md").read_text(encoding="utf-8")


def last_record(directory: Path) -> dict[str, Any]:
    lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    record: dict[str, Any] = json.loads(lines[-1])
    return record


def test_all_are_listed_with_their_origin(pinn: Any) -> None:
    listed = pinn(NAMES[0], "list")
    for name in NAMES:
        project = tomli.loads((EXAMPLES / name / "pyproject.toml").read_text(encoding="utf-8"))
        (part,) = project["project"]["entry-points"]["pinn"]
        assert re.search(rf"^  {part} .*\[{name} [\d.]+\]$", listed, re.MULTILINE)


@EACH
def test_its_own_tests_pass(name: str, installed_environment: Any, packages: Path) -> None:
    done = installed_environment.run("pytest", "-q", cwd=packages / name, timeout=1200)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == NAMES[0] else pytest.mark.slow) for n in NAMES]
)
def test_its_run_records_what_its_page_speaks_of(name: str, pinn: Any, packages: Path) -> None:
    """Shortened to seconds."""
    stages = range(len(configuration(name)["optimizers"]))
    short = ["network.width=8", "points.interior=64", "points.conditions=8", "run.directory=short"]
    short += [f"optimizers.{stage}.steps=3" for stage in stages]
    pinn(name, "run", "pinn.toml", *(word for text in short for word in ("--set", text)))
    statements = stated(page(name))
    assert statements
    assert statements.keys() <= last_record(packages / name / "short").keys()


def test_the_table_of_all_says_what_each_page_says() -> None:
    rows = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    for name in NAMES:
        (row,) = (row for row in rows if row.startswith(f"| [{name}]({name}/README.md)"))
        assert stated(row) == stated(page(name)), name


@pytest.mark.slow
def test_the_unknown_coefficients_are_found_within_seconds(pinn: Any, packages: Path) -> None:
    """To a few percent, with fewer points and steps than the example has."""
    quick = ["points.interior=256", "optimizers.0.steps=600", "optimizers.1.steps=150"]
    quick += ["run.directory=quick", "run.compile=never"]
    name = "pinn-inverse-burgers"
    pinn(name, "run", "pinn.toml", *(word for text in quick for word in ("--set", text)))
    found = last_record(packages / name / "quick")
    assert found["unknown.advection.error"] < 0.03
    assert found["unknown.viscosity.error"] < 0.05


@pytest.mark.slow
@EACH
def test_it_reaches_what_its_page_says(name: str, pinn: Any, packages: Path) -> None:
    pinn(name, "run", "pinn.toml", timeout=3600)
    found = last_record(packages / name / configuration(name)["run"]["directory"])
    for quantity, bound in stated(page(name)).items():
        assert found[quantity] < bound, quantity
