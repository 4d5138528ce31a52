"""The dense inverse Hessian of self-scaled quasi-Newton methods."""

from __future__ import annotations

import math

import torch
from attrs import define, field
from torch import Tensor

TOGETHER = 16
"""Updates that are added to the matrix at once: one passes through memory as fast as sixteen."""


@define(eq=False)
class InverseHessian:
    """H = s A + LᵀR, where L and R are the updates that wait to be added to the matrix A.

    Attributes:
        matrix: A, (n, n).
        scale: s.
        waiting: L and R, (2, 3 `TOGETHER`, n).
        rows: how many of those there are, three an update.
    """

    matrix: Tensor
    scale: float = 1.0
    waiting: Tensor = field()
    rows: int = 0

    @waiting.default
    def _none_waiting(self) -> Tensor:
        return self.matrix.new_zeros(2, 3 * TOGETHER, len(self.matrix))

    def __matmul__(self, vector: Tensor) -> Tensor:
        """H times a vector, (n,)."""
        left, right = self.waiting[:, : self.rows]
        return torch.addmv(left.T @ (right @ vector), self.matrix, vector, alpha=self.scale)

    def whole(self) -> Tensor:
        """H itself, (n, n), into which everything that waited is added."""
        left, right = self.waiting[:, : self.rows]
        torch.addmm(self.matrix, left.T, right, beta=self.scale, out=self.matrix)
        self.scale, self.rows = 1.0, 0
        return self.matrix

    def update(
        self,
        moved: Tensor,
        gradients: tuple[Tensor, Tensor],
        images: tuple[Tensor, Tensor],
        length: float,
        broyden: bool,
    ) -> Tensor:
        """H₊ in place of H, such that H₊y = s; nothing where yᵀs is not positive. Returns H₊g₊.

        H₊ = [H − Hy yᵀH/(yᵀHy) + φ (yᵀHy) vvᵀ]/τ + ρ ssᵀ, v = ρs − Hy/(yᵀHy), ρ = 1/yᵀs.

        Args:
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
        left = torch.stack([image, v, moved])
        sizes = left.new_tensor([-1 / (tau * quadratic), phi * quadratic / tau, 1 / curvature])
        right = sizes[:, None] * left
        self._add(left, right, tau)
        return images[1] / tau + left.T @ (right @ gradients[1])

    def _add(self, left: Tensor, right: Tensor, tau: float) -> None:
        """H/τ + LᵀR of this update in place of H."""
        self.scale /= tau
        self.waiting[1, : self.rows] /= tau
        end = self.rows + len(left)
        self.waiting[:, self.rows : end] = torch.stack([left, right])
        self.rows = end
        if end == self.waiting.shape[1]:
            self.whole()

    def made_symmetric(self) -> bool:
        """Whether H, made symmetric, is positive definite."""
        matrix = self.whole()
        matrix.copy_((matrix + matrix.T) / 2)
        _, failed = torch.linalg.cholesky_ex(matrix)
        return not int(failed)


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
