"""This project: Taylor series truncated to what the equations look at, compiled.

Measured: the step that `pinn run` takes, on the same points and from the same parameters as the peers:
`Objective.evaluate` (residuals, loss, gradient) and fused Adam, without recording. The cavity's loss has
one more point than the peers', which pins ψ and p at a corner.
"""

import torch

from pinn.core.domain import PointSet
from pinn.engine.configuration.reader import parse_config
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import build_optimizer, initial_weights

from .setting import DEPTH, LEARNING_RATE, WIDTH, Step, draw_parameters, draw_points

CONDITION_NAMES = {"boundary": "walls"}


def make_step(
    problem: str, points: int, seed: int = 0, compiled: bool = True, chunk: int = 0
) -> Step:
    """One step of the problem on so many interior points, vanilla weighting."""
    config = parse_config(
        {
            "run": {"device": "cpu"},
            "problem": {"name": problem},
            "network": {"name": "mlp", "width": WIDTH, "depth": DEPTH},
            "points": {"interior": points, "chunk": chunk},
            "optimizers": [{"name": "adam", "lr": LEARNING_RATE, "steps": 1}],
        }
    )
    module, objective, _ = prepare(config)
    with torch.no_grad():
        drawn = [array for layer in draw_parameters(problem, seed) for array in layer]
        for parameter, array in zip(module.parameters(), drawn, strict=True):
            parameter.copy_(torch.from_numpy(array))
    interior, conditions = draw_points(problem, points, seed)
    points_of = {
        CONDITION_NAMES.get(name, name): torch.from_numpy(there)
        for name, there in conditions.items()
    }
    if problem == "cavity":
        points_of["corner"] = torch.zeros(1, 2)
    ordered = {name: points_of[name] for name in objective.conditions}
    where = PointSet(torch.from_numpy(interior), ordered)
    weights = initial_weights(config.weighting, len(objective.equations.names), where.interior)
    optimizer = build_optimizer(config.stages[0].optimizer, module)
    parameters = tuple(module.parameters())
    if compiled:
        objective.compiled(compile_lazily)

    def step() -> float:
        found = objective.evaluate(parameters, where, weights)
        for parameter, gradient in zip(parameters, found.gradient, strict=True):
            parameter.grad = gradient
        optimizer.step()
        return float(found.loss)

    return Step(step)
