"""How much of what training sees is rounding."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.recent import lately
from pinn.analyzers.spectrum_jacobian import ResidualFunction
from pinn.core import Analyzer, Conclusion, Curves, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pinn.core import Plot, Records, View

NOISE = 0.3
"""A share of rounding in the gradient from which more steps are in vain."""
FLOOR = "rounding.floor"


def relative_difference(rough: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """‖a − b‖₂ / ‖b‖₂ over all numbers of both, in float64; NaN where b is zero or one is not finite."""
    off, size = (
        float(torch.cat([part.reshape(-1) for part in parts]).norm())
        for parts in (
            [a.double() - b.double() for a, b in zip(rough, exact, strict=True)],
            [b.double() for b in exact],
        )
    )
    return off / size if size and math.isfinite(off + size) else math.nan


def residuals_and_gradient(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """r, (equations, n), and the gradient of Σ_k mean_i r_ki², one tensor a parameter."""
    own = tuple(parameter.detach().requires_grad_() for parameter in parameters)
    with torch.enable_grad():
        found = residual_function(own, points)
        loss = found.square().mean(1).sum()
        gradient = torch.autograd.grad(loss, own, materialize_grads=True)
    return found.detach(), gradient


def in_double(module: nn.Module, residual_function: ResidualFunction) -> ResidualFunction:
    """A residual function of this module that takes parameters and points in double precision.

    It calls the module through `torch.func.functional_call` with copies, in double, of all that is not
    handed in: buffers, such as the frequencies of Fourier features, and parameters that are not trained.
    The module keeps its own.
    """

    class Shell(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, parameters: tuple[Tensor, ...], points: Tensor) -> Tensor:
            return residual_function(parameters, points)

    shell = Shell()
    held = {
        name: tensor.detach().double()
        for name, tensor in chain(shell.named_parameters(), shell.named_buffers())
        if tensor.is_floating_point()
    }
    return lambda parameters, points: torch.func.functional_call(shell, held, (parameters, points))


@frozen
class Rounding(Analyzer):
    """Relative rounding error of the residuals, and of the gradient of their mean square.

    `rounding.residual` = ‖r₃₂ − r₆₄‖₂ / ‖r₆₄‖₂ and `rounding.gradient` likewise for the gradient of
    Σ_k mean_i r_ki²: the same parameters at the same points, in the run's precision, not compiled, and
    in double. Near 1, all that training sees is rounding, and only `precision = "float64"` goes further.
    `rounding.floor` is the first step at which 0.3 of the gradient was rounding: the run says so once,
    and a stage may end on it. A run in double precision records nothing: there is nothing to hold it
    against.

    Xu, Liu, Nassereldine & Xiong, *FP64 is all you need*, arXiv 2505.10949: in single precision L-BFGS
    stalls where double goes on.
    """

    name = "rounding"
    events = (FLOOR,)

    points: int = option(512, "interior points, evenly spaced in their order; 0: all", at_least(0))

    def measure(self, view: View) -> Mapping[str, Any]:
        interior = view.points.interior
        if interior.dtype == torch.float64:
            return {}
        points = interior[evenly_spaced(interior, self.points)]
        function, parameters = view.residual_function, tuple(view.parameters.values())
        r, gradient = residuals_and_gradient(function, parameters, points)
        exact_r, exact_gradient = residuals_and_gradient(
            in_double(view.module, function), [p.double() for p in parameters], points.double()
        )
        share = relative_difference(gradient, exact_gradient)
        found = {
            "rounding.residual": relative_difference([r], [exact_r]),
            "rounding.gradient": share,
        }
        if share > NOISE and FLOOR not in view.records:
            warnings.warn(
                f"rounding makes up {share:.0%} of the gradient: the floor of this precision is "
                'reached, and only [run] precision = "float64" goes further',
                stacklevel=2,
            )
            return {**found, FLOOR: view.step}
        return found

    def figures(self, records: Records) -> Iterable[Plot]:
        last = records.last("rounding.gradient")
        yield Curves(
            name="rounding",
            title="How much of residuals and gradient is rounding?"
            if last is None
            else f"Rounding is {last:.1g} of the gradient at the end",
            quantities={"rounding.residual": "residuals", "rounding.gradient": "gradient"},
            ylabel="relative rounding error",
            caption="‖a − b‖ / ‖b‖ of the residuals and of the gradient of their mean square, a in the "
            "run's precision and b in double, at the same parameters and points. Near 1 the floor of "
            "the precision is reached (Xu et al., arXiv 2505.10949).",
        )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        share = lately(records, "rounding.gradient")
        if share is not None and share > NOISE:
            yield Conclusion(
                f"Rounding makes up {share:.0%} of the gradient: the floor of single precision is "
                "reached.",
                '[run] precision = "float64"',
                "Xu, Liu, Nassereldine & Xiong 2025, arXiv 2505.10949",
            )
