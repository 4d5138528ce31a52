"""Steps of self-scaled quasi-Newton methods, as a torch optimizer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from attrs import asdict
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.lbfgs import _strong_wolfe

from pinn.core import Closure
from pinn.plugins.optimizers.gauss_newton_steps import normal_equations
from pinn.plugins.optimizers.inverse_hessian import InverseHessian

FUTILE = (
    "no step of the line search lowers the loss, from a matrix that has just begun either: it may be at "
    "the floor of the precision. The network stays as it is until points or weights change"
)


class SelfScaledSteps(torch.optim.Optimizer):
    """Quasi-Newton steps along −Hg that satisfy the strong Wolfe conditions (c₁ = 1e-4, c₂ = 0.9).

    The inverse Hessian H is the state of the first parameter. Its one group has `made`, the steps since
    H began, `resets`, how often it began anew, and of the last step its `step_length` α, the
    `evaluations` of the loss and `lowest`, where the slope along its line vanishes as far as the slopes
    at both ends tell: the length that the next search tries first.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        broyden: bool,
        evaluations: int,
        check: int,
        damping: float | None,
        rows: int,
    ) -> None:
        options = {"broyden": broyden, "max_evaluations": evaluations, "check": check}
        super().__init__(parameters, options | {"damping": damping, "rows": rows})
        (group,) = self.param_groups
        group |= {"made": 0, "resets": 0, "lowest": 1.0}

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        (group,) = self.param_groups
        parameters: list[Tensor] = group["params"]
        loss, gradient = self._loss_and_gradient(closure)
        if self._is_futile(gradient):
            return loss
        here = parameters_to_vector(parameters)
        inverse = self._inverse(here, closure)
        image = self._image(inverse, gradient)
        direction = -image
        slope = float(gradient @ direction)
        if not slope < 0:
            self._fail(gradient)
            return loss
        unit = 2.0 ** math.frexp(float(loss))[1]  # a power of two: scaling by it is exact
        first = min(1.0, group["lowest"])
        if group["damping"] is None and not group["made"]:
            first = float(loss) / -slope  # where the tangent along g reaches zero

        def at(_: Any, length: float, along: Tensor) -> tuple[float, Tensor]:
            vector_to_parameters(here + length * along, parameters)
            found, slopes = self._loss_and_gradient(closure)
            return float(found) / unit, slopes / unit

        found, slopes, length, evaluations = _strong_wolfe(
            at, here, first, direction, float(loss) / unit, gradient / unit, slope / unit,
            tolerance_change=0.0, max_ls=group["max_evaluations"],
        )  # fmt: skip
        group |= {"step_length": float(length), "evaluations": evaluations}
        if not found < float(loss) / unit:
            vector_to_parameters(here, parameters)
            self._fail(gradient)
            return loss
        moved = length * direction
        vector_to_parameters(here + moved, parameters)
        after = slopes * unit
        turned = float(after @ direction) - slope
        if turned > 0:
            group["lowest"] = float(length) * -slope / turned
        images = image, inverse @ after
        image = inverse.update(moved, (gradient, after), images, length, group["broyden"])
        group["made"] += 1
        if group["made"] % group["check"] == 0 and not inverse.made_symmetric():
            self._begin_anew()
            return loss
        state = self.state[parameters[0]]
        state |= {"inverse": asdict(inverse, recurse=False), "gradient": after, "image": image}
        return loss

    def _loss_and_gradient(self, closure: Closure) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            loss = closure()
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        return loss, parameters_to_vector(gradients)

    def _inverse(self, like: Tensor, closure: Closure) -> InverseHessian:
        (group,) = self.param_groups
        state = self.state[group["params"][0]]
        if "inverse" in state:
            return InverseHessian(**state["inverse"])
        found = None
        if group["damping"] is not None:
            equations = normal_equations(closure, like, group["rows"], once=True)
            found = equations.inverse(group["damping"])
        return InverseHessian(
            torch.eye(len(like), dtype=like.dtype, device=like.device)
            if found is None
            else (found / 2).to(like)
        )

    def _image(self, inverse: InverseHessian, gradient: Tensor) -> Tensor:
        """Hg, which the last update has found already unless points or weights have changed."""
        state = self.state[self.param_groups[0]["params"][0]]
        if "gradient" in state and torch.equal(gradient, state["gradient"]):
            known: Tensor = state["image"]
            return known
        return inverse @ gradient

    def _begin_anew(self) -> None:
        (group,) = self.param_groups
        if group["made"]:
            group["resets"] += 1
        group |= {"made": 0, "lowest": 1.0}
        self.state[group["params"][0]].clear()

    def _fail(self, gradient: Tensor) -> None:
        """Begin anew; where the matrix had just begun, nothing more is to be had at this gradient."""
        (group,) = self.param_groups
        just_begun = not group["made"]
        self._begin_anew()
        if just_begun:
            self.state[group["params"][0]]["futile"] = gradient.clone()
            warnings.warn(FUTILE, stacklevel=2)

    def _is_futile(self, gradient: Tensor) -> bool:
        """Whether a step from here was in vain, and nothing has changed since."""
        (group,) = self.param_groups
        state = self.state[group["params"][0]]
        if "futile" not in state:
            return False
        if torch.equal(gradient, state["futile"]):
            group |= {"step_length": 0.0, "evaluations": 1}
            return True
        state.clear()
        return False
