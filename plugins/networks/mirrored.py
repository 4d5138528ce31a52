"""A network that is exactly odd or even in some coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from pinn.core import Box


class Mirrored(nn.Module):
    """f_k(x) = Σ_g χ_k(g) N_k(g x) / |G_k|, the part of N_k that has the parities of output k.

    G_k is made by the reflections x ↦ low + high − x of the coordinates in which output k has a parity,
    and χ_k(g) is the product of the parities of those that g reflects. Every reflected point passes
    through the network N, the points themselves first.

    Args:
        network: coordinates (n, dimension) → (n, outputs).
        inputs: gives the middles.
        parities: for each output {coordinate: −1 if it is odd in it, 1 if even}.
    """

    flips: Tensor
    shifts: Tensor
    shares: Tensor

    def __init__(
        self, network: nn.Module, inputs: Box, parities: Sequence[Mapping[str, int]]
    ) -> None:
        super().__init__()
        self.network = network
        reflected = [name for name in inputs.names if any(name in own for own in parities)]
        flips, shifts, shares = [], [], []
        for chosen in product((False, True), repeat=len(reflected)):
            mirrored = {name for name, yes in zip(reflected, chosen, strict=True) if yes}
            flips.append([-1.0 if name in mirrored else 1.0 for name in inputs.names])
            shifts.append(
                [sum(ends) if name in mirrored else 0.0 for name, ends in inputs.intervals.items()]
            )
            shares.append([_share(own, mirrored) for own in parities])
        for name, rows in (("flips", flips), ("shifts", shifts), ("shares", shares)):
            self.register_buffer(name, torch.tensor(rows, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        flips, shifts, shares = (b.to(x.dtype) for b in (self.flips, self.shifts, self.shares))
        everywhere = torch.cat([x * a + b for a, b in zip(flips, shifts, strict=True)])
        found = self.network(everywhere)
        images = found.reshape(len(flips), -1, found.shape[-1])
        return (images * shares[:, None]).sum(0)


def _share(parities: Mapping[str, int], mirrored: set[str]) -> float:
    """χ_k(g) / |G_k|, or 0 for what is not in G_k."""
    if not mirrored <= parities.keys():
        return 0.0
    return math.prod(parities[name] for name in mirrored) / 2 ** len(parities)
