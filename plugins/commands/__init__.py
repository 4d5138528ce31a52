"""The commands of `pinn`; what is slow to load, each imports when it is called."""

from collections.abc import Sequence

import click

from pinn.core import hookimpl
from pinn.plugins.commands.export import export
from pinn.plugins.commands.parts import describe, list_parts
from pinn.plugins.commands.predict import predict
from pinn.plugins.commands.reports import compare, diagnose, reference, report
from pinn.plugins.commands.run import check, run
from pinn.plugins.commands.scaffold import init, new
from pinn.plugins.commands.sweep import sweep


@hookimpl
def pinn_commands() -> Sequence[click.Command]:
    return [
        run,
        check,
        sweep,
        list_parts,
        describe,
        init,
        new,
        report,
        diagnose,
        compare,
        predict,
        export,
        reference,
    ]
