"""Gauss-Newton with Levenberg-Marquardt damping."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pinn.core import Optimizer, above, at_least, option
from pinn.core.lazy import torch


@frozen
class GaussNewton(Optimizer):
    """(JᵀJ + μ m I) d = −Jᵀρ with the Jacobian J of the weighted residuals ρ, m the mean of diag JᵀJ.

    The damping μ follows the gain ratio, actual over predicted decrease of ‖ρ‖² (Marquardt 1963; Nocedal
    & Wright 2006, sections 4.1 and 10.3). Where there are fewer residuals than parameters the same step
    is −Jᵀ(JJᵀ + μ m I)⁻¹ρ. Its cost grows with the square of the number of parameters; meant for up to
    some 5,000 of them and float64. A step that lowers the loss at no damping moves nothing, and training
    goes on.
    """

    name = "gauss-newton"

    damping: float = option(1e-3, "μ of the first step", above(0))
    grow: float = option(4.0, "factor of μ where the loss would rise …", above(1))
    shrink: float = option(3.0, "… and divisor where the step did what was predicted", above(1))
    tries: int = option(8, "dampings tried in one step, at most", at_least(1))
    rows: int = option(1024, "points whose derivatives are held at once", at_least(1))
    last_layer: int = option(
        0, "first steps that fit the last layer alone: exact for linear equations", at_least(0)
    )

    def holds(self, parameters: int, residuals: int) -> int:
        """The smaller square matrix and its factor; beside JJᵀ the Jacobian itself."""
        smaller = min(parameters, residuals)
        jacobian = residuals * parameters if residuals < parameters else 0
        return 2 * smaller**2 + jacobian

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        from pinn.plugins.optimizers.dense import check_precision
        from pinn.plugins.optimizers.gauss_newton_steps import GaussNewtonSteps, last_matrix

        given = list(parameters)
        check_precision(self.name, given)
        if self.last_layer:
            last_matrix(given)
        return GaussNewtonSteps(
            given, self.damping, self.grow, self.shrink, self.tries, self.rows, self.last_layer
        )
