"""How evenly residuals and weights are spread over the domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.grid_cells import cell_means, cell_numbers
from pinn.analyzers.homogeneity_neighbours import nearest_of, neighbour_order
from pinn.core import Analyzer, Curves, Drawing, above, between, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from pinn.core import Plot, Records, View


def order(values: NDArray[Any]) -> float:
    """φ = mean(v) / √mean(v²) of values that are not negative, between 0 and 1; 1 if all are equal.

    NaN, as of an empty cell, is left out. All zero: equal too, so 1. No values: NaN.
    """
    kept = np.asarray(values, float)
    kept = kept[~np.isnan(kept)]
    if not kept.size:
        return math.nan
    largest = kept.max()
    if largest == 0:
        return 1.0
    kept = kept / largest  # squares would underflow
    return min(float(kept.mean() / np.sqrt((kept**2).mean())), 1.0)


def variation(values: NDArray[Any]) -> float:
    """Coefficient of variation σ / mean of values that are not negative; identically √(1/φ² − 1)."""
    return _over_mean(np.std, values, of_zeros=0.0)


def peak(values: NDArray[Any]) -> float:
    """max / mean of values that are not negative, between 1 and their number."""
    return _over_mean(np.max, values, of_zeros=1.0)


def _over_mean(
    measure: Callable[[NDArray[Any]], Any], values: NDArray[Any], of_zeros: float
) -> float:
    if not len(values):
        return math.nan
    mean = float(np.mean(values))
    return float(measure(values)) / mean if mean else of_zeros


NEIGHBOURS = 4
"""Nearest points that each point is compared with."""
FOLLOWED = "residual_order.rba.neighbours"
"""φ_n of the weights that are followed: what phases are found by."""


@frozen
class Homogeneity(Analyzer):
    """Residual order φ_r of weights and residuals, coefficient of variation, peak over mean.

    φ_r = mean_c λ̄_c / √(mean_c λ̄_c²) over the cell means λ̄_c on a G x G grid (arXiv 2403.18494), and
    over strips across the last coordinate, as its authors have it for Helmholtz. λ is the residual-based
    attention of the run's residuals with these γ and η, followed whatever the weighting is, so that all
    runs can be compared; the run's own weights are measured besides.

    Means of cells are alike, too, where a period of the solution divides the cells. What nearest points
    have in common tells: φ_n = λ̄ / √(λ̄² + C), C the covariance of λ at neighbouring points. Phases are
    found by φ_n of the weights that are followed.
    """

    name = "homogeneity"

    cells: int = option(10, "G, cells of the grid in each coordinate", between(1, 1000))
    strips: int = option(100, "S, strips across the last coordinate", between(1, 1_000_000))
    gamma: float = option(0.999, "memory γ of the weights that are followed", between(0, 1))
    eta: float = option(0.001, "learning rate η of the weights that are followed", above(0))

    def start(self, points: Tensor) -> Tensor:
        return torch.zeros_like(points[:, 0])

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        """λ ← γ λ + η |r| / max|r|, with |r| summed over the equations (arXiv 2307.00379)."""
        size = residuals.abs().sum(0)
        largest = size.max()
        return self.gamma * memory + self.eta * torch.where(largest > 0, size / largest, 0.0)

    def measure(self, view: View) -> Mapping[str, Any]:
        domain = view.problem.domain
        points = _array(view.points.interior)
        cells = _Parts.of(cell_numbers(points, domain.lower, domain.upper, self.cells))
        last = points[:, -1:], domain.lower[-1:], domain.upper[-1:]
        strips = _Parts.of(cell_numbers(*last, self.strips))
        neighbours = nearest_of(view.points.interior, domain.lower, domain.upper, NEIGHBOURS)
        size = _array(view.residuals.abs().sum(0))
        weights = [cells.means(_array(row)) for row in view.weights]
        in_cells, in_strips = f"{self.cells}cells", f"{self.strips}strips"
        found = {
            f"residual_order.weights.{in_cells}": order(np.concatenate(weights)),
            f"residual_order.residuals.{in_cells}": order(cells.means(size)),
            f"residual_order.residuals.{in_strips}": order(strips.means(size)),
            "residual_order.residuals.neighbours": neighbour_order(size, neighbours),
            "residual_order.points": order(size),
            "residual_variation": variation(size),
            "residual_peak": peak(size),
        }
        if self.name not in view.memories:  # a loop that is watched may not tell every step
            return found
        followed = _array(view.memories[self.name])
        means = cells.means(followed)
        return found | {
            f"residual_order.rba.{in_cells}": order(means),
            f"residual_order.rba.{in_strips}": order(strips.means(followed)),
            FOLLOWED: neighbour_order(followed, neighbours),
            "weight_cell_mean": float(np.mean(means)),
            "weight_cell_rms": float(np.sqrt(np.mean(means**2))),
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        in_cells, in_strips = f"{self.cells}cells", f"{self.strips}strips"
        if records.last(FOLLOWED) is not None:
            yield Drawing(
                name="orders",
                title="Order of the gradients and of the residuals, and the error",
                draw=lambda figure: _orders(figure, records),
                caption="φ_g is 1 where the gradients of all batches agree, φ_n where the weights of "
                "residual-based attention have nothing in common at neighbouring points but their mean. "
                "Total diffusion is where both are near 1 (arXiv 2403.18494; figures after it).",
                height=3.2,
                over_steps=True,
            )
        yield Curves(
            name="residual-order",
            title="How evenly the residuals are spread",
            quantities={
                FOLLOWED: "RBA weights, neighbours",
                f"residual_order.rba.{in_cells}": f"RBA weights, {self.cells} cells a coordinate",
                f"residual_order.rba.{in_strips}": f"RBA weights, {self.strips} strips",
                f"residual_order.weights.{in_cells}": "weights in the loss, cells",
                "residual_order.residuals.neighbours": "|r|, neighbours",
            },
            ylabel="residual order",
            caption="Cells and strips: φ_r, mean over root mean square of their averages, 1 if all are "
            "alike (arXiv 2403.18494). Neighbours: φ_n = v̄ / √(v̄² + C), C the covariance at neighbours; "
            "no period of the solution hides there.",
            log=False,
            limits=(0, 1.02),
        )
        yield Curves(
            name="residual-variation",
            title="Scatter of |r| from point to point",
            quantities={"residual_variation": "σ / mean", "residual_peak": "max / mean"},
            ylabel="of |r| over the points",
        )


def _orders(figure: Figure, records: Records) -> None:
    """Both orders from 0 to 1 above, the error below, over the same steps."""
    upper, lower = figure.subplots(2, sharex=True)
    for name, label in {"gradient_order": "gradients φ_g", FOLLOWED: "residuals φ_n"}.items():
        upper.plot(*records.series(name), ".", markersize=2.5, label=label)
    upper.set_ylim(-0.03, 1.03)
    upper.set_ylabel("order")
    figure.legend(loc="outside upper left", ncols=2, markerscale=3)
    error = "rel_l2" if "rel_l2" in records.names else "loss.unweighted"
    lower.loglog(*records.series(error), color="C2")
    lower.set_ylabel("relative L2 error" if error == "rel_l2" else "unweighted loss")


@frozen(eq=False)
class _Parts:
    """Which part of the domain each point is in; of many cells in many coordinates, few have points."""

    count: int
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> _Parts:
        occupied, numbers = np.unique(numbers, return_inverse=True)
        return cls(len(occupied), numbers)

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return cell_means(values, self.numbers, self.count)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.double().cpu().numpy()
