"""Everything that moves during training, as one thing that can be saved and restored."""

from __future__ import annotations

from typing import Any

import torch
from attrs import Factory, define, evolve
from torch import Tensor

from pinn.core.blame import by
from pinn.core.errors import PinnError
from pinn.core.randomness import (
    global_state,
    restore_global_state,
    seed_everything,
    torch_generator,
)
from pinn.engine.configuration.config import Config
from pinn.engine.derivatives.unknowns import attach_unknowns
from pinn.engine.training.objective import Objective
from pinn.engine.training.sampling import PointSet, draw_points, redraw_interior


@define
class State:
    """Between two steps: `step` steps are done, `stage_step` of them in stage number `stage`."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    points: PointSet
    weights: Tensor
    memories: dict[str, Tensor]
    """Of the analyzers that follow every step, by name."""
    step: int = 0
    stage: int = 0
    stage_step: int = 0
    stage_over: bool = False
    """Whether the stage met its `until`."""
    draws: int = 1
    best_loss: float = float("inf")
    seconds: dict[str, float] = Factory(dict)
    """What training and each analyzer took, by name."""

    def to_checkpoint(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "stage": self.stage,
            "stage_step": self.stage_step,
            "stage_over": self.stage_over,
            "draws": self.draws,
            "best_loss": self.best_loss,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weights": self.weights,
            "memories": self.memories,
            "interior": self.points.interior,
            "conditions": self.points.conditions,
            "random": global_state(),
        }

    def restore(self, saved: dict[str, Any], config: Config) -> None:
        """Become the state that `saved` holds."""
        device = self.weights.device
        self.module.load_state_dict(saved["module"])
        if saved["stage"] != self.stage:
            self.optimizer = build_optimizer(config, saved["stage"], self.module)
        load_optimizer(self.optimizer, saved["optimizer"])
        self.points = PointSet(
            saved["interior"].to(device), {n: p.to(device) for n, p in saved["conditions"].items()}
        )
        self.weights = saved["weights"].to(device)
        self.memories = {name: memory.to(device) for name, memory in saved["memories"].items()}
        for name in ("step", "stage", "stage_step", "stage_over", "draws", "best_loss", "seconds"):
            setattr(self, name, saved[name])
        restore_global_state(saved["random"])

    def next_stage(self, config: Config) -> None:
        self.stage += 1
        self.stage_step = 0
        self.stage_over = False
        self.optimizer = build_optimizer(config, self.stage, self.module)

    def redraw(self, config: Config, residuals: Tensor) -> None:
        """New interior points; their weights start again, since no weight belongs to a new point."""
        interior = redraw_interior(config, self.draws, self.points.interior, residuals)
        self.draws += 1
        self.points = evolve(self.points, interior=interior)
        self.weights = initial_weights(config, len(self.weights), interior)
        self.memories = initial_memories(config, interior)


def build_module(config: Config, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """The network with its initial parameters."""
    seed_everything(config.run.seed)
    problem = config.problem
    network = config.network
    module = network.build(
        problem.domain, problem.fields, torch_generator(config.run.seed, "initialisation")
    )
    if not isinstance(module, torch.nn.Module):
        raise PinnError(
            f"what network {network.name!r}{by(network)} built is no torch.nn.Module: {module!r}"
        )
    if not [*module.parameters()]:
        raise PinnError(f"what network {network.name!r}{by(network)} built has no parameters")
    attach_unknowns(module, problem)
    return module.to(device=device, dtype=dtype)


def initial_state(config: Config, module: torch.nn.Module, objective: Objective) -> State:
    first = next(module.parameters())
    points = draw_points(config, first.dtype, first.device)
    weights = initial_weights(config, len(objective.equations.names), points.interior)
    memories = initial_memories(config, points.interior)
    return State(module, build_optimizer(config, 0, module), points, weights, memories)


def initial_memories(config: Config, interior: Tensor) -> dict[str, Tensor]:
    begun = {o.analyzer.name: o.analyzer.start(interior) for o in config.observers}
    return {name: memory for name, memory in begun.items() if memory is not None}


def initial_weights(config: Config, equations: int, interior: Tensor) -> Tensor:
    """(equations, points)"""
    weighting = config.weighting
    weights = weighting.initial(len(interior))
    if not isinstance(weights, Tensor) or weights.shape[-1:] != (len(interior),):
        shape = f"shape {tuple(weights.shape)}" if isinstance(weights, Tensor) else repr(weights)
        raise PinnError(
            f"weighting {weighting.name!r}{by(weighting)} returned initial weights of {shape} for "
            f"{len(interior)} points"
        )
    return weights.to(interior).expand(equations, -1).clone()


def build_optimizer(config: Config, stage: int, module: torch.nn.Module) -> torch.optim.Optimizer:
    part = config.stages[stage].optimizer
    built = part.build([parameter for parameter in module.parameters() if parameter.requires_grad])
    if not isinstance(built, torch.optim.Optimizer):
        raise PinnError(
            f"what optimizer {part.name!r}{by(part)} built is no torch.optim.Optimizer: {built!r}"
        )
    return built


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Give the optimizer this state, every tensor in the precision that it had.

    `load_state_dict` alone converts it to that of the parameters: NAdam, which keeps a product in single
    precision, would not go on as before in a run in double precision.
    """
    optimizer.load_state_dict(saved)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, kept in saved["state"].items():
        state = optimizer.state[parameters[number]] if isinstance(number, int) else {}
        for name, value in kept.items() if state else ():
            if isinstance(value, Tensor) and value.dtype != state[name].dtype:
                state[name] = value.to(state[name].device)
