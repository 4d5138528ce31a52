"""From a configuration to the network and the functions that training needs."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pinn.core.blame import blaming, by, fault
from pinn.core.errors import PinnError, out_of_memory
from pinn.engine.configuration.config import Config
from pinn.engine.training.device import choose_device, number_format
from pinn.engine.training.evaluation import Evaluator, exact_solution
from pinn.engine.training.objective import Objective
from pinn.engine.training.state import build_module


@blaming()
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
            found = objective.interior_residuals(objective.parameters, places)
        exact_solution(config.problem, places)
    except Exception as error:
        if isinstance(error, PinnError) or out_of_memory(error):
            raise
        raise PinnError(
            f"{config.problem.name}{by(config.problem)}, with network {config.network.name}"
            f"{by(config.network)}, fails at a point: {fault(error)}"
        ) from error
    _check_finite(config, dict(zip(objective.equations.names, found, strict=True)), places)


def _check_finite(config: Config, found: dict[str, Tensor], places: Tensor) -> None:
    for name, values in found.items():
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            if not math.isfinite(value):
                where = zip(config.problem.domain.names, place, strict=True)
                raise PinnError(
                    f"{config.problem.name}{by(config.problem)}: equation {name!r} is {value} at "
                    f"{', '.join(f'{n} = {x:g}' for n, x in where)} for the untrained network; look "
                    "for divisions, roots and logarithms in it"
                )
