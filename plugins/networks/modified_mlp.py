"""The multilayer perceptron with gated encoders."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from pinn.core import Box
from pinn.plugins.networks.feed_forward import FeedForward

if TYPE_CHECKING:
    from torch import Generator, nn


@frozen
class ModifiedMLP(FeedForward):
    """Two encoders U, V of the input gate every layer: H ← (1 − Z) U + Z V, Z = σ(W H + b).

    Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5).
    """

    name = "modified-mlp"

    def build_one(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        from pinn.plugins.networks.layers import activation
        from pinn.plugins.networks.modified_mlp_module import Gated

        embedding = self.embedding(inputs, generator)
        layer = partial(self.linear, generator=generator)
        return Gated(
            embedding=embedding,
            encoders=[layer(embedding.width, self.width) for _ in range(2)],
            hidden=[
                layer(self.width if i else embedding.width, self.width) for i in range(self.depth)
            ],
            output=layer(self.width, len(outputs)),
            activation=activation(self.activation),
        )
