"""Everything that moves during training, as one thing that can be saved and restored."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from attrs import Factory, define, evolve
from torch import Tensor

from pinn.core.domain import PointSet
from pinn.core.errors import PartError, Whence, one_of
from pinn.core.parts import Analyzer, Optimizer, Weighting
from pinn.engine.configuration.config import Config, Stage
from pinn.engine.training.sampling import draw_points
from pinn.engine.training.trainable import train_only, trainable
from pinn.engine.training.undisturbed import global_state, restore_global_state

PLAIN = (
    "step",
    "stage",
    "stage_step",
    "stage_over",
    "draws",
    "pool",
    "rates",
    "best_loss",
    "seconds",
    "balance",
    "kept",
)
"""What a checkpoint holds of a state as it is."""
BY_NAME = ("memories", "balance_memory", "earlier")
"""And as tensors by name."""


@define
class State:
    """Between two steps: `step` steps are done, `stage_step` of them in stage number `stage`."""

    module: torch.nn.Module
    trainable: tuple[str, ...]
    """Names of the parameters of which a stage trains all, or some."""
    optimizer: torch.optim.Optimizer
    points: PointSet
    weights: Tensor
    memories: dict[str, Tensor]
    """What analyzers remember that follow every step, by name."""
    step: int = 0
    stage: int = 0
    stage_step: int = 0
    stage_over: bool = False
    """Whether the stage met its `until`."""
    draws: int = 1
    pool: Tensor | None = None
    """What the sampler remembers, on the CPU."""
    best_loss: float = float("inf")
    balance: dict[str, float] = Factory(dict)
    """What the weighting multiplies factors of the loss with, by name of the term."""
    balance_memory: dict[str, Tensor] = Factory(dict)
    """What the weighting remembers of that."""
    earlier: dict[str, Tensor] = Factory(dict)
    """The parameters that `q.earlier` sees, by name, where something asks for it."""
    kept: dict[str, Any] = Factory(dict)
    """Network and optimizer as they were when the points were drawn, where steps may be undone."""
    rates: Tensor | None = None
    """1/τ of the equations that advance in pseudo-time."""
    seconds: dict[str, float] = Factory(dict)
    """What training and each analyzer took, by name."""

    def to_checkpoint(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in PLAIN + BY_NAME},
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weights": self.weights,
            "interior": self.points.interior,
            "conditions": self.points.conditions,
            "random": global_state(),
        }

    def restore(self, saved: dict[str, Any], stage: Stage) -> None:
        """Become the state that `saved` holds, of this stage."""
        device = self.weights.device
        self.module.load_state_dict(saved["module"])
        if saved["stage"] != self.stage:
            train_only(self.module, self.trainable, stage.options.parameters)
            self.optimizer = build_optimizer(stage.optimizer, self.module)
        load_optimizer(self.optimizer, saved["optimizer"])
        self.points = PointSet(
            saved["interior"].to(device), {n: p.to(device) for n, p in saved["conditions"].items()}
        )
        self.weights = saved["weights"].to(device)
        for name in PLAIN:
            setattr(self, name, saved[name])
        for name in BY_NAME:
            setattr(self, name, {key: kept.to(device) for key, kept in saved[name].items()})
        restore_global_state(saved["random"])

    def next_stage(self, stage: Stage) -> None:
        self.stage += 1
        self.stage_step = 0
        self.stage_over = False
        self.earlier, self.rates, self.kept = {}, None, {}
        train_only(self.module, self.trainable, stage.options.parameters)
        before = self.optimizer
        self.optimizer = build_optimizer(stage.optimizer, self.module)
        if stage.options.inherit:
            load_optimizer(self.optimizer, before.state_dict())

    def keep(self) -> None:
        """Network and optimizer, to go back to."""
        now = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.kept = deepcopy(now)

    def go_back(self, optimizer: Optimizer) -> None:
        """To what was kept; steps, points and random numbers stay as they are."""
        kept = deepcopy(self.kept)
        self.module.load_state_dict(kept["module"])
        self.optimizer = build_optimizer(optimizer, self.module)
        load_optimizer(self.optimizer, kept["optimizer"])

    def move_points(
        self, interior: Tensor, weighting: Weighting, analyzers: Iterable[Analyzer]
    ) -> None:
        """Go on with other interior points.

        What belongs to single points, weights and memories, starts again, but for points that stay.
        """
        old = self.points.interior
        stay = (interior == old).all(1) if len(interior) == len(old) else None
        self.draws += 1
        self.points = evolve(self.points, interior=interior)
        weights = initial_weights(weighting, len(self.weights), interior)
        self.weights = _kept(weights, self.weights, stay)
        begun = initial_memories(analyzers, interior)
        kept = {name: _kept(new, self.memories[name], stay) for name, new in begun.items()}
        self.memories.clear()
        self.memories.update(kept)


def initial_state(config: Config, module: torch.nn.Module, equations: int) -> State:
    """The state before the first step; `equations` is their number."""
    like = next(module.parameters())
    first, names = config.stages[0], trainable(module)
    train_only(module, names, first.options.parameters)
    of_stage = config.points_of(first)
    points = draw_points(first.problem, of_stage, config.run.seed, like, first.within)
    return State(
        module,
        names,
        build_optimizer(first.optimizer, module),
        points,
        initial_weights(config.weighting, equations, points.interior),
        initial_memories((observer.analyzer for observer in config.observers), points.interior),
    )


def initial_memories(analyzers: Iterable[Analyzer], points: Tensor) -> dict[str, Tensor]:
    """What analyzers remember of these points that follow every step, by name."""
    begun = {analyzer.name: analyzer.start(points) for analyzer in analyzers}
    return {name: memory for name, memory in begun.items() if memory is not None}


def _kept(new: Tensor, old: Tensor, stay: Tensor | None) -> Tensor:
    """What begins anew, (…, points), but for the points that stay."""
    if stay is None or old.shape != new.shape or new.shape[-1:] != stay.shape:
        return new
    return torch.where(stay, old, new)


def initial_weights(weighting: Weighting, equations: int, interior: Tensor) -> Tensor:
    """The weights of the equations at these points before the first step, (equations, points)."""
    weights = weighting.initial(len(interior))
    if not isinstance(weights, Tensor) or weights.shape[-1:] != (len(interior),):
        shape = f"shape {tuple(weights.shape)}" if isinstance(weights, Tensor) else repr(weights)
        raise PartError(
            f"weighting {weighting.name!r}",
            Whence(weighting),
            f" returned initial weights of {shape} for {len(interior)} points",
        )
    return weights.to(interior).expand(equations, -1).clone()


def build_optimizer(optimizer: Optimizer, module: torch.nn.Module) -> torch.optim.Optimizer:
    """The torch optimizer of all parameters of the module that are trained."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    built = optimizer.build(trained)
    if not isinstance(built, torch.optim.Optimizer):
        raise PartError(
            f"what optimizer {optimizer.name!r}",
            Whence(optimizer),
            f" built is no torch.optim.Optimizer: {built!r}",
        )
    return built


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Give the optimizer this state, every tensor in the precision that it had.

    `load_state_dict` alone converts it to that of the parameters: NAdam, which keeps a product in single
    precision, would not go on as before in a run in double precision.

    Raises:
        ValueError: the optimizer is of another version, or has other parameters.
    """
    now = [set(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for needed, group in zip(now, optimizer.param_groups, strict=True):
        if missing := needed - set(group):
            raise ValueError(f"its optimizer did not know {one_of(missing)}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, kept in saved["state"].items():
        if isinstance(number, int) and parameters[number] in optimizer.state:
            state = optimizer.state[parameters[number]]
            state.update(_in_precision(state, kept))


def _in_precision(loaded: Any, saved: Any) -> Any:
    """What was loaded, every tensor as it was saved, however deep in tables and lists it stands."""
    if isinstance(saved, Tensor):
        return loaded if loaded.dtype == saved.dtype else saved.to(loaded.device)
    if isinstance(saved, dict):
        return {key: _in_precision(loaded[key], value) for key, value in saved.items()}
    if isinstance(saved, list | tuple):
        return type(saved)(map(_in_precision, loaded, saved))
    return loaded
