"""Factors of the terms of a loss by how much each has fallen."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pinn.core import Terms, above, at_least, between, option
from pinn.core.lazy import torch
from pinn.plugins.weightings.vanilla import Vanilla

MOST = 1e30
"""A loss that has grown by more than this counts as much as one that has grown by this."""


@frozen
class RelativeLossBalancing(Vanilla):
    """f ← α (ρ f + (1 − ρ) f̂(0)) + (1 − α) f̂(t − 1), f̂_k(t') = m softmax_k(L_k(t) / (T L_k(t'))).

    Of m terms, those whose loss L has fallen least count most: against the balance before, t − 1, and
    now and then against the first, 0: ρ is 1 with probability `rho` and else 0, the "random lookback".
    Every point counts the same. Bischof & Kraus 2021, arXiv 2110.09813 (ReLoBRaLo).
    """

    name = "relobralo"

    alpha: float = option(0.95, "α, memory of the factors", between(0, 1))
    rho: float = option(0.99, "probability with which the first losses play no part", between(0, 1))
    temperature: float = option(0.1, "T; the smaller, the more unlike the factors", above(0))
    every: int = option(10, "steps between two balances", at_least(1))

    def balanced_every(self) -> int:
        return self.every

    def balance(self, terms: Terms) -> Mapping[str, float]:
        before = torch.tensor([terms.factors[name] for name in terms.names]).to(terms.losses)
        if terms.generator.random() >= self.rho:
            before = self._relative(terms, "first")
        found = self.alpha * before + (1 - self.alpha) * self._relative(terms, "last")
        return dict(zip(terms.names, found.tolist(), strict=True))

    def remember(self, terms: Terms) -> Mapping[str, torch.Tensor]:
        return {"first": terms.memory.get("first", terms.losses), "last": terms.losses}

    def _relative(self, terms: Terms, to: str) -> torch.Tensor:
        then = terms.memory.get(to, terms.losses)
        fallen = torch.where(then > 0, terms.losses / then, 1.0).clamp_max(MOST)
        return len(terms.names) * torch.softmax(fallen / self.temperature, 0)
