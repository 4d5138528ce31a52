"""Steps of self-scaled quasi-Newton methods, as a torch optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.lbfgs import _strong_wolfe

from pinn.core import Closure
from pinn.plugins.optimizers.gauss_newton_steps import normal_equations

HELD = 3
"""Square matrices at once, where the inverse begins and where it is made symmetric."""


class SelfScaledSteps(torch.optim.Optimizer):
    """Quasi-Newton steps along −Hg that satisfy the strong Wolfe conditions (c₁ = 1e-4, c₂ = 0.9).

    The inverse Hessian H is the state of the first parameter. Its one group has `made`, the steps since
    H began, `resets`, how often it began anew, and of the last step its `step_length` α and the
    `evaluations` of the loss.
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
        group |= {"made": 0, "resets": 0}

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        (group,) = self.param_groups
        parameters: list[Tensor] = group["params"]
        loss, gradient = self._loss_and_gradient(closure)
        here = parameters_to_vector(parameters)
        inverse = self._inverse(here, closure)
        image = self._image(inverse, gradient)
        direction = -image
        slope = float(gradient @ direction)
        if not slope < 0:
            self._begin_anew()
            return loss
        identity = group["damping"] is None and not group["made"]
        unit = 2.0 ** math.frexp(float(loss))[1]  # a power of two: scaling by it is exact
        first = float(loss) / -slope if identity else 1.0  # where the tangent along g reaches zero

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
            self._begin_anew()
            return loss
        moved = length * direction
        vector_to_parameters(here + moved, parameters)
        after = slopes * unit
        images = image, inverse @ after
        state = self.state[parameters[0]]
        state["gradient"] = after
        state["image"] = update(inverse, moved, (gradient, after), images, length, group["broyden"])
        group["made"] += 1
        if group["made"] % group["check"] == 0 and not _made_symmetric(inverse):
            self._begin_anew()
        return loss

    def _loss_and_gradient(self, closure: Closure) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            loss = closure()
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        return loss, parameters_to_vector(gradients)

    def _inverse(self, like: Tensor, closure: Closure) -> Tensor:
        (group,) = self.param_groups
        state = self.state[group["params"][0]]
        if "inverse" not in state:
            found = None
            if group["damping"] is not None:
                found = normal_equations(closure, like, group["rows"], once=True).inverse(
                    group["damping"]
                )
            state["inverse"] = (
                torch.eye(len(like), dtype=like.dtype, device=like.device)
                if found is None
                else (found / 2).to(like)
            )
        inverse: Tensor = state["inverse"]
        return inverse

    def _image(self, inverse: Tensor, gradient: Tensor) -> Tensor:
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
        group["made"] = 0
        self.state[group["params"][0]].clear()


def update(
    inverse: Tensor,
    moved: Tensor,
    gradients: tuple[Tensor, Tensor],
    images: tuple[Tensor, Tensor],
    length: float,
    broyden: bool,
) -> Tensor:
    """H₊ in place of H, such that H₊y = s; nothing where yᵀs is not positive. Returns H₊g₊.

    H₊ = [H − Hy yᵀH/(yᵀHy) + φ (yᵀHy) vvᵀ]/τ + ρ ssᵀ, v = ρs − Hy/(yᵀHy), ρ = 1/yᵀs.

    Args:
        inverse: H, (n, n), symmetric and positive definite.
        moved: s = −α Hg, (n,).
        gradients: g and g₊ at both ends; y = g₊ − g.
        images: Hg and Hg₊.
        length: α.
    """
    difference, image = (after - before for before, after in (gradients, images))
    curvature = float(difference @ moved)
    if not curvature > 0:
        return images[1]
    quadratic = float(difference @ image)
    tau, phi = scalings(
        h=quadratic / curvature,
        b=-length * float(moved @ gradients[0]) / curvature,
        parameters=len(moved),
        broyden=broyden,
    )
    v = moved / curvature - image / quadratic
    left = torch.stack([image, v, moved], 1)
    right = left * left.new_tensor([-1 / (tau * quadratic), phi * quadratic / tau, 1 / curvature])
    torch.addmm(inverse, left, right.T, beta=1 / tau, out=inverse)
    return images[1] / tau + left @ (right.T @ gradients[1])


def scalings(h: float, b: float, parameters: int, broyden: bool) -> tuple[float, float]:
    """τ and φ of an update (Urbán, Stefanou & Pons 2025, section 3; Al-Baali & Khalfan 2005).

    Args:
        h: yᵀHy / yᵀs.
        b: sᵀBs / yᵀs, B = H⁻¹.
    """
    if not broyden:
        return min(1.0, 1 / b), 1.0
    a = max(b * h - 1, 1e-16)  # Cauchy and Schwarz: not below 0 but for rounding
    c = math.sqrt(a / (1 + a))
    rho = min(1.0, h * (1 - c))
    low, high = (rho - 1) / a, 1 / rho
    theta = max(low, min(high, (1 - b) / b))
    sigma = 1 + theta * a
    power = abs(sigma) ** (1 / (1 - parameters))
    bfgs = min(1.0, 1 / b)
    tau = min(bfgs * power, sigma) if theta <= 0 else bfgs * min(power, 1 / theta)
    return tau, (1 - theta) / (1 + a * theta)


def _made_symmetric(inverse: Tensor) -> bool:
    """Whether the matrix, made symmetric, is positive definite."""
    inverse.copy_((inverse + inverse.T) / 2)
    _, failed = torch.linalg.cholesky_ex(inverse)
    return not int(failed)
