"""What a run leaves behind at its end: predictions, summary, report."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn.core.files import write_atomically
from pinn.core.reference import Reference
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training.observing import Observing
from pinn.engine.training.trainer import Trainer


def write_results(trainer: Trainer, report: bool = True) -> None:
    """Write `predictions.npz`, `summary.json` and, with `report`, `report.html` and `figures/`.

    Raises:
        TrainingError: a file cannot be written.
    """
    directory, evaluator, state = trainer.directory, trainer.evaluator, trainer.state
    write_predictions(directory, evaluator.grid, evaluator.on_grid(state.module))
    parameters = sum(p.numel() for p in state.module.parameters())
    problem = trainer.config.problem.name
    notes = evaluator.notes
    write_summary(
        directory, trainer.observing, problem, trainer.done, state.step, parameters, notes
    )
    if not report:
        return
    trainer.reporter.note("drawing the report")
    from pinn.engine.reporting.report import draw_report  # now: matplotlib is slow to load

    draw_report(directory, trainer.config, trainer.records)


def write_predictions(
    directory: RunDirectory, grid: Reference, predictions: Mapping[str, NDArray[Any]]
) -> None:
    """Write the observables on the grid beside its reference, and their differences.

    Raises:
        TrainingError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = dict(grid.coordinates)
    for name, value in predictions.items():
        arrays[name] = value
        if name in grid.fields:
            arrays[f"{name}_reference"] = grid.fields[name]
            arrays[f"{name}_error"] = value - grid.fields[name]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(directory.predictions, buffer.getvalue())


def write_summary(
    directory: RunDirectory,
    observing: Observing,
    problem: str,
    complete: bool,
    steps: int,
    parameters: int,
    notes: Sequence[str] = (),
) -> None:
    """Write `summary.json`: final values, failures of analyzers, times, notes."""
    records, seconds = observing.records, observing.seconds
    last = records.rows[-1] if records.rows else {}
    training = seconds.get("training", 0.0)
    failures = {o.analyzer.name: records.failures(o.analyzer.name) for o in observing.observers}
    summary = {
        "problem": problem,
        "complete": complete,
        "steps": steps,
        "parameters": parameters,
        "final": {name: value for name, value in last.items() if not isinstance(value, list)},
        "failures": {name: texts for name, texts in failures.items() if texts},
        "seconds": seconds,
        "steps_per_second": steps / training if training else None,
        "notes": [*notes],
    }
    write_atomically(directory.summary, json.dumps(summary, indent=2).encode())
