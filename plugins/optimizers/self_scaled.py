"""Self-scaled quasi-Newton methods with a dense inverse Hessian."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pinn.core import Optimizer, above, at_least, choice, option
from pinn.core.lazy import torch


@frozen
class SelfScaledBFGS(Optimizer):
    """BFGS whose inverse Hessian is divided by τ = min(1, yᵀs / sᵀBs) before every update.

    Al-Baali 1998; for PINNs Urbán, Stefanou & Pons 2025, J. Comput. Phys. 523, arXiv 2405.04230. The
    matrix has as many numbers as the square of the parameters. A line search first tries the length at
    which the line before was lowest, not 1: τ below 1 makes steps too long.
    """

    name = "ss-bfgs"
    broyden = False

    evaluations: int = option(25, "of the loss in one line search, at most", at_least(2))
    check: int = option(
        500,
        "steps after which the matrix is made symmetric, and begun anew if indefinite",
        at_least(1),
    )
    start: str = option(
        "gauss-newton",
        "first inverse Hessian: gauss-newton, (2 JᵀJ + 2 μ m I)⁻¹ with m the mean of diag JᵀJ; identity",
        choice("gauss-newton", "identity"),
    )
    damping: float = option(1e-3, "μ of that start", above(0))
    rows: int = option(1024, "points whose derivatives are held at once there", at_least(1))

    def holds(self, parameters: int, residuals: int) -> int:
        """Three square matrices, where the inverse begins and where it is made symmetric."""
        return 3 * parameters**2

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        from pinn.plugins.optimizers.dense import check_precision, tell_slow
        from pinn.plugins.optimizers.self_scaled_steps import SelfScaledSteps

        given = list(parameters)
        tell_slow(self.name, sum(p.numel() for p in given))
        check_precision(self.name, given)
        damping = self.damping if self.start == "gauss-newton" else None
        return SelfScaledSteps(
            given, self.broyden, self.evaluations, self.check, damping, self.rows
        )


@frozen
class SelfScaledBroyden(SelfScaledBFGS):
    """The self-scaled Broyden family: between BFGS and DFP, or beyond, with the τ and θ of Al-Baali.

    Urbán, Stefanou & Pons 2025, J. Comput. Phys. 523, arXiv 2405.04230.
    """

    name = "ss-broyden"
    broyden = True
