"""A run from configuration to results: train it, or open one that was trained."""

from __future__ import annotations

import json
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve
from numpy.typing import ArrayLike, NDArray

from pinn.core import figures
from pinn.core.checkpoint import cannot_write, write_atomically
from pinn.core.compilation import STEPS_THAT_PAY_FOR_BATCHES, compile_lazily, wanted
from pinn.core.config import Config
from pinn.core.device import choose_device, number_format
from pinn.core.errors import PinnError
from pinn.core.evaluation import Evaluator
from pinn.core.objective import Objective
from pinn.core.progress import Reporter, Silent
from pinn.core.records import Records
from pinn.core.rundir import RunDirectory
from pinn.core.state import State, build_module, initial_state
from pinn.core.training import Trainer


def prepare(config: Config) -> tuple[torch.nn.Module, Objective, Evaluator]:
    """Build what the configuration describes, without points or training.

    Raises:
        PinnError: an unknown device, equations that do not fit their problem, unknown factors, a
            network or an ansatz that fails.
    """
    device, dtype = choose_device(config.run.device), number_format(config.run.precision)
    module = build_module(config, dtype, device)
    objective = Objective(
        config.problem, module, config.weighting, dict(config.factors), config.points.options.chunk
    )
    evaluator = Evaluator(config.problem, dtype, device)
    _try(config, module, objective, evaluator)
    return module, objective, evaluator


def _try(
    config: Config, module: torch.nn.Module, objective: Objective, evaluator: Evaluator
) -> None:
    """Evaluate everything at two points, so that what does not work is known before training."""
    box = config.problem.domain
    points = np.array([[0.6, 0.4], [0.4, 0.6]]) @ np.array([box.lower, box.upper])
    try:
        evaluator.at(module, points)
        places = torch.as_tensor(points).to(next(module.parameters()))
        with torch.no_grad():
            objective.interior_residuals(objective.parameters, places)
    except (PinnError, MemoryError):
        raise
    except Exception as error:
        raise PinnError(
            f"{config.problem.name}, with network {config.network.name}, fails at a point: "
            f"{type(error).__name__}: {error}"
        ) from error


def train(config: Config, reporter: Reporter | None = None) -> Run:
    """Train to the end, continuing what an earlier call left off, and write all results.

    On SIGINT or SIGTERM the step is finished and saved, and the run comes back with `complete` False.

    Raises:
        PinnError: the configuration or the directory is not usable.
        TrainingError: the loss is not finite, or a file cannot be written.
    """
    reporter = reporter or Silent()
    directory = RunDirectory(config.directory)
    with directory.locked(), _notes_for_warnings(reporter):
        trainer = _trainer(config, directory, reporter)
        with _stop_signals() as stop:
            reporter.begin(trainer.state.step, config.steps)
            try:
                trainer.run(stop)
            finally:
                reporter.end()
        _write_results(trainer)
    return Run(directory)


def _trainer(config: Config, directory: RunDirectory, reporter: Reporter) -> Trainer:
    module, objective, evaluator = prepare(config)
    device = next(module.parameters()).device
    compiles, how = wanted(config.run.compile, config.steps, device)
    state = initial_state(config, module, objective)
    directory.claim(config, _device_name(device))
    saved, notes = directory.newest_state()
    records = Records(directory.metrics)
    for note in notes:
        reporter.note(note)
    if saved is not None:
        _restore(state, saved, config, directory)
    records.keep_until(state.step)
    count = sum(p.numel() for p in module.parameters())
    trainer = Trainer(config, state, objective, evaluator, directory, records, reporter)
    begun = f"continuing at step {state.step:,}" if state.step else "starting"
    if trainer.done:
        begun = f"all {state.step:,} steps are done already: nothing to train"
    reporter.note(
        f"{config.problem.name}: {count:,} parameters, {len(state.points.interior):,} points, "
        f"{_device_name(device)}, {config.run.precision}, {how}; {begun}"
    )
    if compiles:
        batches = config.steps >= STEPS_THAT_PAY_FOR_BATCHES
        objective.compiled(compile_lazily, batches)
        if not state.step:
            reporter.note("the first step compiles, which can take a minute")
    return trainer


def _restore(state: State, saved: dict[str, Any], config: Config, directory: RunDirectory) -> None:
    try:
        state.restore(saved, config)
    except (KeyError, RuntimeError, ValueError) as error:
        raise _unfitting(directory, error) from error


def _unfitting(directory: RunDirectory, error: Exception) -> PinnError:
    first, *_ = str(error).splitlines() or [type(error).__name__]
    return PinnError(
        f"{directory.checkpoints}: the checkpoint does not fit the configuration: {first}; a plugin "
        f"or this program has changed since. Set another directory, or delete {directory.path}"
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"CPU ({torch.get_num_threads()} threads)"


def _write_results(trainer: Trainer) -> None:
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
        shown = [o.analyzer.shows for o in trainer.config.observers if o.analyzer.shows]
        figures.draw(directory.figures, grid, predictions, trainer.records, shown)
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
        "seconds": seconds,
        "steps_per_second": state.step / training if training else None,
    }


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a wish to stop; a second one acts as usual."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        stopped.set()
        restore()

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped.is_set
    finally:
        restore()


@contextmanager
def _notes_for_warnings(reporter: Reporter) -> Iterator[None]:
    """Show a warning once, as a note."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            reporter.note(f"note: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def open_run(directory: str | Path) -> Run:
    """Open a run directory.

    Raises:
        PinnError: there is no run.
    """
    return Run(RunDirectory(Path(directory)))


class Run:
    """A run that was trained, wholly or in part: its configuration, metrics and network.

    >>> run = open_run("runs/allen-cahn")
    >>> steps, error = run.metrics()["rel_l2.u"]
    >>> run.predict(x=[0.0, 0.5], t=[1.0, 1.0])["u"]
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self.path = directory.path
        self.config = directory.read_config()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def summary(self) -> dict[str, Any]:
        """What `summary.json` says; empty while the run trains for the first time."""
        if not self._directory.summary.exists():
            return {}
        found: dict[str, Any] = json.loads(self._directory.summary.read_text(encoding="utf-8"))
        return found

    @property
    def complete(self) -> bool:
        return bool(self.summary.get("complete"))

    def metrics(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """{quantity: (steps, values)}"""
        return Records(self._directory.metrics).arrays()

    def network(self) -> torch.nn.Module:
        """The network with the parameters of the newest checkpoint."""
        return self._evaluated()[0]

    def predict(
        self, points: ArrayLike | None = None, /, **coordinates: ArrayLike
    ) -> dict[str, NDArray[np.float64]]:
        """The observables at arbitrary points.

        Args:
            points: (n, dimension), in the order of the domain; or
            coordinates: one array each, broadcast against each other.

        Returns:
            {observable: array in the shape of the coordinates, (n,) for points}
        """
        names = self.config.problem.domain.names
        if points is None:
            if set(coordinates) != set(names):
                raise PinnError(f"predict needs the coordinates {', '.join(names)}")
            arrays = list(np.broadcast_arrays(*(np.asarray(coordinates[n], float) for n in names)))
        else:
            table = np.asarray(points, float)
            if table.ndim != 2 or table.shape[1] != len(names):
                raise PinnError(
                    f"predict needs points of shape (n, {len(names)}), found {table.shape}"
                )
            arrays = list(table.T)
        module, evaluator = self._evaluated()
        found = evaluator.at(module, np.stack([a.ravel() for a in arrays], axis=1))
        return {name: value.reshape(arrays[0].shape) for name, value in found.items()}

    def train(self, more_steps: int = 0, reporter: Reporter | None = None) -> Run:
        """Continue training, the last stage by `more_steps` longer."""
        *stages, last = self.config.stages
        longer = evolve(last, steps=last.steps + more_steps)
        return train(evolve(self.config, stages=(*stages, longer)), reporter)

    def _evaluated(self) -> tuple[torch.nn.Module, Evaluator]:
        saved, _ = self._directory.newest_state()
        if saved is None:
            raise PinnError(f"{self.path}: has no checkpoint yet")
        config = evolve(self.config, run=evolve(self.config.run, device="cpu"))
        module, _, evaluator = prepare(config)
        try:
            module.load_state_dict(saved["module"])
        except (KeyError, RuntimeError) as error:
            raise _unfitting(self._directory, error) from error
        return module, evaluator
