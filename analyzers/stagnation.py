"""Samples whose residual is large and whose gradient vanishes: no step along the gradient mends them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.spectrum_jacobian import ResidualFunction, jacobian
from pinn.core import Analyzer, Curves, Drawing, Schedule, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from pinn.core import Plot, Records, View

Array = NDArray[np.float64]

CLASSES = 12
"""Of as many points each, by |r| and by ‖∇r‖, in the joint distribution that is drawn."""
SOURCE = "Anagnostopoulos et al., arXiv 2403.18494 and 2307.00379."


def gradient_norms(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> Array:
    """‖∇_θ r_i‖ = √(Σ_k ‖∇_θ r_ki‖²) over the equations k, (points,), by pieces of the Jacobian."""
    rows = [
        torch.stack([torch.linalg.vector_norm(j, dim=1, dtype=torch.float64) for j in piece])
        for piece in jacobian(residual_function, parameters, points)
    ]
    norms = torch.cat(rows, 1).norm(dim=0).reshape(len(points), -1).norm(dim=1)
    return np.asarray(norms.cpu())


def stagnation(residuals: Array, gradients: Array, weights: Array) -> dict[str, float]:
    """The points whose |r| is above its median and whose ‖∇r‖ is below its own.

    - share: of the points, 0 to ½; ¼ if |r| and ‖∇r‖ are independent.
    - residual: the share of Σ r² that they hold; NaN where all residuals are zero.
    - weight: their mean weight over that of all; NaN where there are none, or no weights.
    - rank_correlation: of |r| and ‖∇r‖ at all points, as `rank_correlation`.

    All are NaN where a number is not finite.

    Args:
        residuals: |r_i|, (points,).
        gradients: ‖∇_θ r_i‖, (points,).
        weights: λ_i, (points,).
    """
    if not np.isfinite([residuals, gradients, weights]).all():
        return dict.fromkeys(("share", "residual", "weight", "rank_correlation"), math.nan)
    stuck = (residuals > np.median(residuals)) & (gradients < np.median(gradients))
    squares = (residuals / (residuals.max() or 1.0)) ** 2
    mean = float(weights.mean())
    return {
        "share": float(stuck.mean()),
        "residual": float(squares[stuck].sum() / squares.sum()) if squares.any() else math.nan,
        "weight": float(weights[stuck].mean()) / mean if stuck.any() and mean else math.nan,
        "rank_correlation": rank_correlation(residuals, gradients),
    }


def ranks(values: Array) -> Array:
    """1 for the least to n for the largest, (n,); equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last: Array = (counts.cumsum() - (counts - 1) / 2)[places]
    return last


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's ρ, the correlation of the ranks, −1 to 1; NaN where one of the two is constant."""
    a, b = (found - found.mean() for found in (ranks(one), ranks(other)))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return max(min(float(a @ b) / size, 1.0), -1.0) if size else math.nan


def joint_ranks(one: Array, other: Array, classes: int) -> Array:
    """How many points are in each class by both ranks, (classes, classes): rows by `one`.

    A class holds as many points as the others where no two values are equal, so that every cell has
    n / classes² if both are independent.
    """
    places = [
        ((ranks(values) - 0.5) * classes / len(values)).astype(np.int64) for values in (one, other)
    ]
    counts = np.zeros((classes, classes))
    np.add.at(counts, tuple(places), 1.0)
    return counts


@frozen
class Stagnation(Analyzer):
    """Points of large residual and vanishing gradient: how many, what they hold, what weight they have.

    |r_i| = √(Σ_k r_ki²) against ‖∇_θ r_i‖ = √(Σ_k ‖∇_θ r_ki‖²) over the equations, of the unweighted
    residuals at interior points evenly spaced in their order, the same ones at every step. Such points
    hardly learn by steps along the gradient, however wrong they are; attention gives them weight (arXiv
    2307.00379). `stagnation.map` counts the points by their ranks, rows by |r|, columns by ‖∇r‖.
    """

    name = "stagnation"
    schedule = Schedule(every=1000, early_every=50)

    points: int = option(512, "interior points, evenly spaced in their order; 0: all", at_least(0))

    def measure(self, view: View) -> Mapping[str, Any]:
        interior = view.points.interior
        chosen = evenly_spaced(interior, self.points)
        points, parameters = interior[chosen], tuple(view.parameters.values())
        gradients = gradient_norms(view.residual_function, parameters, points)
        sizes = np.asarray(view.residuals[:, chosen].double().norm(dim=0).cpu())
        weights = np.asarray(view.weights[:, chosen].double().mean(0).cpu())
        found = stagnation(sizes, gradients, weights)
        return {
            **{f"stagnation.{name}": value for name, value in found.items()},
            "stagnation.map": joint_ranks(sizes, gradients, CLASSES),
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        share = records.last("stagnation.share")
        if share is not None:
            yield Drawing(
                name="stagnation-map",
                title=f"{share:.0%} of the points have a large residual and a small gradient",
                draw=lambda figure: _draw(figure, records),
                caption="Points by the ranks of |r| and of ‖∇r‖, at the first and the last measurement, "
                "over what each cell had if both were independent. White lines are the medians: below "
                "right of them much is wrong and little can be done about it, a quarter of the points "
                f"by chance. {SOURCE}",
                height=2.1,
            )
        yield Curves(
            name="stagnation",
            title="Points of large residual and small gradient",
            quantities={
                "stagnation.share": "share of the points",
                "stagnation.residual": "share of Σ r²",
            },
            ylabel="share",
            caption=f"|r| above its median, ‖∇r‖ below its own: ¼ of the points by chance. {SOURCE}",
            log=False,
            limits=(0, 1.02),
        )
        yield Curves(
            name="stagnation-weight",
            title="The weight of points of large residual and small gradient",
            quantities={"stagnation.weight": "their mean λ over that of all"},
            ylabel="relative weight",
            caption=f"1 without weighting; above 1 the weighting makes up for their gradients. {SOURCE}",
            log=False,
        )


def _draw(figure: Figure, records: Records) -> None:
    """The first and the last map side by side, |r| to the right and ‖∇r‖ upwards."""
    steps, maps = records.series("stagnation.map")
    shown = sorted({0, len(steps) - 1})
    axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    relative = [np.array(maps[place], dtype=float) for place in shown]
    relative = [counts / counts.mean() for counts in relative]
    for axis, place, values in zip(axes, shown, relative, strict=True):
        image = axis.pcolormesh(
            *(np.linspace(0, 1, len(values) + 1),) * 2, values.T,
            cmap="viridis", vmin=0, vmax=max(one.max() for one in relative), rasterized=True,
        )  # fmt: skip
        axis.axhline(0.5, color="white", linewidth=0.6)
        axis.axvline(0.5, color="white", linewidth=0.6)
        axis.set_title(f"step {steps[place]:,}")
        axis.set_xlabel("rank of |r|")
        axis.set_aspect("equal")
    axes[0].set_ylabel("rank of ‖∇r‖")
    figure.colorbar(image, ax=axes, label="points over chance")
