"""Equations of a steady state with steps in pseudo-time: r + (w − w before) / τ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from torch import Tensor

from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.problem import Problem
from pinn.engine.derivatives.ansatz import NetworkCall, Unknowns
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.quantities import Quantities
from pinn.engine.derivatives.residuals import Earlier, Residuals

CHANGE = "change of "


@frozen
class Advancing:
    """Residuals r_k + ρ_k (w_k − w_k before) of some equations k, r_k of the others.

    As the network converges on w before, the next step begins; at a steady state w stays, and r is 0.

    Attributes:
        both: the residuals of all equations, and then the changes of what some of them advance.
        names: of the equations.
        places: which of them advance something, in the order of the changes.
    """

    both: Residuals
    names: tuple[str, ...]
    places: tuple[int, ...]

    remembers = True

    def __call__(
        self,
        network: NetworkCall,
        points: Tensor,
        unknowns: Unknowns | None,
        earlier: Earlier | None,
        rates: Tensor,
    ) -> Tensor:
        """(equations, n), with rates ρ = 1/τ of the equations that advance something."""
        found, changes = self.split(self.both(network, points, unknowns, earlier))
        return found.index_add(0, self.index(points), rates[:, None] * changes)

    def split(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (equations, n) and changes (advanced, n)."""
        return both[: len(self.names)], both[len(self.names) :]

    def index(self, like: Tensor) -> Tensor:
        return like.new_tensor(self.places).long()


def advancing(equations: Residuals, advances: Mapping[str, str]) -> Advancing:
    """`equations`, each of `advances` with what it moves, {equation: field, derivative or observable}.

    Raises:
        PinnError: there is no such equation, or nothing of such a name.
    """
    problem = equations.problem
    for name in advances:
        if name not in equations.names:
            raise PinnError(
                f"pseudo_time: no equation is called {name!r}{nearest(name, equations.names)}; there "
                f"are {one_of(equations.names)}"
            )

    def law(q: Quantities) -> dict[str, Any]:
        changes = {
            f"{CHANGE}{name}": _read(problem, q, what) - _read(problem, q.earlier, what)
            for name, what in advances.items()
        }
        return {**problem.equations(q), **changes}

    both = residuals(problem, law, equations.what)
    places = tuple(equations.names.index(name) for name in advances)
    return Advancing(both, equations.names, places)


def _read(problem: Problem, q: Quantities, what: str) -> Any:
    observables = problem.observables(q)
    return observables[what] if what in observables else getattr(q, what)
