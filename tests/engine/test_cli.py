"""The command `pinn` itself: what it prints, where, and with which exit status."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli
from click.testing import CliRunner

from pinn.core import Problem
from pinn.core.discovery import registry
from pinn.engine import load_config
from pinn.engine.cli import commands
from pinn.engine.training import run as runs
from pinn.testing.companions import SmallProblem

PINN = Path(sys.executable).with_name("pinn")

SMALL = """
[run]
device = "cpu"
compile = "never"
[problem]
name = "helmholtz"
a1 = 1
a2 = 1
[network]
width = 4
depth = 1
[points]
interior = 16
conditions = 8
[[optimizers]]
name = "adam"
steps = 3
[[analyzers]]
name = "error"
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pinn(*words: str) -> Any:
    result = CliRunner().invoke(commands, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PINN, *words], capture_output=True, text=True, timeout=120, check=False)


# the real command


def test_help_and_version() -> None:
    found = process("--help")
    assert (found.returncode, found.stderr) == (0, "")
    for command in ("run", "check", "list", "describe", "init", "reference"):
        assert command in found.stdout
    assert process("--version").stdout.startswith("pinn, version ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["check", "missing.toml"],
            "error: missing.toml: there is no such file; `pinn init` writes",
        ),
        (["run", "."], "error: .: is a folder, no file"),
        (["describe", "adm"], "error: no part is called 'adm' (did you mean 'adam'?); there are"),
        (["reference", "helmholz", "-o", "a.npz"], "(did you mean 'helmholtz'?)"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(words: list[str], expected: str) -> None:
    found = process(*words)
    assert found.returncode == 2
    assert found.stdout == ""
    assert expected in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_disabled_plugins_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINN_DISABLE_PLUGINS", "problems, samplers")
    found = process("list")
    assert (found.returncode, found.stderr) == (0, "")
    assert "helmholtz" not in found.stdout
    assert "adam" in found.stdout


def test_run_from_start_to_end() -> None:
    Path("small.toml").write_text(SMALL, encoding="utf-8")
    found = process("run", "small.toml", "--set", "optimizers.0.steps=4")
    assert (found.returncode, found.stderr) == (0, "")
    assert "helmholtz: 17 parameters, 16 points, CPU" in found.stdout
    assert "4 steps, loss " in found.stdout
    assert "relative L2 error of u: " in found.stdout
    assert Path("runs/small/summary.json").exists()
    assert load_config("runs/small/pinn.toml").steps == 4


# list and describe


def test_list_shows_every_part_once_with_its_origin() -> None:
    result = pinn("list")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    for part in registry().parts():
        (line,) = [line for line in lines if line.startswith(f"  {part.name} ")]
        assert line.endswith(f"[{part.origin}]")
        assert len(line) <= 100


def test_list_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert max(len(line) for line in pinn("list").stdout.splitlines()) <= 70


def test_describe_shows_types_and_defaults() -> None:
    shown = pinn("describe", "mlp").stdout
    assert "network mlp  [pinn-dynamics" in shown
    for cells in ("width", "int", "64", "neurons of a hidden layer", "list[str]", "[]", "false"):
        assert cells in shown
    shown = pinn("describe", "rba").stdout
    assert "float | None" in shown


@pytest.mark.parametrize("name", ["", "-", "Adam", "helm holtz", "é"])
def test_describe_what_does_not_exist(name: str) -> None:
    result = pinn("describe", "--", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: no part is called {name!r}")


# init


@pytest.mark.parametrize("words", [[], ["mine.toml"]])
def test_init_writes_a_file_that_runs(words: list[str]) -> None:
    result = pinn("init", *words)
    file = Path(*words or ["pinn.toml"])
    assert result.exit_code == 0
    assert result.stdout == f"wrote {file}; train it with: pinn run {file}\n"
    assert f"`pinn run {file}`" in Path(file).read_text(encoding="utf-8")
    assert load_config(file).steps > 0
    assert pinn("check", str(file)).exit_code == 0
    assert any(line.lstrip().startswith("#") for line in file.read_text().splitlines())


@pytest.mark.parametrize(
    ("recipe", "file"),
    [
        ("fast", "pinn.toml"),
        ("accurate", "configs/fast/burgers.toml"),
        ("paper", "configs/papers/allen-cahn-rba.toml"),
    ],
)
def test_recipes_are_the_files_that_are_measured(recipe: str, file: str) -> None:
    assert pinn("init", "--recipe", recipe).exit_code == 0
    shipped = Path(__file__).parents[2] / file
    assert Path("pinn.toml").read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("problem", "file"),
    [
        ("burgers", "burgers"),
        ("helmholtz", "helmholtz-1-4"),
        ("allen-cahn", "allen-cahn"),
        ("cavity", "cavity-re100"),
    ],
)
def test_the_accurate_recipe_of_each_problem_is_measured(problem: str, file: str) -> None:
    assert pinn("init", "--recipe", "accurate", "--problem", problem).exit_code == 0
    shipped = Path(__file__).parents[2] / "configs" / "fast" / f"{file}.toml"
    text = Path("pinn.toml").read_text(encoding="utf-8")
    assert text == shipped.read_text(encoding="utf-8")
    assert text.startswith("# Recipe accurate. ")


@pytest.mark.parametrize("recipe", ["fast", "accurate"])
def test_the_recipes_for_a_strangers_problem(offer: Any, recipe: str) -> None:
    offer(SmallProblem)
    words = "init", "own.toml", "--recipe", recipe, "--problem", SmallProblem.name
    assert pinn(*words).exit_code == 0
    assert Path("own.toml").read_text(encoding="utf-8").startswith(f"# Recipe {recipe}. ")
    assert load_config("own.toml").problem == SmallProblem()
    assert pinn("check", "own.toml").exit_code == 0


def test_recipes_of_what_is_not_there() -> None:
    unknown = pinn("init", "--recipe", "accurate", "--problem", "burger")
    assert unknown.exit_code == 2
    assert "no problem is called 'burger' (did you mean 'burgers'?)" in unknown.stderr
    other = pinn("init", "--recipe", "paper", "--problem", "cavity")
    assert (other.exit_code, "add --recipe fast or accurate" in other.stderr) == (2, True)
    assert list(Path().iterdir()) == []


def test_init_keeps_what_is_there() -> None:
    Path("pinn.toml").write_text("mine", encoding="utf-8")
    result = pinn("init")
    assert result.exit_code == 2
    assert result.stderr == "error: pinn.toml: exists already; name another file\n"
    assert Path("pinn.toml").read_text() == "mine"


@pytest.mark.parametrize("place", ["nowhere/pinn.toml", "."])
def test_init_where_it_cannot_write(place: str) -> None:
    result = pinn("init", place)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {place}: ")
    assert list(Path().iterdir()) == []


# reference


@pytest.mark.parametrize("problem", ["helmholtz", "burgers", "cavity"])
def test_reference_writes_coordinates_and_fields(problem: str) -> None:
    result = pinn("reference", problem, "-o", "out.npz")
    assert (result.exit_code, result.stderr) == (0, "")
    cls = registry().find("problem", problem).cls
    domain = cls().domain
    with np.load("out.npz") as saved:
        shape = tuple(len(saved[name]) for name in domain.names)
        fields = set(saved) - set(domain.names)
        for name, (low, high) in domain.intervals.items():
            assert saved[name].ndim == 1
            assert saved[name][[0, -1]] == pytest.approx([low, high])
        for name in fields:
            assert saved[name].shape == shape
            assert np.isfinite(saved[name]).all()
    assert fields >= ({"u", "v", "p", "psi"} if problem == "cavity" else {"u"})
    assert " x ".join(map(str, shape)) in result.stdout


def test_reference_takes_the_options_of_the_problem() -> None:
    assert pinn("reference", "helmholtz", "-o", "out.npz", "--set", "a1=2").exit_code == 0
    with np.load("out.npz") as saved:
        x, y = np.meshgrid(saved["x"], saved["y"], indexing="ij")
        expected = np.sin(2 * np.pi * x) * np.sin(6 * np.pi * y)
        np.testing.assert_allclose(saved["u"], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["helmholtz", "-o", "nowhere/a.npz"], "nowhere/a.npz: cannot be written: No such file"),
        (["helmholtz", "-o", "."], ".: cannot be written: Is a directory"),
        (["helmholtz", "-o", "a.npz", "--set", "a1=1.5"], "a1: expected a whole number, found 1.5"),
        (["helmholtz", "-o", "a.npz", "--set", "a3=1"], "a3: unknown key"),
        (["helmholtz", "-o", "a.npz", "--set", "a1"], "--set a1: expected key=value"),
        (["helmholtz", "-o", "a.npz", "--set", "=1"], "--set =1: expected key=value"),
        (["burgers", "-o", "a.npz", "--set", "viscosity=0"], "viscosity: expected at least 0.001"),
        (
            ["cavity", "-o", "a.npz", "--set", "hard=true", "--set", "formulation=velocity"],
            "hard = true needs formulation",
        ),
        (["adam", "-o", "a.npz"], "no problem is called 'adam'"),
        (["helmholtz"], "Missing option '-o'"),
    ],
)
def test_reference_mistakes(words: list[str], expected: str) -> None:
    result = pinn("reference", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert expected in result.stderr
    assert list(Path().iterdir()) == []


def test_a_problem_without_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry().find("problem", "helmholtz").cls
    monkeypatch.setattr(cls, "solution", Problem.solution)
    result = pinn("reference", "helmholtz", "-o", "a.npz")
    assert result.exit_code == 2
    assert result.stderr == "error: helmholtz has neither a solution nor a reference\n"


# check


def test_check_writes_nothing() -> None:
    Path("small.toml").write_text(SMALL, encoding="utf-8")
    result = pinn("check", "small.toml")
    assert result.exit_code == 0
    assert result.stdout == (
        "small.toml: helmholtz with mlp (17 parameters), vanilla, 3 steps; "
        "loss terms: helmholtz, walls\n"
        "note: the problem stays the same where x or y is reflected about the middle of its interval "
        "and the network's u changes sign: if it has one solution, [network] "
        'odd = ["x", "y"] makes that sure\n'
    )
    assert [path.name for path in Path().iterdir()] == ["small.toml"]


def test_the_shown_command_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run was stopped, the way on is quoted for the shell."""

    class Stopped:
        def __enter__(self) -> Any:
            return lambda: True

        def __exit__(self, *_: object) -> None:
            pass

    Path("my run.toml").write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(runs, "stop_signals", Stopped)
    result = pinn("run", "my run.toml", "--set", "network.periodic=['x']")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert result.exit_code == 130
    shown = result.stdout.split("continue with: ")[1].strip()
    words = shlex.split(shown)
    assert words == ["pinn", "run", "my run.toml", "--set=network.periodic=['x']"]
    assert pinn(*words[1:]).exit_code == 0
    assert tomli.loads(Path("runs/my run/pinn.toml").read_text())["network"]["periodic"] == ["x"]


def test_describe_shows_what_every_part_of_the_kind_has() -> None:
    for name, option in (
        ("adam", "steps"),
        ("snr", "every"),
        ("rba", "factors"),
        ("lhs", "redraw"),
    ):
        assert f"  {option} " in pinn("describe", name).stdout.partition("options of every")[2]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(SMALL, encoding="utf-8")
    return file


def test_a_second_interrupt_says_how_to_go_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_results", interrupted)  # while the report is drawn
    result = pinn("run", str(small), "--set", f"run.directory={small.parent / 'run'}")
    assert result.exit_code == 130
    assert "interrupted; what was saved stays; continue with: pinn run " in result.output


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("run.directory=", "directory: expected the name of a directory"),
        ("run.directory=a\0b", "directory: expected the name of a directory"),
        ("run.directory=~nosuchuser/x", "begins with the name of no user"),
        (f"run.directory={'x' * 300}", "cannot be used: File name too long"),
        ("run.directory=small.toml/x", "is a file"),
        ("points.interior=9007199254740992", "points take at least"),
        ("points.conditions=9007199254740992", "points take at least"),
        ("network.width=900719925474099", "and two moments take at least"),
        ("points.interior=9223372036854775807", "interior: expected a whole number up to 2^53"),
        ("points.sampler=grid", "a number to the power of 2, such as"),
        ("optimizers.0.until=speed < 1", "nothing records 'speed'"),
        ("optimizers.0.until=loss < 1_0", "expected a number behind the sign"),
        ("optimizers.².steps=3", "there is no number ² among 1 tables"),
        (f"optimizers.0.lr={'9' * 5000}", "is no value that an option has"),
        (f"run.seed={'[' * 3000}", "is no value that an option has"),
        ("weighting.first_eta=-1", "unknown key"),
        ("run.device=\x1b[31mred", "device: '\\x1b[31mred' is unknown"),
    ],
)
def test_check_refuses_what_run_would(
    change: str, expected: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.parent)
    text = [*small.read_text().splitlines(), ""]
    small.write_text("\n".join(text).replace("interior = 16", "interior = 17"))
    files = {*small.parent.rglob("*")}
    results = [pinn(command, "small.toml", "--set", change) for command in ("check", "run")]
    for result in results:
        assert result.exit_code == 2, result.output
        assert expected in result.stderr
        assert "Traceback" not in result.output
        assert "\x1b" not in result.output
        assert len(result.stderr) < 3000
    assert results[0].stderr == results[1].stderr or "until" in change
    assert files <= {*small.parent.rglob("*")}


def test_a_plateau_of_whole_numbers_is_one(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.parent)
    result = pinn("run", "small.toml", "--set", "optimizers.0.until=plateau of step")
    assert result.exit_code == 0, result.output


def test_check_says_that_the_directory_holds_another_run(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.parent)
    assert pinn("run", "small.toml").exit_code == 0
    result = pinn("check", "small.toml", "--set", "network.width=5")
    assert result.exit_code == 2
    assert "  network.width: 4 there, 5 here" in result.stderr.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 1000 + " = 1\n",
        "a = " + "[" * 400 + "]" * 400,
        "a = " + "9" * 5000,
        "".join(f"key{number} = 1\n" for number in range(100_000)),
        "[run]\n" + "".join(f"key{number} = 1\n" for number in range(100_000)),
        f'[run]\ndevice = "{"x" * 10**6}"\n',
    ],
    ids=["dots", "brackets", "digits", "keys", "keys of a section", "long text"],
)
def test_what_nobody_writes_is_one_short_message(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file}")
    assert len(result.stderr) < 10_000


def test_a_byte_order_mark_is_no_fault(small: Path) -> None:
    small.write_bytes(b"\xef\xbb\xbf" + small.read_bytes())
    assert pinn("check", str(small)).exit_code == 0


@pytest.mark.draws
def test_names_of_runs_are_text(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.parent)
    names = ["a$\\frac{$", "[red]b", "c\x1b[31m<b>"]
    assert pinn("run", "small.toml").exit_code == 0
    for name in names:
        shutil.copytree("runs/small", name)
    result = pinn("compare", *names)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    page = Path("compare.html").read_text(encoding="utf-8")
    assert "c\\x1b[31m&lt;b&gt;" in page
    assert "<b>" not in page
