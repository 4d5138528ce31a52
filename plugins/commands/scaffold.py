"""`pinn init` and `pinn new`: a configuration, a plugin package, to be changed into one's own."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

import click

from pinn.core import PinnError
from pinn.core.contract import NAME
from pinn.core.discovery import installed_version, registry
from pinn.core.errors import nearest, one_of
from pinn.core.kinds import KINDS

RECIPES = {
    "fast": "Adam, then second order: minutes, errors of 1e-4 and less",
    "accurate": "second order alone, for an hour: as accurate as it gets",
    "paper": "Adam and residual-based attention as arXiv 2403.18494 has them: for a GPU",
}


PAPER, ANY = "paper", "any"
"""The recipe that is for one problem alone; and the file for a problem that has none of its own."""
FIRST = "burgers"
"""The problem of a configuration that nobody asked another for."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("pinn.toml"))
@click.option(
    "--recipe",
    type=click.Choice([*RECIPES]),
    default="fast",
    help="; ".join(f"{name}: {what}" for name, what in RECIPES.items()),
)
@click.option("--problem", help=f"Whose: any that is installed, but with --recipe {PAPER}.")
def init(file: Path, recipe: str, problem: str | None) -> None:
    """Write a commented configuration to FILE (pinn.toml)."""
    if file.exists():
        raise PinnError(f"{file}: exists already; name another file")
    if problem and recipe == PAPER:
        others = " or ".join(name for name in RECIPES if name != PAPER)
        raise PinnError(
            f"--problem: the recipe {PAPER!r} is for one problem alone; for yours, add --recipe {others}"
        )
    text = _template(PAPER) if recipe == PAPER else _recipe(recipe, problem or FIRST)
    train_it = f"pinn run {shlex.quote(str(file))}"
    try:
        file.write_text(text.replace("pinn run pinn.toml", train_it), encoding="utf-8")
    except OSError as error:
        raise PinnError(f"{file}: cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}; train it with: {train_it}")


def _recipe(recipe: str, problem: str) -> str:
    """That of this problem, or one that is for any.

    Raises:
        PinnError: no problem is called so.
    """
    registry().find("problem", problem)
    own = f"{recipe}-{problem}"
    if files(__package__).joinpath(f"templates/{own}.toml").is_file():
        return _template(own)
    return _template(f"{recipe}-{ANY}").replace("PROBLEM", problem)


def _template(name: str) -> str:
    return files(__package__).joinpath(f"templates/{name}.toml").read_text(encoding="utf-8")


@click.command(no_args_is_help=True)
@click.argument("kind")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="The folder to write; pinn-NAME by default.",
)
def new(kind: str, name: str, output: Path | None) -> None:
    """Write a plugin package that works, with a part of KIND called NAME, for you to change.

    KIND is problem, network, sampler, weighting, optimizer or analyzer.
    """
    folder = new_package(kind, name, output)
    click.echo(f"wrote {folder}: the {kind} {name!r} as a package of its own. What comes next:\n")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo('  pip install -e ".[test]"\n  pytest\n  pinn run pinn.toml\n')
    click.echo(f"{folder / 'README.md'} says where to change what.")


def new_package(kind: str, name: str, folder: Path | None = None) -> Path:
    """Write a package that offers the part `name` into `folder`, by default ./pinn-`name`.

    Raises:
        PinnError: no such kind, a name that cannot be or that is taken, a folder that is not empty or
            cannot be written. Nothing is left behind then.
    """
    if kind not in KINDS:
        raise PinnError(
            f"no kind is called {kind!r}{nearest(kind, KINDS)}; there are {one_of(KINDS)}"
        )
    _check(kind, name)
    folder = folder or Path(f"pinn-{name}")
    _write(_files(kind, name), folder)
    return folder


def _check(kind: str, name: str) -> None:
    """Refuse a name that a part, its package or its module cannot have."""
    if not NAME.fullmatch(name):
        raise PinnError(
            f"{name!r} cannot be a name: expected lower-case letters, digits and single hyphens, "
            "beginning with a letter, as in my-heat"
        )
    if name.startswith("pinn-"):
        raise PinnError(f"leave out pinn-: the package of {name[5:]!r} is called {name} by itself")
    if iskeyword(name) or iskeyword(_class_name(name)):
        raise PinnError(f"{name!r} cannot be a name: it is a keyword of Python")
    for part in registry().parts(kind):
        if part.name == name:
            raise PinnError(f"{part.origin} offers a {kind} {name!r} already; choose another name")
    package, module = f"pinn-{name}", _module(name)
    if installed := installed_version(package):
        raise PinnError(f"{package} {installed} is installed already; choose another name")
    if find_spec(module):
        raise PinnError(f"there is a module {module} already; choose another name")


def _files(kind: str, name: str) -> dict[str, str]:
    """What stands in the package, by the names of its files."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # now: it is slow to load

    environment = Environment(  # not escaped: none of it is HTML
        loader=PackageLoader(__package__, "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    module = _module(name)
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        "pinn.toml": "pinn.toml",
        f"{module}.py": f"{kind}.py",
        f"test_{module}.py": "test.py",
    }
    cls = _class_name(name)
    assert environment.loader is not None
    source, *_ = environment.loader.get_source(environment, f"{kind}.py.jinja")
    if re.search(rf"^from .*\b{cls}\b", source, re.MULTILINE):  # `class Problem(Problem)`
        cls += kind.capitalize()
    values = {
        "kind": kind,
        "name": name,
        "cls": cls,
        "module": module,
        "quantity": name.replace("-", "_"),
        "requirement": _requirement(),
    }
    return {
        file: environment.get_template(f"{template}.jinja").render(values)
        for file, template in templates.items()
    }


def _write(files: dict[str, str], folder: Path) -> None:
    """All files, or none where one of them cannot be written."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise PinnError(f"{folder}: is not empty; name another folder with --output")
        with ExitStack() as undo:
            for missing in [f for f in (folder, *folder.parents) if not f.exists()][::-1]:
                missing.mkdir()
                undo.callback(missing.rmdir)
            for name, text in files.items():
                undo.callback((folder / name).unlink, missing_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
            undo.pop_all()
    except OSError as error:
        raise PinnError(f"{folder}: cannot be written: {error.strerror}") from None


def _module(name: str) -> str:
    return "pinn_" + name.replace("-", "_")


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


def _requirement() -> str:
    """The installed version or a later one that is compatible: 0.2 may break what works with 0.1."""
    found = re.match(r"(\d+)\.(\d+)", version("pinn-dynamics"))
    assert found is not None
    major, minor = map(int, found.groups())
    breaking = f"0.{minor + 1}" if major == 0 else f"{major + 1}"
    return f"pinn-dynamics>={major}.{minor},<{breaking}"
