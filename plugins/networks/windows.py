"""A network for each window of time, which goes on where the one before it ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class Windows(nn.Module):
    """f(x, t) = N₀(x, s₀(t)) + Σ_k (s_k(t) − t_k) / (t_{k+1} − t_k) N_k(x, s_k(t)), k ≥ 1.

    s_k(t) is t held in window k, [t_k, t_{k+1}]. In its own window a network changes what those before
    it have left there; before, it is not seen, and behind, it stays as it is at its end. So f is
    continuous in time, whatever the networks are, and training one of them moves nothing before it.

    Args:
        networks: of coordinates (n, dimension), one a window, in order.
        edges: t₀ < t₁ < …, one more than windows.
        axis: the place of time among the coordinates.
    """

    def __init__(self, networks: Sequence[nn.Module], edges: Sequence[float], axis: int) -> None:
        super().__init__()
        self.windows = nn.ModuleList(networks)
        self.axis = axis
        self._edges = list(edges)

    def forward(self, x: Tensor) -> Tensor:
        before, time, behind = (
            x[:, : self.axis],
            x[:, self.axis : self.axis + 1],
            x[:, self.axis + 1 :],
        )
        found = None
        for network, (low, high) in zip(self.windows, pairwise(self._edges), strict=True):
            since = torch.relu(time - low) - torch.relu(time - high)
            columns = [before, since + low, behind]
            own = network(torch.cat([c for c in columns if c.shape[1]], 1))
            found = own if found is None else found + since / (high - low) * own
        assert found is not None
        return found
