"""All that is known of a watched loop, and what analyzers see of it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from torch import Tensor
from torch.optim import Optimizer

from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine.training.sampling import PointSet
from pinn.engine.watching.losses import PointLosses
from pinn.engine.watching.solution import Forward, Solution, WatchedProblem
from pinn.engine.watching.sources import Sources


@frozen(eq=False)
class WatchedLoop:
    """
    Attributes:
        equations: names of the rows of the residuals.
        forward: calls the model on points, where it is called otherwise.
        seed: of the random numbers that analyzers draw.
    """

    problem: WatchedProblem
    losses: PointLosses
    equations: tuple[str, ...]
    sources: Sources
    solution: Solution
    forward: Forward | None
    seed: int

    def view(
        self, step: int, optimizer: Optimizer, memories: Mapping[str, Tensor], records: Records
    ) -> View:
        """Of the model as it is now."""
        points = self.sources.current_points()
        return View(
            step=step,
            problem=self.problem,
            objective=self.losses,
            points=PointSet(points, {}),
            weights=self.sources.current_weights(len(self.equations), len(points)),
            memories=memories,
            optimizer=optimizer,
            evaluator=self.solution,
            records=records,
            seed=self.seed,
            forward=self.forward,
        )

    def terms(self, view: View) -> dict[str, float]:
        """Of the loss, at the parameters as they are now, and the sum of their squares unweighted.

        {"loss": …, "loss.<equation>": …, "loss.conditions": …, "loss.unweighted": …}
        """
        squares = view.residuals**2
        weighted = squares if self.losses.squared else view.weights**2 * squares
        terms = dict(zip(self.equations, weighted.mean(1).tolist(), strict=True))
        unweighted = float(squares.mean(1).sum())
        if self.losses.conditions is not None:
            terms["conditions"] = float(self.losses.condition_loss(()).detach())
            unweighted += terms["conditions"]
        each = {f"loss.{name}": value for name, value in terms.items()} if len(terms) > 1 else {}
        return {"loss": sum(terms.values()), **each, "loss.unweighted": unweighted}
