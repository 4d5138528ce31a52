"""`pinn new`: the packages that it writes work at once; what cannot be is refused, with a message."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

import pinn.core as pinn_core
from pinn import testing
from pinn.core import PinnError, offered
from pinn.core.discovery import load_plugins
from pinn.core.kinds import KINDS
from pinn.core.registry import Origin
from pinn.engine import load_config, train
from pinn.engine.cli import commands
from pinn.plugins.commands import scaffold
from pinn.plugins.commands.scaffold import new_package

ROOT = Path(__file__).parents[3]
NAMES = {
    "problem": "warm-rod",
    "network": "steeper",
    "sampler": "chase",
    "weighting": "my-power",
    "optimizer": "nesterov",
    "analyzer": "tail-95",
}
FEW_STEPS = ["optimizers.0.steps=2", "optimizers.1.steps=1"]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {kind: new_package(kind, name, folder / kind) for kind, name in NAMES.items()}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], type[Any]]]:
    """The part of a package, through its entry point."""
    before = {*sys.modules}
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # other tests look at the files there

    def load_plugin(folder: Path) -> type[Any]:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        ((name, module),) = project["entry-points"]["pinn"].items()
        monkeypatch.syspath_prepend(str(folder))
        origin = Origin(project["name"], project["version"], name)
        found = load_plugins([(EntryPoint(name, module, "pinn"), origin)])
        assert not found.broken
        (part,) = found.parts()
        return part.cls

    yield load_plugin
    for module in {*sys.modules} - before:
        if module.startswith("pinn_"):
            del sys.modules[module]


def pinn(*words: str) -> Any:
    result = CliRunner().invoke(commands, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


# what is written


def test_every_kind_can_be_written() -> None:
    assert NAMES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete(kind: str, packages: dict[str, Path]) -> None:
    module = "pinn_" + NAMES[kind].replace("-", "_")
    found = {path.name for path in packages[kind].iterdir()}
    expected = {"pyproject.toml", "README.md", ".gitignore", "pinn.toml"}
    assert found == expected | {f"{module}.py", f"test_{module}.py"}
    for path in packages[kind].iterdir():
        text = path.read_text(encoding="utf-8")
        assert "{{" not in text
        assert "{%" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\n\n\n\n" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_trains_through_its_configuration(
    kind: str,
    packages: dict[str, Path],
    plugin: Callable[[Path], type[Any]],
    tmp_path: Path,
) -> None:
    cls = plugin(packages[kind])
    assert issubclass(cls, KINDS[kind].base)
    assert all(field.metadata["help"] for field in attrs.fields(cls))
    with offered(cls):
        overrides = [*FEW_STEPS, "points.redraw=2", f"run.directory={tmp_path / 'run'}"]
        config = load_config(packages[kind] / "pinn.toml", overrides)
        assert NAMES[kind] in config.toml()
        run = train(config)
    assert run.complete
    assert run.metrics()["rel_l2"][1][-1] < 2


@pytest.mark.slow
def test_the_problem_is_solved_to_one_percent(
    packages: dict[str, Path], plugin: Callable[[Path], type[Any]], tmp_path: Path
) -> None:
    directory = f"run.directory={tmp_path / 'run'}"
    with offered(plugin(packages["problem"])):
        run = train(load_config(packages["problem"] / "pinn.toml", [directory]))
    assert run.metrics()["rel_l2"][1][-1] < 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_formatted_by_our_rules_and_by_the_usual_ones(
    kind: str, packages: dict[str, Path]
) -> None:
    pytest.importorskip("ruff", reason="ruff is not installed")
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    ours = ["--line-length=100", f"--select={','.join(lint['select'])}"]
    for words in (
        ["format", "--check", "--diff"],
        ["format", "--check", "--diff", "--line-length=100"],
        ["check"],
        ["check", *ours, f"--ignore={','.join(lint['ignore'])}"],
    ):
        command = [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", "."]
        done = subprocess.run(command, cwd=packages[kind], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_modules_are_typed_strictly(packages: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "pinn").mkdir()  # mypy does not follow editable installs
    (tmp_path / "pinn" / "core").symlink_to(Path(pinn_core.__file__).parent)
    silent = tmp_path / "mypy.ini"
    silent.write_text("[mypy]\n[mypy-pinn.*]\nfollow_imports = silent\n", encoding="utf-8")
    cache = tmp_path / "cache"
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", cache)  # torch, as `make lint` found it
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--config-file={silent}"]
        + ["--namespace-packages", "--explicit-package-bases", f"--cache-dir={cache}"]
        + [str(path) for folder in packages.values() for path in folder.glob("pinn_*.py")],
        env=os.environ | {"MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_asks_for_the_installed_version_or_a_compatible_one(
    packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((packages["problem"] / "pyproject.toml").read_text())["project"]
    major, minor, *_ = version("pinn-dynamics").split(".")
    assert project["dependencies"][0].startswith(f"pinn-dynamics>={major}.{minor},<")
    for installed, expected in {
        "0.1.0": ">=0.1,<0.2",
        "0.9.2.dev1+g12ab": ">=0.9,<0.10",
        "1.4.2": ">=1.4,<2",
        "2.0rc1": ">=2.0,<3",
    }.items():
        monkeypatch.setattr(scaffold, "version", lambda _, installed=installed: installed)
        assert scaffold._requirement() == f"pinn-dynamics{expected}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_keeps_the_contract_of_its_kind(
    kind: str, packages: dict[str, Path], plugin: Callable[[Path], type[Any]]
) -> None:
    getattr(testing, f"check_{kind}")(plugin(packages[kind]))


@pytest.mark.parametrize(
    "kind", ["problem", *(pytest.param(k, marks=pytest.mark.slow) for k in NAMES if k != "problem")]
)
def test_an_installed_package_works_as_its_readme_says(
    kind: str, tmp_path: Path, installed_environment: Any
) -> None:
    folder, name = tmp_path / "package", f"{NAMES[kind]}-installed"
    new_package(kind, name, folder)
    installed_environment.install(folder)

    def says(command: str, *words: str) -> str:
        done = installed_environment.run(command, *words, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert f"[pinn-{name} 0.1.0]" in says("pinn", "list")
    assert says("pinn", "describe", name).startswith(f"{kind} {name}  [pinn-{name} 0.1.0]")
    assert "1 passed" in says("pytest", "-p", "no:cacheprovider")
    assert "900 steps" in says("pinn", "check", "pinn.toml")
    few = [f"--set={text}" for text in FEW_STEPS]
    assert f"report: runs/{name}/report.html" in says("pinn", "run", "pinn.toml", *few)
    assert (folder / "runs" / name / "report.html").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("problem", "condition"),
        ("problem", "any"),
        ("network", "box"),
        ("network", "adaptive-tanh"),
        ("sampler", "points"),
        ("optimizer", "optimizer"),
        ("analyzer", "curves"),
    ],
)
def test_a_class_does_not_take_the_name_of_what_its_module_uses(
    kind: str, name: str, tmp_path: Path, plugin: Callable[[Path], type[Any]]
) -> None:
    cls = plugin(new_package(kind, name, tmp_path / name))
    assert cls.name == name
    assert issubclass(cls, KINDS[kind].base)
    with offered(cls):
        train_nothing = load_config(tmp_path / name / "pinn.toml", FEW_STEPS)
    assert name in train_nothing.toml()


# the command


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_command_says_what_comes_next() -> None:
    found = pinn("new", "problem", "warm-rod")
    assert found.exit_code == 0
    for line in (
        "  cd pinn-warm-rod",
        '  pip install -e ".[test]"',
        "  pytest",
        "  pinn run pinn.toml",
    ):
        assert line in found.stdout.splitlines()
    assert (Path("pinn-warm-rod") / "pinn_warm_rod.py").exists()


@pytest.mark.usefixtures("in_an_empty_folder")
def test_another_folder_may_be_named_and_may_exist_if_it_is_empty() -> None:
    Path("my plugins").mkdir()
    found = pinn("new", "sampler", "chase", "-o", "my plugins")
    assert "  cd 'my plugins'" in found.stdout
    assert Path("my plugins/pinn_chase.py").exists()
    assert pinn("new", "sampler", "chase", "--output", "a/b/c").exit_code == 0
    assert Path("a/b/c/pinn_chase.py").exists()


def test_help_names_the_kinds() -> None:
    for words in (["new"], ["new", "--help"]):
        found = pinn(*words)
        assert found.exit_code in (0, 2)
        for kind in KINDS:
            assert kind in found.output


# what is refused


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("problems", "x", "no kind is called 'problems' (did you mean 'problem'?); there are ana"),
        ("optimiser", "x", "no kind is called 'optimiser' (did you mean 'optimizer'?)"),
        ("problem", "Heat", "'Heat' cannot be a name: expected lower-case letters, digits and"),
        ("problem", "heat_2d", "'heat_2d' cannot be a name: expected lower-case letters"),
        ("problem", "2d-heat", "'2d-heat' cannot be a name: expected lower-case letters"),
        ("problem", "heat-", "'heat-' cannot be a name"),
        ("problem", "a--b", "'a--b' cannot be a name"),
        ("problem", "../heat", "'../heat' cannot be a name"),
        ("problem", "wärme", "'wärme' cannot be a name"),
        ("problem", "", "'' cannot be a name"),
        ("problem", "pinn-heat", "leave out pinn-: the package of 'heat' is called pinn-heat"),
        ("weighting", "class", "'class' cannot be a name: it is a keyword of Python"),
        ("weighting", "none", "'none' cannot be a name: it is a keyword of Python"),
        ("problem", "burgers", f"pinn-dynamics {version('pinn-dynamics')} offers a problem 'burg"),
        ("problem", "dynamics", f"pinn-dynamics {version('pinn-dynamics')} is installed already"),
    ],
)
def test_names_that_cannot_be_are_refused(
    kind: str, name: str, message: str, in_an_empty_folder: Path
) -> None:
    found = pinn("new", kind, name)
    assert found.exit_code == 2
    assert found.stderr.startswith("error: " + message)
    assert found.stderr.count("\n") == 1
    assert not any(in_an_empty_folder.iterdir())


def test_a_name_is_taken_only_within_its_kind(tmp_path: Path) -> None:
    assert new_package("sampler", "burgers", tmp_path / "burgers").exists()


def test_a_module_that_exists_is_not_shadowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pinn_cold_rod.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PinnError, match="there is a module pinn_cold_rod already"):
        new_package("problem", "cold-rod", tmp_path / "package")


def test_nothing_is_overwritten(in_an_empty_folder: Path) -> None:
    kept = in_an_empty_folder / "pinn-chase" / "pinn_chase.py"
    kept.parent.mkdir()
    kept.write_text("mine")
    found = pinn("new", "sampler", "chase")
    assert found.exit_code == 2
    assert found.stderr == "error: pinn-chase: is not empty; name another folder with --output\n"
    assert [*kept.parent.iterdir()] == [kept]
    assert kept.read_text() == "mine"


def test_a_folder_that_cannot_be_is_one_message(in_an_empty_folder: Path) -> None:
    (in_an_empty_folder / "file").touch()
    for folder in ("file", "file/below"):
        found = pinn("new", "sampler", "chase", "-o", folder)
        assert found.exit_code == 2
        assert found.stderr == f"error: {folder}: cannot be written: Not a directory\n"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existed", [False, True])
def test_a_package_that_cannot_be_written_leaves_nothing_behind(
    error: BaseException, existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_text, []

    def fail_at_the_third(path: Path, text: str, encoding: str) -> None:
        written.append(path)
        write(path, text[:10] if len(written) == 3 else text, encoding=encoding)
        if len(written) == 3:
            raise error

    monkeypatch.setattr(Path, "write_text", fail_at_the_third)
    folder = tmp_path / "new" / "package"
    if existed:
        folder.mkdir(parents=True)
    with pytest.raises((PinnError, KeyboardInterrupt)):
        new_package("problem", "warm-rod", folder)
    assert len(written) == 3
    assert [*tmp_path.rglob("*")] == ([folder.parent, folder] if existed else [])
