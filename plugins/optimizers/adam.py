"""Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attrs import frozen

from pinn.core import Optimizer, above, at_least, between, choice, fraction, option
from pinn.core.lazy import torch


@frozen
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015) with the paper's stepwise exponential decay, or another schedule."""

    name = "adam"

    lr: float = option(1e-3, "learning rate", above(0))
    beta1: float = option(0.9, "memory of the gradient's mean", fraction())
    beta2: float = option(0.999, "memory of its square", fraction())
    eps: float = option(1e-8, "added to the denominator", above(0))
    schedule: str = option(
        "exponential",
        "exponential, cosine or constant",
        choice("exponential", "cosine", "constant"),
    )
    decay: float = option(0.9, "exponential: the factor …", between(0, 1))
    decay_steps: int = option(5000, "… every so many steps", at_least(1))
    warmup: int = option(0, "steps in which the rate grows from 0", at_least(0))

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            parameters, lr=self.lr, betas=(self.beta1, self.beta2), eps=self.eps, fused=True
        )

    def learning_rate(self, step: int, steps: int) -> float:
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.lr * warm * self._decayed(step, steps)

    def _decayed(self, step: int, steps: int) -> float:
        if self.schedule == "exponential":
            return self.decay ** (step // self.decay_steps)
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * step / steps)) / 2
        return 1.0
