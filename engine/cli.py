"""The command `pinn`: errors as messages, its commands from the registry."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import copy
from pathlib import Path
from typing import Any

import click

from pinn.core.blame import as_message
from pinn.core.discovery import registry
from pinn.core.errors import PinnError, nearest, out_of_memory, printable
from pinn.core.tracebacks import places
from pinn.engine.output import unfailing

TRAINING = re.compile(r"pinn\.(engine\.(training|derivatives)|plugins)\.")
"""Modules whose memory grows with the points and the network."""
LESS_MEMORY = "fewer points, points.chunk or a smaller network need less"

SPINS = "1000"
"""Turns that a waiting OpenMP thread makes before it sleeps; GNU's default is some 10^10 of them.

Where another process wants a core, a spinning thread keeps it from the very thread it waits for: a step
of 60 ms then took up to 1,500 ms. With this it took 78 ms, and as long as ever on a quiet machine.
"""


def main() -> None:
    """The entry point of the command."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    sys.stdout, sys.stderr = unfailing(sys.stdout), unfailing(sys.stderr)
    if _rank():  # of the processes of a run the first speaks for all
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            commands()
    else:
        commands()


def _rank() -> int:
    """The number of this process among those that torchrun began."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


@contextmanager
def _messages(file: object = None) -> Iterator[None]:
    """Show errors that the user can mend, and those of plugins, as messages without a traceback.

    Args:
        file: the configuration that the command reads, which messages about its sections then name.
    """
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        if os.environ.get("PINN_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exception(error)
        about = f"{file}: " if file is not None and str(message).startswith("[") else ""
        whose = f"process {_rank()}: " if _rank() else ""
        click.echo(f"{whose}error: {printable(f'{about}{message}')}", err=True)
        raise SystemExit(message.exit_status) from None


def _message(error: Exception) -> PinnError | None:
    """What to say of it; None where this program is at fault."""
    if out_of_memory(error) and not isinstance(error, PinnError):
        first, *_ = str(error).splitlines() or ["no more memory"]
        training = any(TRAINING.match(place.module) for place in places(error))
        return PinnError(f"out of memory: {first}" + (f"; {LESS_MEMORY}" if training else ""))
    return as_message(error)


class _Commands(click.Group):
    """The commands that plugins offer."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        with _messages():
            return sorted(registry().commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        with _messages():
            offered = registry().commands.get(cmd_name)
        return _with_messages(offered[0].command) if offered else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is called: offered by one plugin, and by one alone."""
        name = args[0]
        with _messages():
            of_plugins = registry().commands.items()
            self.commands = {n: offered[0].command for n, offered in of_plugins}  # for near names
            if registry().find_command(name) is None:
                suspects = registry().suspects()
                if suspects and not name.startswith("-"):
                    close = nearest(name, self.list_commands(ctx))
                    raise PinnError("\n".join([f"no command is called {name!r}{close}", *suspects]))
        return super().resolve_command(ctx, args)


def _with_messages(command: click.Command) -> click.Command:
    guarded = copy(command)

    def invoke(context: click.Context) -> Any:
        with _messages(context.params.get("file")):
            return command.invoke(context)

    guarded.invoke = invoke  # type: ignore[method-assign, assignment]
    return guarded


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pinn-dynamics", prog_name="pinn")
def commands() -> None:
    """Train physics-informed neural networks and see how they learn."""
