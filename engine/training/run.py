"""A configuration trained, or a run that was trained opened; stopped by a signal."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli
import torch
from attrs import evolve
from numpy.typing import ArrayLike, NDArray

from pinn.core.blame import blaming
from pinn.core.domain import Shape
from pinn.core.errors import PinnError, TrainingError
from pinn.core.records import Records
from pinn.core.reference import Reference
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.directory import RunDirectory, of_run
from pinn.engine.configuration.reader import parse_config
from pinn.engine.configuration.watched import Watched
from pinn.engine.training.alike import check_shares
from pinn.engine.training.build import number_format
from pinn.engine.training.checkpoint import (
    best_of,
    check_belongs,
    newest_whole,
    read_best,
)
from pinn.engine.training.compilation import wanted
from pinn.engine.training.evaluation import Evaluator
from pinn.engine.training.exported import EXPORTED, export_function
from pinn.engine.training.mesh import write_mesh
from pinn.engine.training.processes import ALONE, Processes
from pinn.engine.training.progress import Reporter
from pinn.engine.training.ready import apart_for, built, ready, unfitting
from pinn.engine.training.replicas import Replicas
from pinn.engine.training.results import write_results
from pinn.engine.training.signals import stop_signals
from pinn.engine.training.together import together
from pinn.engine.training.trainer import Trainer

if TYPE_CHECKING:
    import pandas


LARGE = 10**7
"""Weights times parameters of a run that is over whose memory is looked for at once.

What compiled steps hold goes in circles: a loop of such runs would hold gigabytes."""


def train(
    config: Config,
    reporter: Reporter | None = None,
    report: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Run:
    """Train to the end, continuing what an earlier call left off, and write all results.

    On SIGINT, SIGTERM or SIGHUP the step is finished and saved, and the run comes back with `complete`
    False.

    Args:
        report: draw report and figures, too, which takes seconds.
        stop: asked after every step; what it says has the same effect as a signal.

    Raises:
        PinnError: the configuration or the directory is not usable, or it is of several seeds.
        TrainingError: the loss is not finite, a part of a plugin fails, or a file cannot be written.
    """
    if config.run.seeds > 1:
        raise PinnError(
            f"[run] seeds: {config.run.seeds} runs, which `pinn run` and train_seeds train together"
        )
    _collect(_train_and_write(config, reporter or Reporter(), report, stop))
    return Run(RunDirectory(config.directory), config)


def _train_and_write(
    config: Config, reporter: Reporter, report: bool, stop: Callable[[], bool]
) -> int:
    """The size of what was trained: weights times parameters."""
    training = trained(config, reporter, stop)
    with training as trainer, blaming(lambda: trainer.state.step):
        if trainer.processes.first:
            write_results(trainer, report)
        return _size(trainer)


def _size(trainer: Trainer) -> int:
    parameters = sum(p.numel() for p in trainer.state.module.parameters())
    return parameters * trainer.state.weights.numel()


def _collect(size: int) -> None:
    """Free what runs of so much size held, where that is worth the time."""
    if size > LARGE:
        gc.collect()


@contextmanager
def trained(
    config: Config, reporter: Reporter, stop: Callable[[], bool] = lambda: False
) -> Iterator[Trainer]:
    """Train as `train` does, but write no results; the directory is held until the block ends."""
    count = config.run.processes
    check_shares(count, config)
    with (
        together(count, _help, config.toml()) as processes,
        _trained_by(processes, config, reporter, stop) as trainer,
    ):
        yield trainer


def _help(processes: Processes, toml: str) -> None:
    """Compute a share of what another process trains."""
    config = parse_config(tomli.loads(toml))
    with _trained_by(processes, config, Reporter(), lambda: False):
        pass


@contextmanager
def _trained_by(
    processes: Processes, config: Config, reporter: Reporter, stop: Callable[[], bool]
) -> Iterator[Trainer]:
    with _notes_for_warnings(reporter) as warned, ready(processes, config, reporter) as trainer:
        with stop_signals() as signalled:
            reporter.begin(trainer.state.step, config.steps)
            try:
                trainer.run(
                    lambda: signalled() or stop(), lambda: blaming(lambda: trainer.state.step)
                )
            finally:
                reporter.end()
        trainer.evaluator.notes += warned
        yield trainer


@contextmanager
def _notes_for_warnings(reporter: Reporter) -> Iterator[list[str]]:
    """Show a warning once, as a note; gives the list of them, which grows."""
    shown: list[str] = []

    def show(message: Warning | str, *_: Any) -> None:
        if str(message) not in shown:
            shown.append(str(message))
            reporter.note(f"note: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        # Fewer digits are nobody's wish here.
        warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
        yield shown


def train_seeds(
    config: Config,
    reporter: Reporter | None = None,
    report: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> list[Run]:
    """Train as `train` does, for each of the seeds of the configuration, their steps in one batch.

    Run number k has the seed `run.seed` + k, its numbers are those that it has alone, to rounding, and
    its directory is `seed=…` in that of the configuration. Steps are made together where the optimizer
    moves every number by its own gradient (Adam and its kin), and between measurements; of other
    optimizers each run makes its own.

    Args:
        reporter: is told how the first run goes, and of those that fail.

    Raises:
        PinnError: as of `train`; of several processes.
        TrainingError: one of the runs failed; the others have come to their ends.
    """
    if config.run.processes > 1:
        raise PinnError("[run] seeds and processes: one of the two can be more than 1")
    configs = [_of_seed(config, config.run.seed + k) for k in range(config.run.seeds)]
    size, failures = _train_together(configs, reporter or Reporter(), report, stop)
    _collect(size)
    for name, error in failures.items():
        raise TrainingError(f"{name}: {error}") from error
    return [Run(RunDirectory(each.directory), each) for each in configs]


def _train_together(
    configs: Sequence[Config], reporter: Reporter, report: bool, stop: Callable[[], bool]
) -> tuple[int, dict[str, Exception]]:
    """The size of all together, and what ended those that failed, by the names of their directories."""
    failures: dict[str, Exception] = {}

    def failed(trainer: Trainer, error: Exception) -> None:
        name = trainer.config.directory.name
        failures[name] = error
        reporter.note(f"{name} failed: {error}")

    with _notes_for_warnings(reporter) as warned, ExitStack() as stack, stop_signals() as signalled:
        trainers = [
            stack.enter_context(ready(ALONE, each, Reporter() if k else reporter, compiled=False))
            for k, each in enumerate(configs)
        ]
        first = trainers[0]
        steps, device = first.config.steps, first.state.weights.device
        compiled, how = wanted(first.config.run.compile, steps, device)
        reporter.note(f"{len(trainers)} seeds in one batch, {how}")
        reporter.begin(first.state.step, steps)
        try:
            Replicas(trainers, compiled).run(
                lambda: signalled() or stop(), lambda t: blaming(lambda: t.state.step), failed
            )
        finally:
            reporter.end()
        for trainer in (t for t in trainers if t.config.directory.name not in failures):
            trainer.evaluator.notes += warned
            with blaming():
                write_results(trainer, report)
        return sum(map(_size, trainers)), failures


def _of_seed(config: Config, seed: int) -> Config:
    alone = evolve(config, run=evolve(config.run, seed=seed, seeds=1))
    return alone.in_directory(config.directory / f"seed={seed}")


def open_run(directory: str | Path, best: bool = False) -> Run:
    """Open a run directory.

    Args:
        best: its network is that of best.pt, whose loss was the smallest of all that were saved on time,
            not that of the newest checkpoint.

    Raises:
        PinnError: there is no run; with `best`, it has no best.pt yet.
    """
    found = Run(RunDirectory(Path(directory)), best=best)
    if best:
        best_of(found.path / "checkpoints")
    return found


class Run:
    """A run that was trained, wholly or in part: its configuration, metrics and network.

    What was measured is there also where a part of the run is not installed; `config`, `network`,
    `predict` and `train` need all of them.

    Of a loop that was trained elsewhere and watched there is no network, only what was measured.

    >>> run = open_run("runs/allen-cahn")
    >>> steps, error = run.metrics()["rel_l2.u"]
    >>> run.predict(x=[0.0, 0.5], t=[1.0, 1.0])["u"]
    """

    def __init__(
        self, directory: RunDirectory, config: Config | None = None, best: bool = False
    ) -> None:
        directory.read_table()
        self._directory = directory
        self._config: Config | Watched | None = config
        self._best = best
        self.path = directory.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}{', best=True' * self._best})"

    @property
    def config(self) -> Config | Watched:
        """What was trained, every default written out.

        Raises:
            ConfigError: `pinn.toml` names what is not installed.
        """
        if self._config is None:
            self._config = self._directory.read_config()
        return self._config

    @property
    def summary(self) -> dict[str, Any]:
        """What `summary.json` says; empty while the run trains for the first time."""
        return self._directory.read_summary()

    @property
    def complete(self) -> bool:
        return bool(self.summary.get("complete"))

    def metrics(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """{quantity: (steps, values)}"""
        return self._records().arrays()

    def frame(self) -> pandas.DataFrame:
        """What was recorded as a table: one row a step, one column a quantity, NaN where not measured.

        >>> open_run("runs/allen-cahn").frame()["rel_l2"].dropna().plot(loglog=True)

        Raises:
            PinnError: pandas is not installed.
        """
        return self._records().frame()

    def _records(self) -> Records:
        """What was recorded; warns of what stands in the file and is no record."""
        records = self._directory.records()
        for text in records.damage:
            warnings.warn(f"{records.path}: {text}, and left out", stacklevel=3)
        return records

    @property
    def domain(self) -> Shape:
        """The domain of the problem that was trained."""
        return self._trained_here.problem.domain

    def network(self) -> torch.nn.Module:
        """The network with the parameters of the newest checkpoint, or of the best one."""
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

        Raises:
            PinnError: a coordinate is missing or unknown, or these are no numbers of such a shape.
        """
        arrays = _places(self._trained_here.problem.domain.names, points, coordinates)
        module, evaluator = self._evaluated()
        with apart_for(self._trained_here):
            found = evaluator.at(module, np.stack([a.ravel() for a in arrays], axis=1))
        return {name: value.reshape(arrays[0].shape) for name, value in found.items()}

    def on_grid(self) -> Reference:
        """The observables on the evaluation grid, which is that of the reference, if there is one."""
        module, evaluator = self._evaluated()
        with apart_for(self._trained_here):
            return Reference(evaluator.grid.coordinates, evaluator.on_grid(module))

    def export(self, path: str | Path, mesh: str | Path | None = None) -> None:
        """Write what was trained for other programs; the ending of `path` says how.

        - `.pt2`: a program of `torch.export`, which needs torch alone: coordinates (n, dimension) to
          fields (n, fields), scales and ansatz included, for any n, in the precision of the run; a
          complex field is two.
        - `.onnx`: the same function, for the runtimes of ONNX.
        - `.vtu`, `.vtk` and what else meshio writes: the observables at the points of a mesh.

        Args:
            mesh: a file that meshio reads, whose coordinates are those of the domain in their order; by
                default the evaluation grid.

        Raises:
            PinnError: the ending is unknown, a package is missing, or the network or mesh does not fit.
        """
        path = Path(path)
        if path.suffix in EXPORTED:
            if mesh is not None:
                raise PinnError(f"{path}: holds a function; a mesh belongs to .vtu and its like")
            module, _ = self._evaluated()
            config = self._trained_here
            with apart_for(config):
                export_function(path, config.problem, module, number_format(config.run.precision))
        else:
            write_mesh(path, self, None if mesh is None else Path(mesh))

    def train(self, more_steps: int = 0, reporter: Reporter | None = None) -> Run:
        """Continue training from the newest checkpoint, the last stage by `more_steps` longer.

        Raises:
            PinnError: the last stage is over because of its `until`.
        """
        config = self._trained_here
        *stages, last = config.stages
        saved, _ = newest_whole(self._directory.checkpoints, of_run(config))
        if more_steps and saved and saved["stage"] == len(stages) and saved["stage_over"]:
            raise PinnError(
                f"{self.path}: the last stage ended at step {saved['step']:,}, as its until = "
                f"{last.options.until!r} says, so that more steps would change nothing; start a run "
                "with another `until`, or with a further stage, in another directory"
            )
        longer = evolve(last, options=evolve(last.options, steps=last.steps + more_steps))
        return train(evolve(config, stages=(*stages, longer)), reporter)

    @property
    def _trained_here(self) -> Config:
        if isinstance(self.config, Watched):
            raise PinnError(
                f"{self.path}: was trained elsewhere and watched: its network is not kept here, so that "
                "it can neither be evaluated nor trained; metrics() and summary hold what was measured"
            )
        return self.config

    def _evaluated(self) -> tuple[torch.nn.Module, Evaluator]:
        config = self._trained_here
        saved = self._saved(config)
        config = evolve(config, run=evolve(config.run, device="cpu"))
        with apart_for(config):
            module, _, evaluator = built(config)
        try:
            module.load_state_dict(saved["module"])
        except (KeyError, RuntimeError) as error:
            raise unfitting(self._directory, error) from error
        return module, evaluator

    def _saved(self, config: Config) -> dict[str, Any]:
        folder = self._directory.checkpoints
        if self._best:
            best = read_best(folder)
            check_belongs(best_of(folder), best, of_run(config))
            return best
        saved, _ = newest_whole(folder, of_run(config))
        if saved is None:
            raise PinnError(f"{self.path}: has no checkpoint yet")
        return saved


def _places(
    names: tuple[str, ...], points: ArrayLike | None, coordinates: Mapping[str, ArrayLike]
) -> list[NDArray[np.float64]]:
    """The coordinates of places in the order of `names`, of one shape."""
    if points is None and set(coordinates) != set(names):
        raise PinnError(f"predict needs the coordinates {', '.join(names)}")
    try:
        if points is None:
            given = (np.asarray(coordinates[name], float) for name in names)
            return list(np.broadcast_arrays(*given))
        table = np.asarray(points, float)
    except (TypeError, ValueError) as error:
        raise PinnError(f"predict needs numbers: {error}") from error
    if table.ndim != 2 or table.shape[1] != len(names):
        raise PinnError(f"predict needs points of shape (n, {len(names)}), found {table.shape}")
    return list(table.T)
