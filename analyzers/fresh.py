"""Residuals where the network was not trained, and how few points hold most of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.recent import lately
from pinn.core import Analyzer, Conclusion, Curves, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View

Array = NDArray[np.float64]

TOP = 0.01
"""The share of the points whose part of Σ r² is the tail."""
UNRESOLVED = 3.0
"""A residual gap from which the points no longer stand for the domain."""
HEAVY = 0.5
"""A tail from which a few points hold most of the loss."""


def rms(values: Array) -> float:
    """Root mean square; NaN of none."""
    if not len(values):
        return math.nan
    largest = float(np.abs(values).max())
    return largest * float(np.sqrt(np.mean((values / largest) ** 2))) if largest else 0.0


def tail(sizes: Array) -> float:
    """Share of Σ r² held by the largest 1 % of the points (at least one): 0.01 if all are alike.

    NaN where all are zero or one is not finite.
    """
    if not len(sizes) or not np.isfinite(sizes).all() or not sizes.any():
        return math.nan
    squares = np.sort((sizes / sizes.max()) ** 2)
    return float(squares[-max(round(TOP * len(sizes)), 1) :].sum() / squares.sum())


def kurtosis(values: Array) -> float:
    """mean (r − r̄)⁴ / (mean (r − r̄)²)²: 3 for a normal distribution; NaN of a constant."""
    off = values - values.mean()
    largest = float(np.abs(off).max()) if len(values) else 0.0
    if not largest or not math.isfinite(largest):
        return math.nan
    off = off / largest
    return float(np.mean(off**4) / np.mean(off**2) ** 2)


def over(one: float, other: float) -> float:
    return one / other if other else math.nan


@frozen
class Fresh(Analyzer):
    """Residuals at fresh points over those at the trained ones, and how few points hold most of Σ r².

    `residual_gap` = rms r(fresh) / rms r(trained), likewise `.max`: 1 where the trained points stand for
    the whole domain, far above where the network has learnt them by heart. Fresh points are drawn
    uniformly, anew each time; |r| is summed over the equations. `residual_tail` is the share of Σ r² at
    the largest 1 % of the trained points, `residual_kurtosis` that of r, 3 if normal.
    """

    name = "fresh"

    points: int = option(
        2048, "fresh points, and trained ones that they are held against", at_least(1)
    )

    def measure(self, view: View) -> Mapping[str, Any]:
        trained = view.residuals.abs().sum(0).double().cpu().numpy()
        count = min(self.points, len(trained))
        chosen = np.arange(count) * len(trained) // count
        fresh = self._residuals(view)
        signed = view.residuals.sum(0).double().cpu().numpy()
        found = {"residual_tail": tail(trained), "residual_kurtosis": kurtosis(signed)}
        return {
            "residual_gap": over(rms(fresh), rms(trained[chosen])),
            "residual_gap.max": over(float(fresh.max()), float(trained[chosen].max())),
            **found,
        }

    def _residuals(self, view: View) -> Array:
        domain = view.problem.domain
        lower, upper = (view.points.interior.new_tensor(e) for e in (domain.lower, domain.upper))
        generator = view.generator(self.name)
        unit: Tensor = torch.rand(self.points, len(lower), generator=generator)
        places = lower + (upper - lower) * unit.to(lower)
        own = [view.module.get_parameter(name) for name in view.parameters]
        with torch.no_grad():
            found = view.residual_function(tuple(own), places)
        return np.asarray(found.detach().abs().sum(0).double().cpu())

    def figures(self, records: Records) -> Iterable[Plot]:
        gap = records.last("residual_gap")
        yield Curves(
            name="residual-gap",
            title="Residuals at fresh points over those at trained ones"
            if gap is None
            else f"At fresh points the residual is {gap:.2g} times that at trained ones",
            quantities={"residual_gap": "root mean square", "residual_gap.max": "largest"},
            ylabel="fresh / trained",
            caption="1 where the trained points stand for the whole domain; far above, they are "
            "too few.",
        )
        yield Curves(
            name="residual-tail",
            title="How much of Σ r² the largest 1 % of the points hold",
            quantities={"residual_tail": "share of Σ r²"},
            ylabel="share",
            caption="0.01 if all points are alike.",
        )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        gap, heavy = lately(records, "residual_gap"), lately(records, "residual_tail")
        if gap is not None and gap > UNRESOLVED:
            yield Conclusion(
                f"At fresh points the residual is {gap:.2g} times that at the trained ones (median "
                "over the last half decade of steps): the points are too few for this solution.",
                "more points ([points] interior), or points redrawn while training ([points] redraw)",
                "Wu, Zhu, Tan, Kartha & Lu 2023; Daw et al. 2023",
            )
        if heavy is not None and heavy > HEAVY:
            yield Conclusion(
                f"1 % of the points hold {heavy:.0%} of the squared residuals: a front or a corner is "
                "left.",
                'residual-based attention (weighting.name = "rba"), or more points there',
                "Anagnostopoulos et al. 2024, arXiv 2307.00379",
            )
