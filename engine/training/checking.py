"""Whether a configuration can be trained, found out without training."""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import TemporaryDirectory

import torch
from attrs import evolve, frozen

from pinn.core.blame import blaming
from pinn.core.domain import PointSet
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.parts import Optimizer
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.training.alike import check_shares
from pinn.engine.training.evaluation import Evaluator
from pinn.engine.training.objective import Objective
from pinn.engine.training.progress import Reporter
from pinn.engine.training.ready import apart_for, built, check_reference, drawn_points, start
from pinn.engine.training.run import trained
from pinn.engine.training.state import initial_weights
from pinn.engine.training.undefined import is_finite, undefined


def check(config: Config) -> tuple[torch.nn.Module, Objective, Evaluator]:
    """Build what the configuration describes and draw its points, without training.

    No optimizer is built: the part `torch` imports the class that a file names, which is to happen where
    it trains alone.

    Raises:
        PinnError: something in it does not work, its directory cannot be used or holds another run, or
            a stage waits for what nothing records.
    """
    check_shares(config.run.processes, config)
    with apart_for(config):
        module, objective, evaluator = built(config)
        directory = RunDirectory(config.directory)
        start(module, config, directory)
        with blaming():
            check_reference(config, evaluator)
            for points in drawn_points(config, config.stages, next(module.parameters())):
                _check_defined(config, objective, points)
        directory.check_usable()
        directory.check_same(config)
        _check_until(config)
    return module, objective, evaluator


def _check_defined(config: Config, objective: Objective, points: PointSet) -> None:
    """Loss and gradient have a value at these points before the first step."""
    weights = initial_weights(config.weighting, len(objective.equations.names), points.interior)
    first = objective.evaluate(objective.parameters, points, weights, update=False)
    if not is_finite(first):
        cause, where = undefined(objective, first, points)
        raise PinnError(f"{config.problem.name}: {cause} for the untrained network. {where}")


def _check_until(config: Config) -> None:
    """See that what stages wait for is recorded, by a step of a run that is thrown away.

    What has the first word of something that is recorded may come later, and so may what an analyzer
    records that has nothing to say at the first step.
    """
    waited = {place: s.until.quantity for place, s in enumerate(config.stages, 1) if s.until}
    wanted = {place: name for place, name in waited.items() if name and "loss" not in name}
    if not wanted:
        return
    first = config.stages[0]
    once = evolve(
        first, optimizer=_Still(), options=evolve(first.options, steps=1, until=None), until=None
    )
    with TemporaryDirectory() as folder:
        options = evolve(
            config.run, directory=folder, compile="never", tensorboard=False, processes=1
        )
        anew = evolve(config, run=options, stages=(once,), start=None)
        with trained(anew, Reporter()) as trainer:
            records = trainer.records
    if {observer.analyzer.name for observer in config.observers} - {*records.sources.values()}:
        return
    names = ["step", *records.names]
    words = {name.split(".")[0] for name in names}
    for place, name in wanted.items():
        if name.split(".")[0] not in words:
            raise PinnError(
                f"[[optimizers]] {place} until: nothing records {name!r}{nearest(name, names)}; "
                f"recorded are {one_of(names)}"
            )


@frozen
class _Still(Optimizer):
    """Moves nothing."""

    name = "still"

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.0)
