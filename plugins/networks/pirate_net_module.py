"""The torch modules of `pirate_net.py`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pinn.plugins.networks.modified_mlp_module import Gated


class Block(nn.Module):
    """x ← x + α (h − x)"""

    def __init__(
        self,
        first: nn.Module,
        second: nn.Module,
        third: nn.Module,
        activation: nn.Module,
        alpha: float,
    ) -> None:
        super().__init__()
        self.first, self.second, self.third = first, second, third
        self.activation = activation
        self.alpha = nn.Parameter(torch.full((), alpha))

    def forward(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        z = v + self.activation(self.first(x)) * (u - v)
        z = v + self.activation(self.second(z)) * (u - v)
        return x + self.alpha * (self.activation(self.third(z)) - x)


class Pirate(Gated):
    """The same with blocks for hidden layers."""

    def through(self, layer: nn.Module, h: Tensor, u: Tensor, v: Tensor) -> Tensor:
        found: Tensor = layer(h, u, v)
        return found
