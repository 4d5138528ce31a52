"""Adam."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pinn.core import above, fraction, option
from pinn.core.lazy import torch
from pinn.plugins.optimizers.schedule import Scheduled, own_first


@frozen(field_transformer=own_first)
class Adam(Scheduled):
    """Adam (Kingma & Ba 2015) with the paper's stepwise exponential decay, or another schedule."""

    name = "adam"

    lr: float = option(1e-3, "learning rate", above(0))
    beta1: float = option(0.9, "memory of the gradient's mean", fraction())
    beta2: float = option(0.999, "memory of its square", fraction())
    eps: float = option(1e-8, "added to the denominator", above(0))

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            parameters, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True
        )

    def learning_rate(self, step: int, steps: int) -> float:
        return self.rate(self.lr, step, steps)
