"""The multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from pinn.core import Box
from pinn.plugins.networks.feed_forward import FeedForward

if TYPE_CHECKING:
    from torch import Generator, nn


@frozen
class MLP(FeedForward):
    """Fully connected layers of one width."""

    name = "mlp"

    def build_one(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        from torch import nn

        from pinn.plugins.networks.layers import activation

        embedding = self.embedding(inputs, generator)
        widths = [embedding.width] + [self.width] * self.depth
        layers: list[nn.Module] = [embedding]
        for before, after in pairwise(widths):
            layers.append(self.linear(before, after, generator))
            layers.append(activation(self.activation))
        layers.append(self.linear(self.width, len(outputs), generator))
        return nn.Sequential(*layers)
