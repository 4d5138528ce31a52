"""`pinn phases`: the phases in a recorded trace, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from attrs import asdict

from pinn.analyzers.phases_detection import Phases

ALSO_CALLED = {"total_diffusion": "diffusion equilibrium"}


@click.command("phases")
@click.argument("trace", type=click.Path(path_type=Path))
def phases(trace: Path) -> None:
    """Find the phases of learning in TRACE and print them as JSON.

    TRACE is a CSV file with the columns step, gradient_mean_norm and gradient_std_norm, the
    metrics.jsonl of a run, or its directory. What else is known counts too: snr.pde,
    residual_order.rba.neighbours (or weight_cell_mean and weight_cell_rms), rel_l2, loss.unweighted
    (or loss).
    """
    from pinn.analyzers.phases_traces import read_trace

    click.echo(json.dumps(as_document(read_trace(trace).phases()), indent=2))


def as_document(found: Phases) -> dict[str, Any]:
    """{"transitions": [{"to": …, "step": …, "announced": …, …}], "phase": …, "notes": […]}"""
    transitions = []
    for transition in found.transitions:
        document = asdict(transition)
        if transition.to in ALSO_CALLED:
            document["also_called"] = ALSO_CALLED[transition.to]
        transitions.append(document)
    return {"transitions": transitions, "phase": found.last, "notes": list(found.notes)}
