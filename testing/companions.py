"""Small parts that stand beside the one under test, so that nothing else need be installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import pi
from typing import Any, ClassVar

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from pinn.core.domain import Box, Points
from pinn.core.parts import Network, Optimizer, Sampler, Weighting
from pinn.core.problem import Condition, Problem


@frozen
class SmallProblem(Problem):
    """u_t = u_xx / 10 and v_x = 2 u u_x, with u = exp(−π² t / 10) sin πx and v = u²."""

    name = "testing-problem"
    fields = ("u", "v")
    domain = Box(x=(-1, 1), t=(0, 1))
    grid: ClassVar[Mapping[str, int]] = {"x": 21, "t": 11}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - 0.1 * q.u_xx, "slope": q.v_x - 2 * q.u * q.u_x}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.sin(pi * q.x))
        yield Condition("walls", on=("x=-1", "x=1"), residual=lambda q: {"u": q.u, "v": q.v})

    def solution(self, q: Any) -> Mapping[str, Any]:
        u = torch.exp(-0.1 * pi**2 * q.t) * torch.sin(pi * q.x)
        return {"u": u, "v": u**2}


class Normalised(nn.Module):
    """Every coordinate of a box on [−1, 1]."""

    low: Tensor
    high: Tensor

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(box.lower, dtype=torch.float64))
        self.register_buffer("high", torch.tensor(box.upper, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        slope = 2 / (self.high - self.low)
        return x * slope.to(x.dtype) - (1 + self.low * slope).to(x.dtype)


@frozen
class SmallNetwork(Network):
    """Two hidden layers of six tanh neurons."""

    name = "testing-network"

    def build(self, inputs: Box, outputs: tuple[str, ...], generator: torch.Generator) -> nn.Module:
        module = nn.Sequential(
            Normalised(inputs), nn.Linear(inputs.dimension, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(),
            nn.Linear(6, len(outputs)),
        )  # fmt: skip
        for parameter in module.parameters():
            nn.init.normal_(parameter, 0, 0.6, generator=generator)
        return module


@frozen
class SmallSampler(Sampler):
    """Independent, uniformly distributed points."""

    name = "testing-sampler"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        return generator.uniform(domain.lower, domain.upper, (count, domain.dimension))


@frozen
class SmallWeighting(Weighting):
    """λ ← 0.9 λ + 0.1 |r| / max|r|, from 1: weights that differ from point to point and keep moving."""

    name = "testing-weighting"

    def initial(self, count: int) -> Tensor:
        return torch.ones(count)

    def update(self, weights: Tensor, residuals: Tensor) -> Tensor:
        size = residuals.abs()
        return 0.9 * weights + 0.1 * size / size.amax(1, keepdim=True).clamp_min(1e-30)


@frozen
class SmallAdam(Optimizer):
    """torch's Adam."""

    name = "testing-adam"

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=1e-3)


@frozen
class SmallLBFGS(Optimizer):
    """torch's L-BFGS, one iteration a step."""

    name = "testing-lbfgs"

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(parameters, max_iter=1, line_search_fn="strong_wolfe")


COMPANIONS = (SmallProblem, SmallNetwork, SmallSampler, SmallWeighting, SmallAdam, SmallLBFGS)
