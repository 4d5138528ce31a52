"""What a configuration describes, made ready for its next step, be it the first or a later one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from pinn.core.blame import blaming, explained_closely
from pinn.core.discovery import registry
from pinn.core.domain import PointSet
from pinn.core.errors import PinnError, one_of
from pinn.core.records import Records
from pinn.engine.configuration.config import Config, Stage
from pinn.engine.configuration.directory import RunDirectory, of_run
from pinn.engine.training.alike import check_alike, check_devices, check_shares, held
from pinn.engine.training.build import build, device_name, number_format
from pinn.engine.training.checkpoint import (
    newest_first,
    newest_whole,
    set_aside,
)
from pinn.engine.training.compilation import STEPS_THAT_PAY_FOR_BATCHES, compile_lazily, wanted
from pinn.engine.training.environment import edited, environment, first_sources
from pinn.engine.training.evaluation import Evaluator
from pinn.engine.training.objective import Objective
from pinn.engine.training.observing import Observing
from pinn.engine.training.processes import ALONE, Processes
from pinn.engine.training.progress import Reporter
from pinn.engine.training.sampling import draw_points
from pinn.engine.training.start import start_from
from pinn.engine.training.state import State, build_optimizer, initial_state
from pinn.engine.training.threads import no_more_than_cores
from pinn.engine.training.trainer import Trainer
from pinn.engine.training.undisturbed import apart

if TYPE_CHECKING:
    from pinn.engine.training.tensorboard import TensorBoard


def prepare(config: Config) -> tuple[torch.nn.Module, Objective, Evaluator]:
    """Build what the configuration describes, without points or training.

    Raises:
        PinnError: something in it does not work.
    """
    with apart_for(config):
        module, objective, evaluator = built(config)
        if config.start is not None:
            start_from(module, config.problem, config.start)
    return module, objective, evaluator


@contextmanager
def ready(
    processes: Processes, config: Config, reporter: Reporter, compiled: bool = True
) -> Iterator[Trainer]:
    """What is to be trained, its directory held.

    Args:
        compiled: whether its own steps may be compiled.
    """
    check_alike(processes, config)
    check_shares(processes.count, config)
    new_board = _tensorboard() if config.run.tensorboard and processes.first else None
    with held(processes, config) as directory, apart_for(config, processes.count):
        trainer = _trainer(config, directory, reporter, processes, compiled)
        board = new_board(trainer) if new_board else None
        yield trainer
        if board is not None:
            board.end()
        processes.told(None)  # all that the first one writes is there


def _tensorboard() -> type[TensorBoard]:
    """What writes for TensorBoard.

    Raises:
        PinnError: the package `tensorboard` is missing.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise PinnError(
            "[run] tensorboard = true needs the package tensorboard: "
            "pip install 'pinn-dynamics[tensorboard]'"
        ) from error
    from pinn.engine.training.tensorboard import TensorBoard

    return TensorBoard


def _trainer(
    config: Config,
    directory: RunDirectory,
    reporter: Reporter,
    processes: Processes,
    compiled: bool,
) -> Trainer:
    """Ready for the next step, be it the first or one that an earlier call left off at."""
    module, objective, evaluator = built(config, processes)
    device = next(module.parameters()).device
    check_devices(processes, device)
    started = start(module, config, directory)
    state = _first_state(config, module, objective, evaluator)
    compiles, how = wanted(config.run.compile, config.steps, device)
    if not compiled:
        compiles, how = False, "one of several seeds"
    directory.make_way(config)
    records = _take_up(state, config, directory, reporter)
    where = device_name(device) + (f", {processes.count} processes" if processes.count > 1 else "")
    sources = _describe(config, directory, where)
    records.keep_until(state.step)
    observing = Observing(
        config.observers, records, reporter, explained_closely, state.memories, state.seconds
    )
    if compiles:
        compiler = partial(compile_lazily, took=observing.compiled)
        objective.compiled(compiler, config.steps >= STEPS_THAT_PAY_FOR_BATCHES)
    trainer = Trainer(config, state, objective, evaluator, directory, observing)
    changed = edited(sources, config.parts)
    if changed and state.step:
        _tell_edited(one_of(changed), directory, trainer.done, reporter)
    _announce(trainer, where, how, started)
    if compiles and not trainer.done:
        reporter.note(
            "the first step compiles: a minute or two, seconds where an earlier run has done it"
        )
    return trainer


@blaming()
def _first_state(
    config: Config, module: torch.nn.Module, objective: Objective, evaluator: Evaluator
) -> State:
    """What moves, as it is before the first step; what later stages need is tried, not hours later."""
    check_reference(config, evaluator)
    state = initial_state(config, module, len(objective.equations.names))
    for stage in config.stages[1:]:
        build_optimizer(stage.optimizer, module)
    first, *later = config.stages
    seen = first.points.interior, first.within, first.sampler
    others = [s for s in later if (s.points.interior, s.within, s.sampler) != seen]
    list(drawn_points(config, others, state.points.interior))
    return state


def _take_up(state: State, config: Config, directory: RunDirectory, reporter: Reporter) -> Records:
    """Go on where an earlier call left off, if one did; what was recorded."""
    saved, corrupt = newest_whole(directory.checkpoints, of_run(config))
    records = directory.records()
    if saved is not None:
        with blaming():
            _restore(state, saved, config, directory)
    elif records.rows:
        raise PinnError(
            f"{directory.checkpoints}: has no checkpoint, although {directory.metrics.name} goes to "
            f"step {records.rows[-1]['step']:,}: put back what was there, or delete {directory.path} to "
            "start again"
        )
    for path in corrupt:
        reporter.note(f"{path.name} is corrupt: continuing at step {state.step:,}")
    set_aside(corrupt)
    for missing in _check_records(records, state, config):
        reporter.note(missing)
    if records.damage:
        reporter.note(directory.set_damage_aside(records))
    return records


def _announce(trainer: Trainer, where: str, how: str, started: int | None) -> None:
    """Say what is trained, where and how; `started`: the step of the network that it starts from."""
    config, state = trainer.config, trainer.state
    begun = f"continuing at step {state.step:,}" if state.step else "starting"
    if started is not None:
        begun = f"starting from the network of {config.start}, as it was at step {started:,}"
    if trainer.done:
        begun = f"all {state.step:,} steps are done already: nothing to train"
    count = sum(p.numel() for p in state.module.parameters())
    trainer.reporter.note(
        f"{config.problem.name}: {count:,} parameters, {len(state.points.interior):,} points, "
        f"{where}, {config.run.precision}, {how}; {begun}"
    )
    for note in trainer.evaluator.notes:
        trainer.reporter.note(f"note: {note}")


@blaming()
def built(
    config: Config, processes: Processes = ALONE
) -> tuple[torch.nn.Module, Objective, Evaluator]:
    return build(config, processes)


@contextmanager
def apart_for(config: Config, processes: int = 1) -> Iterator[None]:
    own = apart(number_format(config.run.precision), config.run.tf32)
    with no_more_than_cores(processes), own:
        yield


def start(module: torch.nn.Module, config: Config, directory: RunDirectory) -> int | None:
    """Start from another run's network, if that is wanted and this run has not begun yet.

    Returns:
        The step at which that network was saved; None where nothing was done.
    """
    if config.start is None or newest_first(directory.checkpoints):
        return None
    return start_from(module, config.problem, config.start)


def check_reference(config: Config, evaluator: Evaluator) -> None:
    origin = registry().origin_of(config.problem)
    if origin is None or not origin.built_in:  # those take seconds, and have their own tests
        evaluator.check_reference()


def drawn_points(config: Config, stages: Sequence[Stage], like: torch.Tensor) -> Iterator[PointSet]:
    """The points of these stages, once for each sampler, number of them and part of the domain."""
    alike = {(s.points.interior, str(s.within), str(s.sampler)): s for s in stages}
    for stage in alike.values():
        of_stage = config.points_of(stage)
        yield draw_points(config.problem, of_stage, config.run.seed, like, stage.within)


def _check_records(records: Records, state: State, config: Config) -> list[str]:
    """What of the records is missing.

    Raises:
        PinnError: something is, or is damaged, and a stage that is not over ends by what was recorded.
    """
    last = int(records.rows.steps[-1]) if records.rows else 0
    missing = []
    if last < state.step // config.run.record * config.run.record:
        missing = [f"it ends at step {last:,}, and training goes on at step {state.step:,}"]
    faults = [*records.damage[:1], *missing]
    if faults and any(stage.until for stage in config.stages[state.stage :]):
        raise PinnError(
            f"{records.path}: {'; '.join(faults)}. A stage ends by what was recorded (until), so that "
            "training would not end where it should: put the whole file back, or delete "
            f"{records.path.parent} to start again"
        )
    return [f"{records.path.name}: {text}" for text in missing]


def _describe(config: Config, directory: RunDirectory, device: str) -> dict[str, str]:
    """Write what the run is and is made with; returns the checksums of plugins when it began."""
    directory.checkpoints.mkdir(exist_ok=True)
    sources = first_sources(directory, config.parts)
    directory.describe(config, environment(device, config.parts) | {"sources": sources})
    return sources


def _tell_edited(edited: str, directory: RunDirectory, done: bool, reporter: Reporter) -> None:
    """Say that code of plugins has changed since the run began.

    Raises:
        PinnError: all steps were made with the old code, so that nothing of the new would be trained.
    """
    mend = f"set another directory with --set run.directory=…, or delete {directory.path}"
    if done:
        raise PinnError(
            f"{directory.path}: holds the finished run of another version of {edited}, which was "
            f"changed since; to train the new one, {mend}"
        )
    reporter.note(
        f"note: {edited} was changed since this run began, and its first steps are of the old "
        f"version; to begin anew, {mend}"
    )


def _restore(state: State, saved: dict[str, Any], config: Config, directory: RunDirectory) -> None:
    try:
        state.restore(saved, config.stages[saved["stage"]])
    except (KeyError, RuntimeError, ValueError) as error:
        raise unfitting(directory, error) from error


def unfitting(directory: RunDirectory, error: Exception) -> PinnError:
    first, *_ = str(error).splitlines() or [type(error).__name__]
    return PinnError(
        f"{directory.checkpoints}: the checkpoint does not fit the configuration: {first}; a plugin "
        f"or this program has changed since. Set another directory, or delete {directory.path}"
    )
