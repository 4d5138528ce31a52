"""How alike an optimizer's step changes all samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.analyzers.homogeneity import order, variation
from pinn.core import Analyzer, Curves
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View


@frozen
class Sensitivity(Analyzer):
    """How alike a step changes the residuals of all samples: order of |Δr_i|, share of those that fall.

    Δr_i = r_i(θ after the step) − r_i(θ before), which is ∇r_i · Δθ to first order, of the sum of the
    equations' residuals. In total diffusion the step is equally sensitive to every sample (arXiv
    2403.18494).
    """

    name = "sensitivity"

    def start(self, points: Tensor) -> Tensor:
        return torch.full_like(points[:, 0], math.nan)

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        """The residuals where the step begins, (points,)."""
        return residuals.sum(0)

    def measure(self, view: View) -> Mapping[str, Any]:
        if self.name not in view.memories:  # a loop that is watched may not tell every step
            return {}
        before, after = view.memories[self.name].double(), view.residuals.sum(0).double()
        change = (after - before).abs().cpu().numpy()
        fallen = after.abs() < before.abs()
        return {
            "sensitivity.order": order(change),
            "sensitivity.variation": variation(change),
            "sensitivity.descent": float(fallen.double().mean()),
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        last = records.last("sensitivity.order")
        yield Curves(
            name="sensitivity",
            title="How alike a step changes all samples"
            if last is None
            else f"At the end a step changes the samples with an order of {last:.2f}",
            quantities={
                "sensitivity.order": "order of |Δr|",
                "sensitivity.descent": "share that fall",
            },
            ylabel="order, share",
            caption="Order: mean over root mean square of |Δr_i|, what one step changes of each "
            "residual; 1 if all change alike. Share of the samples whose |r| the step lowers; ½ by "
            "chance (arXiv 2403.18494).",
            log=False,
            limits=(0, 1.02),
            noisy=True,
        )
