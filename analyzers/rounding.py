"""How much of what training sees is rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.analyzers.recent import lately
from pinn.core import Analyzer, Conclusion, Curves, Schedule, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View

ResidualFunction = Callable[["tuple[Tensor, ...]", "Tensor"], "Tensor"]

NOISE = 0.3
"""A share of rounding in the gradient from which more steps are in vain."""


def relative_difference(rough: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """‖a − b‖₂ / ‖b‖₂ over all numbers of both, in float64; NaN where b is zero or not finite."""
    pairs = list(zip(rough, exact, strict=True))
    off = math.hypot(*(float((a.double() - b.double()).norm()) for a, b in pairs))
    size = math.hypot(*(float(b.double().norm()) for _, b in pairs))
    return off / size if size and math.isfinite(size) else math.nan


def residuals_and_gradient(
    function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The residuals (equations, n), and the gradient of Σ_k mean_i r_ki²."""
    own = tuple(parameter.detach().requires_grad_() for parameter in parameters)
    with torch.enable_grad():
        found = function(own, points)
        loss = found.square().mean(1).sum()
        gradient = torch.autograd.grad(loss, own, materialize_grads=True)
    return found.detach(), gradient


@frozen
class Rounding(Analyzer):
    """Relative rounding error of the residuals and of their loss's gradient, in single precision.

    `rounding.residual` = ‖r₃₂ − r₆₄‖₂ / ‖r₆₄‖₂, and `rounding.gradient` likewise for the gradient of
    Σ_k mean_i r_ki²: the same parameters and points, in the run's precision and in double. Near 1, what
    training sees is rounding. A run in double precision is not measured.
    """

    name = "rounding"
    schedule = Schedule(every=1000, early_every=100)

    points: int = option(512, "interior points, evenly spaced in their order", at_least(1))

    def measure(self, view: View) -> Mapping[str, Any]:
        interior = view.points.interior
        if interior.dtype == torch.float64:
            return {}
        count = min(self.points, len(interior))
        chosen = interior[torch.arange(count, device=interior.device) * len(interior) // count]
        parameters = tuple(view.parameters.values())
        exact = tuple(parameter.double() for parameter in parameters)
        rough = residuals_and_gradient(view.residual_function, parameters, chosen)
        double = residuals_and_gradient(view.residual_function, exact, chosen.double())
        return {
            "rounding.residual": relative_difference([rough[0]], [double[0]]),
            "rounding.gradient": relative_difference(rough[1], double[1]),
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        yield Curves(
            name="rounding",
            title="How much of the residuals and of their gradient is rounding",
            quantities={"rounding.residual": "residuals", "rounding.gradient": "gradient"},
            ylabel="relative rounding error",
            caption="Difference to the same numbers in double precision, over their norm. Near 1, "
            "training sees noise.",
        )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        share = lately(records, "rounding.gradient")
        if share is not None and share > NOISE:
            yield Conclusion(
                f"Rounding makes up {share:.0%} of the gradient: the floor of single precision is "
                "reached.",
                '[run] precision = "float64"',
                "Higham 2002, Accuracy and Stability of Numerical Algorithms",
            )
