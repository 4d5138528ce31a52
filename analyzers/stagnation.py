"""Samples with large residuals that the network cannot move: vanishing gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.spectrum import jacobian
from pinn.core import Analyzer, Curves, Drawing, Schedule, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pinn.core import Plot, Records, View

Array = NDArray[np.float64]

RANKS = 8
"""Classes of equal size, by |r| and by ‖∇r‖, of the joint distribution that is drawn."""
SOURCE = "arXiv 2403.18494."


def stagnation(residuals: Array, gradients: Array, weights: Array) -> dict[str, float]:
    """The samples whose |r| lies above its median while ‖∇r‖ lies below its own.

    Their share, ¼ if both are independent, 0 to ½; the share of Σ r² that they hold; their mean weight
    over that of all; and Spearman's rank correlation of |r| and ‖∇r‖. NaN where a number is not finite,
    and where a size is the same at all points.

    Args:
        residuals: |r_i|, (points,).
        gradients: ‖∇_θ r_i‖, (points,).
        weights: λ_i, (points,).
    """
    names = ("share", "residual", "weight", "rank_correlation")
    if not np.isfinite([residuals, gradients, weights]).all():
        return {f"stagnation.{name}": math.nan for name in names}
    stuck = (residuals > np.median(residuals)) & (gradients < np.median(gradients))
    scaled = residuals / (residuals.max() or 1.0)  # squares would underflow
    held = float((scaled[stuck] ** 2).sum() / (scaled**2).sum()) if scaled.any() else math.nan
    mean = float(weights.mean())
    found = (
        float(stuck.mean()),
        held,
        float(weights[stuck].mean()) / mean if stuck.any() and mean else math.nan,
        rank_correlation(residuals, gradients),
    )
    return {f"stagnation.{name}": value for name, value in zip(names, found, strict=True)}


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's ρ, −1 to 1; NaN where one of them is constant or there are fewer than three."""
    if len(one) < 3 or not np.ptp(one) or not np.ptp(other):
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


def joint_ranks(one: Array, other: Array, classes: int) -> Array:
    """Shares of the samples by the ranks of both, (classes, classes): 1 / classes² if independent."""
    places = [np.argsort(np.argsort(values)) * classes // len(values) for values in (one, other)]
    counts = np.zeros((classes, classes))
    np.add.at(counts, tuple(places), 1.0)
    return counts / len(one)


@frozen
class Stagnation(Analyzer):
    """Samples of large residual and vanishing gradient: their share, what they hold, their weight.

    |r_i|, summed over the equations, against ‖∇_θ r_i‖ = √(Σ_k ‖∇_θ r_ki‖²) of the unweighted residuals
    at evenly spaced interior points. Such samples cannot be learnt by steps along the gradient, however
    wrong they are; attention gives them weight (arXiv 2403.18494). `stagnation.map` is their joint
    distribution over the ranks of both, rows by |r|, columns by ‖∇r‖.
    """

    name = "stagnation"
    schedule = Schedule(every=1000, early_every=50)

    points: int = option(256, "interior points, evenly spaced in their order; 0: all", at_least(0))

    def measure(self, view: View) -> Mapping[str, Any]:
        interior = view.points.interior
        count = min(self.points or len(interior), len(interior))
        chosen = torch.arange(count, device=interior.device) * len(interior) // count
        pieces = jacobian(view.residual_function, tuple(view.parameters.values()), interior[chosen])
        rows = torch.cat([sum(j.double().square().sum(1) for j in piece) for piece in pieces])  # type: ignore[misc]
        gradients = rows.reshape(count, -1).sum(1).sqrt().cpu().numpy()
        residuals = view.residuals[:, chosen].abs().sum(0).double().cpu().numpy()
        weights = view.weights[:, chosen].double().mean(0).cpu().numpy()
        found: dict[str, Any] = stagnation(residuals, gradients, weights)
        return found | {"stagnation.map": joint_ranks(residuals, gradients, RANKS)}

    def figures(self, records: Records) -> Iterable[Plot]:
        share = records.last("stagnation.share")
        if share is not None:
            yield Drawing(
                name="stagnation-map",
                title=f"{share:.0%} of the samples have a large residual and a small gradient",
                draw=lambda figure: _draw(figure, records),
                caption="Samples by the ranks of |r| and ‖∇r‖, at the first and the last measurement; "
                f"lower right: much is wrong and little can be done. Chance: 25 % there. {SOURCE}",
                height=2.3,
            )
        yield Curves(
            name="stagnation",
            title="Samples of large residual and small gradient",
            quantities={
                "stagnation.share": "share of the samples",
                "stagnation.residual": "their share of Σ r²",
            },
            ylabel="share",
            caption=f"|r| above its median, ‖∇r‖ below its own: ¼ by chance. {SOURCE}",
            log=False,
            limits=(0, 1.02),
        )
        yield Curves(
            name="stagnation-weight",
            title="What the weighting does to them",
            quantities={"stagnation.weight": "their mean weight over that of all"},
            ylabel="relative weight",
            caption=f"1 without weighting. {SOURCE}",
            log=False,
        )


def _draw(figure: Figure, records: Records) -> None:
    steps, maps = records.series("stagnation.map")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, place in zip(axes, (0, -1), strict=True):
        shares = np.array(maps[place], dtype=float) * RANKS**2
        image = axis.pcolormesh(shares.T[::-1], cmap="viridis", vmin=0, rasterized=True)
        axis.set_title(f"step {steps[place]:,}")
        axis.set_xlabel("rank of |r| →")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].set_ylabel("‖∇r‖ vanishes ↓")
    axes[0].invert_yaxis()
    figure.colorbar(image, ax=axes, label="samples over chance")
