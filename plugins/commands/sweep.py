"""`pinn sweep`: many runs that differ in chosen keys."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from pinn import engine
from pinn.plugins.commands.shown import shown

STATES = ("done", "ended early", "running", "failed", "stopped", "waiting")
SHOWN = 20
"""Groups in the table at the end, the best ones."""
SECONDS = 2.0
"""Between two pictures of a live table."""
STOPPED_STATUS, FAILED_STATUS = 130, 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--status", is_flag=True, help="Only say how far the runs are.")
def sweep(file: Path, status: bool) -> None:
    """Train the runs of FILE that are not done yet, several at once; the same command goes on later."""
    if status:
        found = engine.sweep_states(file)
        click.echo(_counted(found))
        for state in found:
            if state.what not in ("done", "ended early", "waiting"):
                click.echo(_line(state))
        _show_groups(found)
        return
    watching = _Table() if sys.stdout.isatty() else _Lines()
    try:
        found = engine.sweep(file, watching)
    finally:
        watching.close()
    _show_groups(found)
    click.echo(_counted(found))
    directory = found[0].run.config.directory.parent
    page = f"; figures: {shown(directory / 'sweep.html')}" if engine.sweep_groups(found) else ""
    click.echo(f"results: {shown(directory / 'results.csv')}{page}")
    unlike = Counter(state.what for state in found)
    if unlike["failed"]:
        raise SystemExit(FAILED_STATUS)
    if unlike["done"] + unlike["ended early"] < len(found):
        click.echo(f"stopped; continue with: pinn sweep {file}")
        raise SystemExit(STOPPED_STATUS)


def _counted(states: Iterable[Any]) -> str:
    """Such as "3 done, 2 running, 7 waiting; best rel_l2 1.2e-03: lr=0.01"."""
    states = list(states)
    counts = Counter(state.what for state in states)
    told = ", ".join(f"{counts[what]:,} {what}" for what in STATES if counts[what])
    done = [state for state in states if state.what == "done" and state.headline]
    if not done:
        return told
    best = min(done, key=lambda state: state.headline[1])
    name, value = best.headline
    return f"{told}; best {name} {value:.2e}: {best.run.name}"


def _line(state: Any) -> str:
    where = f"step {state.step:,} of {state.run.config.steps:,}"
    value = "" if state.headline is None else f", {state.headline[0]} {state.headline[1]:.2e}"
    why = "" if state.failure is None else f": {state.failure}"
    return f"{state.what:8} {state.run.name}: {where}{value}{why}"


def _show_groups(states: Iterable[Any]) -> None:
    """Median and range over the seeds, the best first."""
    found = engine.sweep_groups(states)
    if not found:
        return
    click.echo(f"{found[0].quantity}, median of the seeds (smallest to largest):")
    for group in found[:SHOWN]:
        own = ", ".join(f"{key} = {value}" for key, value in group.values.items()) or "all"
        spread = f" ({group.low:.2e} to {group.high:.2e})" if group.count > 1 else ""
        lacking = f" of {group.counted} runs" if group.count < group.planned else ""
        click.echo(f"  {group.middle:.2e}{spread}{lacking}  {own}")
    if len(found) > SHOWN:
        click.echo(f"  and {len(found) - SHOWN:,} more")


class _Lines(engine.Watching):
    """A line for every run that ends, for logs."""

    def checked(self, count: int, total: int) -> None:
        if count == total:
            click.echo(f"{total:,} unlike configurations are sound")

    def ended(self, state: Any, count: int, total: int) -> None:
        click.echo(f"{count:,}/{total:,} {_line(state)}, {state.seconds:.0f} s")

    def close(self) -> None:
        """Nothing is open."""


class _Table(_Lines):
    """The runs that train, drawn again and again, for terminals."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(auto_refresh=False)
        self._next = 0.0

    def look(self, sweep: Any) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        found = engine.sweep_states(sweep)
        table = Table(box=None)
        for heading in ("run", "step", "of", "value"):
            table.add_column(heading, justify="left" if heading == "run" else "right")
        for state in found:
            if state.what == "running":
                value = "" if state.headline is None else f"{state.headline[1]:.2e}"
                steps = f"{state.step:,}", f"{state.run.config.steps:,}"
                table.add_row(state.run.name, *steps, value)
        if not self._live.is_started:
            self._live.start()
        self._live.update(Group(Text(_counted(found)), table), refresh=True)

    def ended(self, state: Any, count: int, total: int) -> None:
        if state.what == "failed":
            self._live.console.print(_line(state), markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()
