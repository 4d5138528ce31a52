"""`pinn run` and `pinn check`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click

from pinn import engine
from pinn.plugins.commands.shown import shown

SIGINT_STATUS = 130

_set = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Override a value of the file; a stage by its number, as in optimizers.0.steps=100.",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_set
def run(file: Path, overrides: tuple[str, ...]) -> None:
    """Train what FILE describes; continue if it was interrupted."""
    config = engine.load_config(file, overrides)
    again = shlex.join(["pinn", "run", str(file), *(f"--set={o}" for o in overrides)])
    try:
        if config.run.seeds > 1:
            _finish_seeds(engine.train_seeds(config, engine.for_terminal()), again)
            return
        finished = engine.train(config, engine.for_terminal())
    except KeyboardInterrupt:  # the second one, or while the report is drawn
        click.echo(f"interrupted; what was saved stays; continue with: {again}")
        raise SystemExit(SIGINT_STATUS) from None
    if finished.summary["final"]:
        events = [event for o in config.observers for event in o.analyzer.events]
        click.echo(_report(finished.summary, events))
    if not finished.complete:
        click.echo(f"stopped at step {finished.summary['steps']:,}; continue with: {again}")
        raise SystemExit(SIGINT_STATUS)
    click.echo(f"report: {shown(finished.path / 'report.html')}")


def _finish_seeds(runs: Sequence[engine.Run], again: str) -> None:
    """Say what each seed came to, and the median."""
    if not all(run.complete for run in runs):
        step = min(run.summary["steps"] for run in runs)
        click.echo(f"stopped at step {step:,}; continue with: {again}")
        raise SystemExit(SIGINT_STATUS)
    names = [n for n in ("rel_l2", "loss") if runs[0].summary["final"].get(n) is not None]
    values = [run.summary["final"][names[0]] for run in runs]
    for run, value in zip(runs, values, strict=True):
        click.echo(f"{run.path.name}: {names[0]} {value:.2e}")
    spread = f"({min(values):.2e} to {max(values):.2e})"
    click.echo(f"median of {len(runs)} seeds: {names[0]} {median(values):.2e} {spread}")
    folder = shown(runs[0].path.parent)
    click.echo(f"reports: {folder}/*/report.html; beside each other: pinn compare {folder}/*/")


def _report(summary: dict[str, Any], events: list[str]) -> str:
    errors = {
        n: v for n, v in summary["final"].items() if n.startswith("rel_l2.") and v is not None
    }
    final = summary["final"]
    loss = final.get("loss") or 0.0
    plain = final.get("loss.unweighted") or loss
    weighted = f" ({loss:.2e} with its weights)" if f"{loss:.2e}" != f"{plain:.2e}" else ""
    lines = [f"{summary['steps']:,} steps, loss {plain:.2e}{weighted}"]
    lines += [
        f"relative L2 error of {n.removeprefix('rel_l2.')}: {v:.2e}" for n, v in errors.items()
    ]
    lines += [
        f"RMS error of {n.removeprefix('rms.')}, whose reference is zero: {v:.2e}"
        for n, v in summary["final"].items()
        if n.startswith("rms.") and v is not None
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


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_set
def check(file: Path, overrides: tuple[str, ...]) -> None:
    """Validate FILE without training: all that `pinn run` would refuse is refused."""
    config = engine.load_config(file, overrides)
    module, objective, evaluator = engine.check(config)
    count = sum(p.numel() for p in module.parameters())
    click.echo(
        f"{file}: {config.problem.name} with {config.network.name} ({count:,} parameters), "
        f"{config.weighting.name}, {config.steps:,} steps; "
        f"loss terms: {', '.join(objective.names)}"
    )
    for note in evaluator.notes:
        click.echo(f"note: {note}")
