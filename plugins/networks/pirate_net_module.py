"""The torch modules of `pirate_net.py`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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


class Pirate(nn.Module):
    def __init__(
        self,
        embedding: nn.Module,
        encoders: Sequence[nn.Module],
        blocks: Sequence[Block],
        output: nn.Module,
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoders = nn.ModuleList(encoders)
        self.blocks = nn.ModuleList(blocks)
        self.output = output
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        u, v = (self.activation(encoder(x)) for encoder in self.encoders)
        for block in self.blocks:
            x = block(x, u, v)
        return self.output(x)
