"""`pinn report`, `pinn diagnose`, `pinn compare` and `pinn reference`."""

from __future__ import annotations

from pathlib import Path

import click

from pinn import engine
from pinn.core import PinnError
from pinn.plugins.commands.shown import shown


@click.command()
@click.argument("problem")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .npz file to write."
)
@click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="An option of the problem."
)
def reference(problem: str, output: Path, options: tuple[str, ...]) -> None:
    """Write the reference solution of PROBLEM on its evaluation grid.

    The file has a 1-D array per coordinate and one array per field on their
    meshgrid(indexing="ij"); of a reference at scattered points, one number a point.
    """
    import numpy as np

    found = engine.reference_solution(engine.parse_problem(problem, options))
    if found is None:
        raise PinnError(f"{problem} has neither a solution nor a reference")
    try:
        with output.open("wb") as file:
            np.savez_compressed(file, **found.coordinates, **found.fields)  # type: ignore[arg-type]
    except OSError as error:
        raise PinnError(f"{output}: cannot be written: {error.strerror}") from None
    shape = " x ".join(map(str, found.shape))
    names = ", ".join([*found.coordinates, *found.fields])
    click.echo(f"wrote {output}: {names} on {shape} points")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write the report of RUN, a run's directory, again: report.html and figures/ in it."""
    path = engine.write_report(run, lambda text: click.echo(f"note: {text}", err=True))
    click.echo(f"wrote {shown(path)}; its figures for print: {run / 'figures'}/")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def diagnose(run: Path) -> None:
    """Say what to conclude from RUN, a run's directory, and what to try next.

    In plain sentences with their numbers, from what the run's analyzers measured; what calls for
    something comes first.
    """
    diagnosis = engine.diagnose(run)
    click.echo(diagnosis.text())
    for fault in diagnosis.faults:
        click.echo(f"note: {fault}", err=True)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN…")
@click.option(
    "-o",
    "--output",
    default=Path("compare.html"),
    type=click.Path(path_type=Path),
    help="The page to write; its figures come into a folder of that name.",
)
def compare(runs: tuple[Path, ...], output: Path) -> None:
    """Draw several runs, given by their directories, into the same figures; or a sweep, given by its
    file."""
    if len(runs) == 1 and runs[0].suffix == ".toml":
        drawn = engine.draw_sweep(runs[0], output)
        click.echo(f"wrote {drawn.page}")
        return
    comparison = engine.compare(runs, output)
    click.echo(comparison.text())
    for fault in comparison.faults:
        click.echo(f"note: {fault}", err=True)
    click.echo(f"wrote {comparison.page}")
