"""torch's L-BFGS, made independent of the scale of the loss and able to leave a dead end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

SHORTER = 0.1


class ScaleFreeLBFGS(torch.optim.LBFGS):
    """Two repairs of `torch.optim.LBFGS`, for losses that become small, as residuals do.

    torch leaves out every curvature pair with y·s ≤ 1e-10, an absolute bound: below a loss of about that
    size it is gradient descent. Here loss and gradient are measured in the loss of the first step.

    And torch stays for good where its direction does not descend, or moves to NaN where the numbers of
    its line search overflow. Here such a step is taken back, the curvature is forgotten, and the next
    one follows the gradient, SHORTER.

    Its one group has `evaluations`, those of the loss in the line search of the last step.
    """

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        (group,) = self.param_groups
        parameters: list[Tensor] = group["params"]

        group["evaluations"] = -1  # the first is that of the step, where it begins

        def in_units() -> float:
            group["evaluations"] += 1
            loss = float(closure())
            unit = group.setdefault("unit", abs(loss) or 1.0)
            for parameter in parameters:
                assert parameter.grad is not None
                parameter.grad = parameter.grad / unit
            return loss / unit

        before = [parameter.detach().clone() for parameter in parameters]
        loss = super().step(in_units)
        if _advanced(before, parameters):
            group["lr"] = self.defaults["lr"]
        else:
            with torch.no_grad():
                torch._foreach_copy_(parameters, before)
            self.state.clear()
            group["lr"] *= SHORTER
        return loss


def _advanced(before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    moved = any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    return moved and all(bool(torch.isfinite(parameter).all()) for parameter in after)
