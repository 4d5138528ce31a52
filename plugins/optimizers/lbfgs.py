"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pinn.core import Optimizer, above, at_least, option
from pinn.core.lazy import torch


@frozen
class LBFGS(Optimizer):
    """L-BFGS with a strong-Wolfe line search (Nocedal & Wright, chapter 7).

    One step of a stage is one iteration, and it does not stop before the stage ends: torch's tolerances
    are zero here.
    """

    name = "lbfgs"

    lr: float = option(1.0, "first step length that a line search tries", above(0))
    history: int = option(50, "pairs of differences that are kept", at_least(1))
    evaluations: int = option(25, "of the loss in one line search, at most", at_least(2))

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        from pinn.plugins.optimizers.scale_free_lbfgs import ScaleFreeLBFGS

        return ScaleFreeLBFGS(
            parameters,
            lr=self.lr,
            max_iter=1,
            max_eval=self.evaluations,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=self.history,
            line_search_fn="strong_wolfe",
        )
