"""torch's L-BFGS, made independent of the scale of the loss and able to leave a dead end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

UNIT = 1e-4
"""The loss that the line search sees first is 1 / UNIT: far above torch's bound on y·s, and low enough
for the fourth power of the gradient's norm, which its interpolation takes, in float32."""


class ScaleFreeLBFGS(torch.optim.LBFGS):
    """Two repairs of `torch.optim.LBFGS` for losses that become small, as residuals do.

    torch leaves out every curvature pair with y·s ≤ 1e-10, an absolute bound: below a loss of about that
    size it is gradient descent. Loss and gradient are therefore divided by a unit, fixed at the first
    step. And torch stays where it is for good once its direction does not
    descend; here a step that moved nothing forgets the curvature and the next one follows the gradient.
    """

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        (group,) = self.param_groups
        parameters = group["params"]

        def in_units() -> float:
            loss = float(closure())
            unit = group.setdefault("unit", UNIT * (abs(loss) or 1.0))
            for parameter in parameters:
                parameter.grad = parameter.grad / unit
            return loss / unit

        before = [parameter.detach().clone() for parameter in parameters]
        loss = super().step(in_units)
        if all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True)):
            self.state.clear()
        return loss
