"""All that is known of a watched loop, and what analyzers see of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor
from torch.optim import Optimizer

from pinn.core.domain import PointSet
from pinn.core.errors import PinnError
from pinn.core.records import Records
from pinn.core.view import Forward, View
from pinn.engine.watching.losses import PointLosses
from pinn.engine.watching.solution import KnownSolution, WatchedProblem


@frozen(eq=False)
class Sources:
    """The points of a loop and their weights, as they are now.

    Each is a tensor, or what becomes one, or a function that gives the current one; tensors come out
    like `like`.
    """

    points: Any
    weights: Any
    like: Tensor

    @property
    def points_move(self) -> bool:
        return callable(self.points)

    def current_points(self) -> Tensor:
        """(n, dimension)

        Raises:
            PinnError: they are of another shape.
        """
        found = self._tensor(self.points)
        if found.ndim != 2 or not found.numel():
            raise PinnError(
                f"points= has shape {tuple(found.shape)}; expected (n, dimension), at least one point"
            )
        return found

    def current_weights(self, equations: int, count: int) -> Tensor:
        """λ, (equations, n); 1 where none are given.

        Raises:
            PinnError: they do not fit the points.
        """
        found = self._tensor(1.0 if self.weights is None else self.weights)
        try:
            return found.expand(equations, count)
        except RuntimeError:
            raise PinnError(
                f"weights= has shape {tuple(found.shape)} for {equations} equations at {count} points; "
                f"expected ({count},) or ({equations}, {count})"
            ) from None

    def _tensor(self, given: Any) -> Tensor:
        found = torch.as_tensor(given() if callable(given) else given)
        return found.detach().as_subclass(Tensor).to(self.like)


@frozen(eq=False)
class WatchedLoop:
    """A loop that somebody else wrote: what it solves, and where its numbers come from.

    Attributes:
        equations: names of the rows of the residuals.
        forward: calls the model on points, where it is called otherwise.
        seed: of the random numbers that analyzers draw.
    """

    problem: WatchedProblem
    losses: PointLosses
    equations: tuple[str, ...]
    sources: Sources
    solution: KnownSolution
    forward: Forward | None
    seed: int

    def view(
        self, step: int, optimizer: Optimizer, memories: Mapping[str, Tensor], records: Records
    ) -> View:
        """What analyzers see of the model as it is now."""
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
        """The terms of the loss at the parameters as they are now, and the sum of squares unweighted.

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
