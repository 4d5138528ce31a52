"""Weights that let a network learn the past before the future."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import PinnError, Weighting, at_least, option
from pinn.core.lazy import torch


@frozen
class Causal(Weighting):
    """w_i = exp(−ε Σ_{k<i} L_k) with L_k = mean r² of the points in slice k of time; loss mean(w r²).

    A slice counts once those before it are solved. The slices divide the times of the points evenly. Of
    several equations, L_k is the sum of theirs, and they share the weights.

    Wang, Sankaran & Perdikaris 2024, CMAME 421, doi 10.1016/j.cma.2024.116813, arXiv 2203.07404.
    """

    name = "causal"

    epsilon: float = option(1.0, "ε, how strictly the past comes first; 0: not at all", at_least(0))
    slices: int = option(32, "of equal length, that time is divided into", at_least(2))
    time: str = option("t", "the coordinate that is time")

    def initial(self, count: int) -> torch.Tensor:
        return torch.ones(count)

    def update_at(
        self,
        points: Mapping[str, torch.Tensor],
        weights: torch.Tensor,
        residuals: torch.Tensor,
        step: torch.Tensor,
    ) -> torch.Tensor:
        if self.time not in points:
            raise PinnError(
                f"[weighting] time: there is no coordinate {self.time!r}; the domain has "
                f"{', '.join(points)}"
            )
        slice_of = self._slices(points[self.time])
        squares = (residuals**2).sum(0)
        empty = squares.new_zeros(self.slices)
        counts = empty.index_add(0, slice_of, torch.ones_like(squares))
        losses = empty.index_add(0, slice_of, squares) / counts.clamp(min=1)
        before = torch.cat([empty[:1], losses[:-1].cumsum(0)])
        return torch.exp(-self.epsilon * before)[slice_of]

    def contributions(self, weights: torch.Tensor, residuals: torch.Tensor) -> torch.Tensor:
        return weights * residuals**2

    def _slices(self, times: torch.Tensor) -> torch.Tensor:
        """The number of each point's slice, (points,), from 0 on."""
        first, last = times.min(), times.max()
        share = (times - first) / (last - first).clamp_min(1e-30)
        return (share * self.slices).long().clamp_max(self.slices - 1)
