"""Whether an optimizer's step changes all samples alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.homogeneity import order, variation
from pinn.core import Analyzer, Curves

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View

SOURCE = "Anagnostopoulos et al., arXiv 2403.18494."


def sensitivity(before: NDArray[Any], after: NDArray[Any]) -> dict[str, float]:
    """What a step changes of the residuals r, (equations, points) before and after it.

    With δ_i = Σ_k |Δr_ki|, Δr = after − before, and |r_i| = Σ_k |r_ki|, so that neither the sign nor the
    order of the equations matters:

    - order: mean δ / √(mean δ²), between 0 and 1; 1 if all points change alike, also if none does.
      √(2/π) = 0.80 for one equation whose Δr are normally distributed about 0.
    - variation: standard deviation over mean of δ, identically √(1 / order² − 1).
    - drift: mean Δ|r| / √(mean (Δ|r|)²), between −1 and 1: −1 if all fall by the same, 0 if what some
      lose others gain; NaN if nothing changes.
    - descent: share of the points whose |r| falls.

    All are NaN where a residual is not finite. After Anagnostopoulos et al., arXiv 2403.18494, who call
    total diffusion the state in which the step is equally sensitive to every sample.
    """
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return dict.fromkeys(("order", "variation", "drift", "descent"), math.nan)
    change = np.abs(after - before).sum(0)
    growth = np.abs(after).sum(0) - np.abs(before).sum(0)
    largest = float(np.abs(growth).max())
    scaled = growth / (largest or 1.0)  # squares would underflow
    return {
        "order": order(change),
        "variation": variation(change),
        "drift": float(scaled.mean() / np.sqrt((scaled**2).mean())) if largest else math.nan,
        "descent": float((growth < 0).mean()),
    }


@frozen
class Sensitivity(Analyzer):
    """How alike a step changes the samples: order of |Δr_i|, and the share of those that it improves.

    Δr_i = r_i(θ after the step) − r_i(θ before it), to first order ∇r_i · Δθ, at all interior points. In
    total diffusion the optimizer's step is equally sensitive to every sample (arXiv 2403.18494): the
    order tends to 1. Of several equations the |Δr| are summed.
    """

    name = "sensitivity"

    def start(self, points: Tensor) -> Tensor:
        """(0, points): no step was made."""
        return points.new_empty(0, len(points))

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        """The residuals at which the step began, (equations, points)."""
        return residuals.clone()

    def measure(self, view: View) -> Mapping[str, Any]:
        before, after = view.memories.get(self.name), view.residuals
        if before is None or before.shape != after.shape:
            return {}  # a loop that is watched may not tell every step
        found = sensitivity(before.double().cpu().numpy(), after.double().cpu().numpy())
        return {f"sensitivity.{name}": value for name, value in found.items()}

    def figures(self, records: Records) -> Iterable[Plot]:
        last, falls = records.last("sensitivity.order"), records.last("sensitivity.descent")
        yield Curves(
            name="sensitivity",
            title="Does a step change all samples alike?"
            if last is None
            else f"How alike a step changes all samples: order {last:.2f} at the end",
            quantities={"sensitivity.order": "|Δr|"},
            ylabel="order of |Δr|",
            caption="mean |Δr| / √(mean Δr²) over the points, Δr what one step changes of a residual: 1 "
            f"if the step is equally sensitive to every sample, 0.80 if Δr is normal noise. {SOURCE}",
            log=False,
            limits=(0, 1.02),
            noisy=True,
        )
        yield Curves(
            name="descent",
            title="How many samples does a step improve?"
            if falls is None
            else f"The last step lowers |r| at {falls:.0%} of the points",
            quantities={"sensitivity.descent": "points whose |r| falls"},
            ylabel="share of the points",
            caption="½: a step spoils as many samples as it improves, as by chance.",
            log=False,
            limits=(0, 1.02),
            noisy=True,
        )
