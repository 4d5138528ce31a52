"""Residual blocks that begin as nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from pinn.core import Box, option
from pinn.plugins.networks.feed_forward import FeedForward

if TYPE_CHECKING:
    from torch import Generator, nn


@frozen
class PirateNet(FeedForward):
    """Gated residual blocks, x ← α h(x) + (1 − α) x with α = 0 at first, so that any depth trains.

    A block is three layers, of which the encoders U and V of the embedded input gate the first two:
    f = σ(W₁ x + b₁), z = f U + (1 − f) V; g = σ(W₂ z + b₂), w = g U + (1 − g) V; h = σ(W₃ w + b₃).
    `depth` is the number of blocks. Before the first step the network is linear in its embedding, which
    is to be rich: Fourier features or modes. Wang, Li, Chen & Perdikaris 2024, arXiv 2402.00326.
    """

    name = "pirate-net"

    alpha: float = option(0.0, "α of every block at the start: 0 none of it, 1 no shortcut")

    def build_one(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        from pinn.plugins.networks.layers import activation
        from pinn.plugins.networks.pirate_net_module import Block, Pirate

        embedding = self.embedding(inputs, generator)
        layer = partial(self.linear, generator=generator)
        act = activation(self.activation)
        return Pirate(
            embedding=embedding,
            encoders=[layer(embedding.width, self.width) for _ in range(2)],
            hidden=[
                Block(
                    layer(embedding.width, self.width),
                    layer(self.width, self.width),
                    layer(self.width, embedding.width),
                    act,
                    self.alpha,
                )
                for _ in range(self.depth)
            ],
            output=layer(embedding.width, len(outputs)),
            activation=act,
        )
