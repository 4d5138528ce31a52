"""`pinn export`: what a run trained, for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from pinn import engine
from pinn.plugins.commands.shown import shown


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write; its ending says what: .pt2, .onnx, .vtu, .vtk, …",
)
@click.option(
    "--mesh",
    type=click.Path(path_type=Path),
    help="A mesh that meshio reads, for .vtu and its like. Default: the evaluation grid.",
)
@click.option("--best", is_flag=True, help="The network of best.pt, not the newest one.")
def export(run: Path, output: Path, mesh: Path | None, best: bool) -> None:
    """Write what RUN, a run's directory, has trained for other programs.

    .pt2 is a program of torch.export, .onnx one for the runtimes of ONNX:
    coordinates (n, dimension) to fields (n, fields), for any n. Every other
    ending is that of a format of meshio, as .vtu is, and holds the observables
    at the points of a mesh.
    """
    engine.open_run(run, best=best).export(output, mesh)
    click.echo(f"wrote {shown(output)}")
