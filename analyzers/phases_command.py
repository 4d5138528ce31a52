"""`pinn phases`: the phases in a recorded trace, as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import asdict

from pinn.analyzers.phases_traces import Trace, read_trace
from pinn.analyzers.phases_transition import abruptness

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
    click.echo(json.dumps(as_document(read_trace(trace)), indent=2, ensure_ascii=False))


def as_document(trace: Trace) -> dict[str, Any]:
    """{"transitions": [{"to": …, "step": …, "announced": …, …}], "phase": …, "notes": […]}

    `snr` of a transition is how abruptly the SNR changes there; null is a number that cannot be known.
    """
    found, transitions = trace.phases(), []
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = trace.mean_norm / trace.std_norm
    for transition in found.transitions:
        document = asdict(transition)
        shape = asdict(abruptness(trace.steps, snr, transition.step))
        document["snr"] = {n: round(v, 4) if math.isfinite(v) else None for n, v in shape.items()}
        if transition.to in ALSO_CALLED:
            document["also_called"] = ALSO_CALLED[transition.to]
        transitions.append(document)
    return {
        "transitions": transitions,
        "phase": found.last,
        "notes": [*found.notes, *trace.left_out],
    }
