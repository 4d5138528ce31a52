"""What a run leaves behind at its end: predictions, summary, report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn.core.blame import failures
from pinn.core.problem import Reference
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training.checkpoint import cannot_write, write_atomically
from pinn.engine.training.trainer import Trainer


def write_results(trainer: Trainer) -> None:
    """Write `predictions.npz`, `summary.json`, `report.html` and `figures/`.

    Raises:
        TrainingError: a file cannot be written.
    """
    directory, evaluator = trainer.directory, trainer.evaluator
    write_predictions(directory, evaluator.grid, evaluator.on_grid(trainer.state.module))
    write_atomically(directory.summary, json.dumps(_summary(trainer), indent=2).encode())

    trainer.reporter.note("drawing the report")
    from pinn.engine.reporting.report import write_report  # now: matplotlib is slow to load

    write_report(directory, trainer.config, trainer.records)


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
    temporary = directory.predictions.with_suffix(".tmp.npz")
    try:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(directory.predictions)
    except OSError as error:
        raise cannot_write(directory.path, error) from error


def _summary(trainer: Trainer) -> dict[str, Any]:
    state, seconds = trainer.state, trainer.state.seconds
    last = trainer.records.rows[-1] if trainer.records.rows else {}
    training = seconds.get("training", 0.0)
    return {
        "problem": trainer.config.problem.name,
        "complete": trainer.done,
        "steps": state.step,
        "parameters": sum(p.numel() for p in state.module.parameters()),
        "final": {name: value for name, value in last.items() if not isinstance(value, list)},
        "failures": {
            o.analyzer.name: texts
            for o in trainer.config.observers
            if (texts := failures(o.analyzer.name, trainer.records))
        },
        "seconds": seconds,
        "steps_per_second": state.step / training if training else None,
    }
