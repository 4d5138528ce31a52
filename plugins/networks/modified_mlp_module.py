"""The torch module of `modified_mlp.py`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Gated(nn.Module):
    """H ← U + Z (V − U) after every hidden layer, with the encoders' U and V."""

    def __init__(
        self,
        embedding: nn.Module,
        encoders: Sequence[nn.Module],
        hidden: Sequence[nn.Module],
        output: nn.Module,
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoders = nn.ModuleList(encoders)
        self.hidden = nn.ModuleList(hidden)
        self.output = output
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        h = self.embedding(x)
        u, v = (self.activation(encoder(h)) for encoder in self.encoders)
        for layer in self.hidden:
            h = self.through(layer, h, u, v)
        return self.output(h)

    def through(self, layer: nn.Module, h: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return u + self.activation(layer(h)) * (v - u)
