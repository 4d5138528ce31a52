"""Factors that follow the size of something of each term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pinn.core import Terms
from pinn.core.lazy import torch


def ratios(
    names: Sequence[str], sizes: torch.Tensor, to: torch.Tensor | None = None
) -> dict[str, float]:
    """to / size of each name, by default of the sum of the sizes; none where one of the two is zero."""
    whole = float(sizes.sum() if to is None else to)
    named = zip(names, sizes.tolist(), strict=True)
    return {name: whole / size for name, size in named if size > 0 and whole > 0}


def averaged(terms: Terms, wanted: Mapping[str, float], alpha: float) -> dict[str, float]:
    """(1 − α) f + α f̂ of the terms of which f̂ is known."""
    return {name: (1 - alpha) * terms.factors[name] + alpha * f for name, f in wanted.items()}
