"""Some of many points: the same ones at every step, spread evenly over the order that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def evenly_spaced(points: Tensor, count: int) -> Tensor:
    """The numbers of `count` of the points (n, …), ascending, on their device; of all: 0, or n and more.

    Latin hypercube and random samplers draw in random order, so that these are a random subset.
    """
    total = len(points)
    count = min(count or total, total)
    return torch.arange(count, device=points.device) * total // count
