"""Whether coordinates and residuals are of sizes that can be trained; a sentence on what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from pinn.core.errors import one_of, out_of_memory
from pinn.core.parts import Network
from pinn.core.problem import Problem
from pinn.engine.derivatives.typical_sizes import size_together, typical_sizes
from pinn.engine.training.objective import Objective

POINTS = 256
FLAT, UNEVEN = 0.005, 10.0
"""Of the slope over a coordinate's whole range: its median, and its root mean square over its median."""
UNLIKE = 1e3
"""Between residuals: in the loss, which squares them, the smaller ones are lost in single precision."""


def notes_of_sizes(
    network: Network, module: torch.nn.Module, objective: Objective, factors: Mapping[str, float]
) -> Iterator[str]:
    """What is to be known before training."""
    if flat := _flat_coordinates(objective.problem, module):
        way = "choose units in which the domain is about 1 long"
        if getattr(network, "normalise", None) is False:
            way = "set [network] normalise = true"
        ranges = [f"{name} from {low:g} to {high:g}" for name, (low, high) in flat.items()]
        yield f"the untrained network hardly changes with {' and '.join(ranges)}: {way}"
    if not objective.by_size:
        yield from _unlike_residuals(objective, factors)


def _flat_coordinates(problem: Problem, module: torch.nn.Module) -> dict[str, tuple[float, float]]:
    """Those in which nothing happens at most points: far shorter than 1, or far longer."""
    domain, like = problem.domain, next(module.parameters())
    drawn = domain.box.uniform(POINTS, np.random.default_rng(0))
    points = torch.as_tensor(drawn).to(like).requires_grad_()
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            outputs = module(points)
            slopes = [
                torch.autograd.grad(column.sum(), points, retain_graph=True)[0]
                for column in outputs.T
            ]
    except Exception as error:  # a network that is not made for this: training will tell
        if out_of_memory(error):
            raise
        return {}
    steepness = torch.stack(slopes).double().square().sum(0).sqrt().cpu().numpy()
    steepness *= np.subtract(domain.upper, domain.lower)
    middle = np.median(steepness, 0)
    flat = (middle < FLAT) | (np.sqrt((steepness**2).mean(0)) > UNEVEN * middle)
    return {
        n: ends
        for (n, ends), is_flat in zip(domain.intervals.items(), flat, strict=True)
        if is_flat
    }


def _unlike_residuals(objective: Objective, factors: Mapping[str, float]) -> Iterator[str]:
    """Equations whose residuals are far smaller or larger than those of the conditions."""
    equations, others = typical_sizes(objective.equations), objective.conditions.items()
    conditions = {n: size_together(law) for n, law in others}
    felt = {n: s * factors.get(n, 1.0) ** 0.5 for n, s in {**equations, **conditions}.items()}
    beside = max((felt[n] for n in conditions or equations), default=0.0)
    unlike = {
        name: size
        for name, size in equations.items()
        if felt[name] and beside and not 1 / UNLIKE < felt[name] / beside < UNLIKE
    }
    if unlike:
        told = one_of(f"{name!r} {size:.0e}" for name, size in unlike.items())
        scales = ", ".join(f"{name!r}: {size:.0e}" for name, size in unlike.items())
        yield (
            f"residuals of smooth fields are of unlike size: {told}, beside "
            f"{beside:.0e}; the loss, which squares them, hardly feels the smaller ones: let the "
            f"problem say residual_scales = {{{scales}}}, or set [weighting] by_size = true"
        )
