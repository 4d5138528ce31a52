"""Residuals where the network was not trained, and how few points hold most of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.recent import lately
from pinn.core import Analyzer, Conclusion, Curves, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View

Array = NDArray[np.float64]

UNRESOLVED, HEAVY = 3.0, 0.5
"""A residual gap, and a tail, from which a person should do something."""
TOP = 0.01
"""The share of the points whose part of Σ r² is the tail."""


def rms(values: Array) -> float:
    """Root mean square."""
    largest = float(np.abs(values).max())
    return largest * float(np.sqrt(np.mean((values / largest) ** 2))) if largest else 0.0


def gap(fresh: Array, trained: Array) -> tuple[float, float]:
    """rms |r|(fresh) / rms |r|(trained), and max / max: 1 if both are alike.

    The largest of n numbers grows with n: of more fresh ones than trained ones, the first as many are
    looked at for it. NaN where one is not finite, or all trained residuals are zero.
    """
    if not (np.isfinite(fresh).all() and np.isfinite(trained).all() and trained.any()):
        return math.nan, math.nan
    return rms(fresh) / rms(trained), float(fresh[: len(trained)].max()) / float(trained.max())


def tail(sizes: Array) -> float:
    """Share of Σ r² that the largest 1 % of |r|, (points,), hold, at least one: 0.01 if all are alike.

    NaN where all are zero or one is not finite.
    """
    if not (np.isfinite(sizes).all() and sizes.any()):
        return math.nan
    squares = np.sort((sizes / sizes.max()) ** 2)
    return float(squares[-max(round(TOP * len(sizes)), 1) :].sum() / squares.sum())


def kurtosis(values: Array) -> float:
    """mean (r − r̄)⁴ / (mean (r − r̄)²)², at least 1; 3 for a normal distribution.

    NaN of a constant, and where one is not finite.
    """
    if not np.isfinite(values).all():
        return math.nan
    scaled = values / (np.abs(values).max() or 1.0)
    off = scaled - scaled.mean()
    largest = float(np.abs(off).max())
    if largest <= 4 * np.finfo(np.float64).eps:  # of a constant, rounding is left
        return math.nan
    off = off / largest
    return float(np.mean(off**4) / np.mean(off**2) ** 2)


@frozen
class Fresh(Analyzer):
    """Residuals at fresh points over those at trained ones, and how few points hold most of Σ r².

    `residual_gap` = rms |r|(fresh) / rms |r|(trained), `.max` the same of the largest, with |r_i| =
    √(Σ_k r_ki²) over the equations: 1 where the trained points stand for the domain, far above where
    they are too few for the solution and are learnt by heart. Fresh points are drawn uniformly in the
    box at every measurement; the trained ones are evenly spaced in their order. A sampler that puts
    points where residuals are large makes the gap smaller than 1.

    `residual_tail` is the share of Σ r² that the largest 1 % of all trained points hold, 0.01 if all are
    alike; `residual_kurtosis` that of r at all trained points, 3 if normal, the mean over the equations.

    Mishra & Molinaro, IMA J. Numer. Anal. 43(1), 2023, bound the error of the solution by the residuals
    at the points plus what the points miss of them.
    """

    name = "fresh"

    points: int = option(2048, "fresh points, and at most as many trained ones", at_least(1))

    def measure(self, view: View) -> Mapping[str, Any]:
        residuals = view.residuals.double()
        sizes = np.asarray(residuals.norm(dim=0).cpu())
        chosen = evenly_spaced(view.points.interior, self.points).cpu().numpy()
        new = np.asarray(self._at_fresh_points(view).double().norm(dim=0).cpu())
        average, largest = gap(new, sizes[chosen])
        return {
            "residual_gap": average,
            "residual_gap.max": largest,
            "residual_tail": tail(sizes),
            "residual_kurtosis": float(np.mean([kurtosis(r) for r in residuals.cpu().numpy()])),
        }

    def _at_fresh_points(self, view: View) -> Tensor:
        """(equations, `points`)"""
        seed = torch.randint(2**62, (), generator=view.generator(self.name))
        stream = np.random.default_rng(int(seed))
        drawn = view.problem.domain.uniform(self.points, stream)
        points = torch.as_tensor(drawn).to(view.points.interior)
        # A loop that is watched knows the residuals at the module's own parameters only.
        own = tuple(view.module.get_parameter(name) for name in view.parameters)
        with torch.no_grad():
            return view.residual_function(own, points).detach()

    def figures(self, records: Records) -> Iterable[Plot]:
        last, held = records.last("residual_gap"), records.last("residual_tail")
        yield Curves(
            name="residual-gap",
            title="Do the trained points stand for the domain?"
            if last is None
            else f"At fresh points the residual is {last:.2g} times that at trained ones",
            quantities={"residual_gap": "root mean square", "residual_gap.max": "largest"},
            ylabel="|r| fresh / trained",
            caption="rms |r| at points drawn anew over rms |r| at points of the training, and the same "
            "of the largest |r|: 1 where the trained points stand for the domain, far above where they "
            "are too few (Mishra & Molinaro, IMA J. Numer. Anal. 43(1), 2023).",
        )
        yield Curves(
            name="residual-tail",
            title="Do few points hold most of the residual?"
            if held is None
            else f"1 % of the points hold {held:.0%} of Σ r²",
            quantities={"residual_tail": "largest 1 % of |r|"},
            ylabel="share of Σ r²",
            caption="Share of Σ r² at the 1 % of the points where |r| is largest: 0.01 if all are "
            "alike, 0.08 if r is normal, 1 if a few have everything.",
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
