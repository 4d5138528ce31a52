"""What a run leaves behind at its end: predictions, summary, report."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinn.core.checkpoint import cannot_write, write_atomically
from pinn.core.training import Trainer


def write_results(trainer: Trainer) -> None:
    """Write `predictions.npz`, `summary.json`, `report.html` and `figures/`.

    Raises:
        TrainingError: a file cannot be written.
    """
    directory, evaluator, state = trainer.directory, trainer.evaluator, trainer.state
    predictions = evaluator.on_grid(state.module)
    grid = evaluator.grid
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
        write_atomically(directory.summary, json.dumps(_summary(trainer), indent=2).encode())
    except OSError as error:
        raise cannot_write(directory.path, error) from error

    trainer.reporter.note("drawing the report")
    from pinn.core.reporting.report import write_report  # now: matplotlib is slow to load

    write_report(directory, trainer.config, trainer.records)


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
        "seconds": seconds,
        "steps_per_second": state.step / training if training else None,
    }
