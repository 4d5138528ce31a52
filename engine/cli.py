"""The command `pinn`."""

from __future__ import annotations

import os
import shlex
import shutil
import traceback
from collections.abc import Callable, Iterator
from copy import copy
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pinn.core.errors import PinnError

SIGINT_STATUS = 130
LESS_MEMORY = "fewer points, points.chunk or a smaller network need less"


SPINS = "1000"
"""Turns that a waiting OpenMP thread makes before it sleeps; GNU's default is some 10^10 of them.

Where another process wants a core, a spinning thread keeps it from the very thread it waits for: a step
of 60 ms then took up to 1,500 ms. With this it took 78 ms, and as long as ever on a quiet machine.
"""


def main() -> None:
    """The entry point of the command."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    _commands()


def _messages(command: Callable[..., Any]) -> Callable[..., Any]:
    """Show errors that the user can mend, and those of plugins, as messages without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            message = _message(error)
            if message is None:
                raise
            if os.environ.get("PINN_TRACEBACK", "0") not in ("", "0"):
                traceback.print_exception(error)
            in_file = "file" in kwargs and str(message).startswith("[")
            about = f"{kwargs['file']}: " if in_file else ""
            click.echo(f"error: {about}{message}", err=True)
            raise SystemExit(message.exit_status) from None

    return wrapped


def _message(error: Exception) -> PinnError | None:
    """What to say of it; None where this program is at fault."""
    from pinn.core.blame import blamed
    from pinn.core.errors import PinnError, out_of_memory

    if isinstance(error, PinnError):
        return error
    if out_of_memory(error):
        first, *_ = str(error).splitlines() or ["no more memory"]
        return PinnError(f"out of memory: {first}; {LESS_MEMORY}")
    return blamed(error)


class _Commands(click.Group):
    """The commands below, and those that plugins offer under other names."""

    @_messages
    def list_commands(self, ctx: click.Context) -> list[str]:
        from pinn.core.registry import registry

        return sorted({*super().list_commands(ctx), *registry().commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        from pinn.core.registry import registry

        for offered in registry().commands.get(cmd_name, ()):
            command = copy(offered.command)
            command.invoke = _messages(command.invoke)  # type: ignore[method-assign]
            return command
        return None

    @_messages
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is called: offered by one plugin, and by one alone."""
        from pinn.core.errors import PinnError, nearest
        from pinn.core.registry import registry

        name = args[0]
        if super().get_command(ctx, name) is None and registry().find_command(name) is None:
            suspects = registry().suspects()
            if suspects and not name.startswith("-"):
                close = nearest(name, self.list_commands(ctx))
                raise PinnError("\n".join([f"no command is called {name!r}{close}", *suspects]))
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pinn-dynamics", prog_name="pinn")
def _commands() -> None:
    """Train physics-informed neural networks and see how they learn."""


_overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Override a value of the file; a stage by its number, as in optimizers.0.steps=100.",
)


@_commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@_overrides
@_messages
def run(file: Path, overrides: tuple[str, ...]) -> None:
    """Train what FILE describes; continue if it was interrupted."""
    from pinn.engine.configuration.config import load_config

    config = load_config(file, overrides)

    from pinn.engine.training.progress import for_terminal
    from pinn.engine.training.run import train

    finished = train(config, for_terminal())
    if not finished.complete:
        again = shlex.join(["pinn", "run", str(file), *(f"--set={o}" for o in overrides)])
        click.echo(f"stopped at step {finished.summary['steps']:,}; continue with: {again}")
        raise SystemExit(SIGINT_STATUS)
    events = [event for o in config.observers for event in o.analyzer.events]
    click.echo(_report(finished.summary, events))
    click.echo(f"report: {finished.path / 'report.html'}")


def _report(summary: dict[str, Any], events: list[str]) -> str:
    errors = {n: v for n, v in summary["final"].items() if n.startswith("rel_l2.")}
    lines = [f"{summary['steps']:,} steps, loss {summary['final'].get('loss') or 0:.2e}"]
    lines += [
        f"relative L2 error of {n.removeprefix('rel_l2.')}: {v:.2e}" for n, v in errors.items()
    ]
    lines += _unknowns(summary["final"])
    for event in events:
        step = summary["final"].get(event)
        where = "not reached" if step is None else f"from step {step:,}"
        lines.append(f"{event.replace('_', ' ')}: {where}")
    for analyzer, texts in summary["failures"].items():
        lines += [f"analyzer {analyzer!r} failed: {text}" for text in texts]
    seconds = summary["seconds"]
    total = sum(seconds.values())
    shares = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    return "\n".join([*lines, f"{total:.0f} s in all: {shares}"])


def _unknowns(final: dict[str, Any]) -> Iterator[str]:
    """ "viscosity: 0.0201 (0.5 % off)" for each unknown of an inverse problem."""
    for name, value in final.items():
        if name.startswith("unknown.") and not name.endswith(".error"):
            error = final.get(f"{name}.error")
            off = "" if error is None else f" ({100 * error:.2g} % off)"
            yield f"{name.removeprefix('unknown.')}: {value:.5g}{off}"


@_commands.command()
@click.argument("file", type=click.Path(path_type=Path))
@_overrides
@_messages
def check(file: Path, overrides: tuple[str, ...]) -> None:
    """Validate FILE without training: every key, and what the equations ask for."""
    from pinn.engine.configuration.config import load_config

    config = load_config(file, overrides)

    from pinn.engine.training.build import prepare

    module, objective, _ = prepare(config)
    count = sum(p.numel() for p in module.parameters())
    click.echo(
        f"{file}: {config.problem.name} with {config.network.name} ({count:,} parameters), "
        f"{config.weighting.name}, {config.steps:,} steps; "
        f"loss terms: {', '.join(objective.names)}"
    )


@_commands.command("list")
@_messages
def list_parts() -> None:
    """Show all parts that are installed, and plugins that are broken."""
    from pinn.core.registry import KINDS, registry

    found = registry()
    parts = found.parts()
    width = max((len(part.name) for part in parts), default=0)
    columns = shutil.get_terminal_size((100, 24)).columns
    for kind in KINDS:
        click.echo(f"{kind}:")
        for part in found.parts(kind):
            line = f"  {part.name:<{width}}  {part.summary}"
            origin = f"  [{part.origin}]"
            room = max(columns - len(origin), 40)
            click.echo((line if len(line) <= room else line[: room - 1] + "…") + origin)
    for problem in [*map(str, found.broken), *found.conflicts(_commands.commands)]:
        click.echo(f"broken: {problem}", err=True)
    for problem in found.unmatched:
        click.echo(f"warning: {problem}", err=True)


@_commands.command()
@click.argument("name")
@_messages
def describe(name: str) -> None:
    """Show the options of the part called NAME."""
    from pinn.core.errors import PinnError, nearest, one_of
    from pinn.core.registry import registry
    from pinn.plugins.commands.parts import description

    parts = [part for part in registry().parts() if part.name == name]
    if not parts:
        names = {part.name for part in registry().parts()}
        missing = f"no part is called {name!r}{nearest(name, names)}; there are {one_of(names)}"
        raise PinnError("\n".join([missing, *registry().suspects()]))
    click.echo("\n\n".join(map(description, parts)))


@_commands.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("pinn.toml"))
@_messages
def init(file: Path) -> None:
    """Write a commented configuration to FILE (pinn.toml)."""
    from pinn.core.errors import PinnError

    if file.exists():
        raise PinnError(f"{file}: exists already; name another file")
    text = (
        files("pinn.plugins.commands").joinpath("templates/pinn.toml").read_text(encoding="utf-8")
    )
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PinnError(f"{file}: cannot be written: {error.strerror}") from None
    click.echo(f"wrote {file}; train it with: pinn run {file}")


@_commands.command(no_args_is_help=True)
@click.argument("kind")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="The folder to write; pinn-NAME by default.",
)
@_messages
def new(kind: str, name: str, output: Path | None) -> None:
    """Write a plugin package that works, with a part of KIND called NAME, for you to change.

    KIND is problem, network, sampler, weighting, optimizer or analyzer.
    """
    from pinn.plugins.commands.scaffold import new_package

    folder = new_package(kind, name, output)
    click.echo(f"wrote {folder}: the {kind} {name!r} as a package of its own. What comes next:\n")
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo('  pip install -e ".[test]"\n  pytest\n  pinn run pinn.toml\n')
    click.echo(f"{folder / 'README.md'} says where to change what.")


@_commands.command()
@click.argument("problem")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .npz file to write."
)
@click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the problem."
)
@_messages
def reference(problem: str, output: Path, options: tuple[str, ...]) -> None:
    """Write the reference solution of PROBLEM on its evaluation grid.

    The file has a 1-D array per coordinate and one array per field on their
    meshgrid(indexing="ij").
    """
    import numpy as np

    from pinn.core.errors import PinnError
    from pinn.engine.configuration.config import parse_problem

    part = parse_problem(problem, options)

    from pinn.engine.training.evaluation import reference_solution

    found = reference_solution(part)
    if found is None:
        raise PinnError(f"{problem} has neither a solution nor a reference")
    try:
        with output.open("wb") as file:
            np.savez_compressed(file, **found.coordinates, **found.fields)  # type: ignore[arg-type]
    except OSError as error:
        raise PinnError(f"{output}: cannot be written: {error.strerror}") from None
    shape = " x ".join(str(len(c)) for c in found.coordinates.values())
    names = ", ".join([*found.coordinates, *found.fields])
    click.echo(f"wrote {output}: {names} on {shape} points")


@_commands.command()
@click.argument("run", type=click.Path(path_type=Path))
@_messages
def report(run: Path) -> None:
    """Write the report of RUN, a run's directory, again: report.html and figures/ in it."""
    from pinn.engine.reporting.report import report as write_report

    path = write_report(run)
    click.echo(f"wrote {path}; its figures for print: {run / 'figures'}/")


@_commands.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN…")
@click.option(
    "-o",
    "--output",
    default=Path("compare.html"),
    type=click.Path(path_type=Path),
    help="The page to write; its figures come into a folder of that name.",
)
@_messages
def compare(runs: tuple[Path, ...], output: Path) -> None:
    """Draw several runs, given by their directories, into the same figures."""
    from pinn.engine.reporting.comparison import compare as write_comparison

    comparison = write_comparison(runs, output)
    click.echo(comparison.text())
    click.echo(f"wrote {comparison.page}")
