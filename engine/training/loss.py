"""The loss of a network and its gradient as functions of tensors alone, which can be compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad, vjp, vmap

from pinn.core.errors import PartError, Whence, one_of
from pinn.core.parts import Weighting
from pinn.core.problem import Problem, conditions_of
from pinn.engine.derivatives.probing import condition_law, residuals
from pinn.engine.derivatives.pseudo_time import Advancing, advancing
from pinn.engine.derivatives.residuals import Earlier, Residuals
from pinn.engine.derivatives.unknowns import unknown_values
from pinn.engine.training.processes import Processes
from pinn.engine.training.trainable import trainable

Parameters = Sequence[Tensor]
Compile = Callable[..., Callable[..., Any]]
Leaves = tuple[Tensor, ...]
Located = tuple[Tensor, Leaves]
"""Interior points, and those of each condition."""
Computed = tuple[Tensor, Leaves, Tensor, Tensor]
"""Terms, gradient, weights and residuals, as `Evaluation` of `objective` holds them."""

Rows = tuple[Tensor, Tensor]
"""Residuals (n, k) at n points, and their derivatives (n, k, parameters)."""

COMPILED = (
    "evaluate_after_update", "evaluate", "of_piece", "residuals_alone", "weighted_alone",
    "rows_of_equations", "gradients_of_equations",
)  # fmt: skip
"""Methods that `Loss.compiled` has compiled."""
AT_OTHER_POINTS = {"residuals_alone", "batch_gradients"}
"""Those that see other points at every call."""


class Fixed(NamedTuple):
    """What stays as it is while a step is made.

    Attributes:
        factors: f of each term of the loss.
        earlier: the parameters that `q.earlier` sees; empty where nothing asks for it.
        rates: 1/τ of the equations that advance something in pseudo-time.
    """

    factors: Tensor
    earlier: Leaves
    rates: Tensor


class Loss:
    """loss = Σ_k f_k mean_i((λ_ki r_ki)²) + Σ_c f_c mean(r_c²), with factors f.

    Its methods take all that moves as arguments: parameters in the order of `parameter_names`, points,
    weights λ, and what is `Fixed`.

    Attributes:
        names: of its terms, those of the equations first.
        advances: what each equation advances in pseudo-time, by name.
        remembers: whether a residual asks for fields as they were, `q.earlier`.
        of_conditions: by name, the term of a condition and its gradient at some points.
        rows_of_conditions: by name, the `Rows` of a condition.
    """

    def __init__(
        self,
        problem: Problem,
        module: torch.nn.Module,
        weighting: Weighting,
        advances: dict[str, str],
        processes: Processes,
    ) -> None:
        self.problem = problem
        self.module = module
        self.weighting = weighting
        self.processes = processes
        self.parameter_names = [*trainable(module)]
        what = f"the equations of {problem.name}"
        self.equations = residuals(problem, problem.equations, what, of_fields=True, may_lack=True)
        self.advances = advances
        self.advancing = advancing(self.equations, advances) if advances else None
        self.conditions = {c.name: condition_law(problem, c) for c in conditions_of(problem)}
        laws = [self.equations, *self.conditions.values()]
        self.remembers = self.advancing is not None or any(law.remembers for law in laws)
        self.names = _distinct(problem, [*self.equations.names, *self.conditions])
        self.of_conditions: dict[str, Callable[..., tuple[Tensor, Leaves]]] = {
            name: partial(self._of_condition, name) for name in self.conditions
        }
        self.rows_of_conditions: dict[str, Callable[..., Rows]] = {
            name: partial(self._rows_of_condition, name) for name in self.conditions
        }

    def compiled(self, compiler: Compile, keeps: bool, batches: bool) -> None:
        """Have every evaluation compiled, and with `batches` the batch gradients too.

        Args:
            keeps: whether what a function needs stays allocated from one call to the next.
        """
        for name in (*COMPILED, *(["batch_gradients"] if batches else [])):
            same = keeps and name not in AT_OTHER_POINTS
            setattr(self, name, compiler(getattr(self, name), same_points=same))
        for functions in (self.of_conditions, self.rows_of_conditions):
            functions |= {
                name: compiler(function, same_points=keeps) for name, function in functions.items()
            }

    def rows_once(self) -> tuple[Callable[..., Rows], dict[str, Callable[..., Rows]]]:
        """`rows_of_equations` and `rows_of_conditions` as they were before they were compiled."""
        return partial(Loss.rows_of_equations, self), {
            name: partial(self._rows_of_condition, name) for name in self.conditions
        }

    def interior(self, parameters: Parameters, points: Tensor, fixed: Fixed) -> Tensor:
        return self.found(self.advancing or self.equations, parameters, points, fixed)

    def found(
        self, law: Residuals | Advancing, parameters: Parameters, points: Tensor, fixed: Fixed
    ) -> Tensor:
        """Residuals of a law, (names, points)."""
        earlier = self._seen(fixed.earlier) if law.remembers else None
        network, unknowns = self._seen(parameters)
        if isinstance(law, Advancing):
            return law(network, points, unknowns, earlier, fixed.rates)
        return law(network, points, unknowns, earlier)

    def _seen(self, parameters: Parameters) -> Earlier:
        """The network of these parameters, and the unknowns among them."""
        named = self._named(parameters)
        return self._network(named), unknown_values(self.problem, named)

    def _named(self, parameters: Parameters) -> dict[str, Tensor]:
        return dict(zip(self.parameter_names, parameters, strict=True))

    def _network(self, named: dict[str, Tensor]) -> Callable[[Any], Any]:
        return lambda inputs: functional_call(self.module, named, (inputs,))

    def interior_loss(
        self, parameters: Parameters, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Tensor:
        found = self.interior(parameters, points, fixed)
        return self.interior_terms(found, weights, fixed).sum()

    def batch_gradients(
        self, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Leaves:
        gradient = grad(self.interior_loss)
        return vmap(lambda p, w: gradient(parameters, p, w, fixed))(points, weights)

    def interior_terms(self, found: Tensor, weights: Tensor, fixed: Fixed) -> Tensor:
        """(equations,)"""
        if not self.equations.names:
            return found.new_zeros(0)
        means = self.weighting.contributions(weights, found).mean(1)
        return fixed.factors[: len(means)] * means

    def gradients_of_equations(
        self, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> tuple[Tensor, Tensor]:
        """Of each equation the loss without its factor, and its gradient, (equations, parameters)."""
        if not self.equations.names:
            return points.new_zeros(0), points.new_zeros(0, sum(p.numel() for p in parameters))
        found = self.interior(parameters, points, fixed)
        terms = self.weighting.contributions(weights, found).mean(1)
        gradients = [
            torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)
            for term in terms
        ]
        flat = [torch.cat([each.flatten() for each in gradient]) for gradient in gradients]
        return terms.detach(), torch.stack(flat)

    def _factor(self, name: str, fixed: Fixed) -> Tensor:
        return fixed.factors[self.names.index(name)]

    def _weighted(
        self, parameters: Parameters, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Tensor:
        """The residuals whose mean square is the loss, (equations, points)."""
        found = self.interior(parameters, points, fixed)
        if not self.equations.names:
            return found
        counted = self.weighting.contributions(weights, found)
        root = torch.where(counted > 0, counted, 1.0).sqrt()  # a root has no slope at 0
        signed = torch.where(counted > 0, found.sign() * root, 0.0)
        return fixed.factors[: len(signed), None].sqrt() * signed

    def weighted_alone(
        self, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Tensor:
        with torch.no_grad():
            return self._weighted(parameters, points, weights, fixed)

    def weighted_condition(
        self, name: str, parameters: Parameters, points: Tensor, fixed: Fixed
    ) -> Tensor:
        found = self.found(self.conditions[name], parameters, points, fixed)
        return self._factor(name, fixed).sqrt() * found

    def rows_of_equations(
        self, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Rows:
        return _rows(
            lambda leaves, point, weight: self._weighted(
                leaves, point[None], weight[:, None], fixed
            )[:, 0],
            parameters,
            points,
            weights,
        )

    def _rows_of_condition(
        self, name: str, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> Rows:
        return _rows(
            lambda leaves, point, _: self.weighted_condition(name, leaves, point[None], fixed)[
                :, 0
            ],
            parameters,
            points,
            weights,
        )

    def condition_terms(
        self, parameters: Parameters, conditions: tuple[Tensor, ...], fixed: Fixed
    ) -> list[Tensor]:
        if not conditions:
            return []
        return [
            self.condition_term(name, parameters, points, fixed)
            for name, points in zip(self.conditions, conditions, strict=True)
        ]

    def condition_term(
        self, name: str, parameters: Parameters, points: Tensor, fixed: Fixed
    ) -> Tensor:
        if not len(points):  # other processes have them
            return 0.0 * parameters[0].sum()
        found = self.found(self.conditions[name], parameters, points, fixed)
        return self._factor(name, fixed) * (found**2).mean(1).sum()

    def updated(self, weights: Tensor, found: Tensor, points: Tensor, step: Tensor) -> Tensor:
        if not self.equations.names:
            return weights
        places = dict(zip(self.problem.domain.names, points.T, strict=True))
        with torch.no_grad():
            updated = self.weighting.update_at(places, weights, found.detach(), step)
            return updated.expand(found.shape).clone()

    def evaluate_after_update(
        self, parameters: Leaves, points: Located, weights: Tensor, fixed: Fixed, step: Tensor
    ) -> Computed:
        found, everywhere = self._own_residuals(parameters, points[0], fixed)
        weights = self.updated(weights, everywhere, points[0], step)
        return self._differentiated(parameters, points, weights, found, everywhere, fixed)

    def evaluate(
        self, parameters: Leaves, points: Located, weights: Tensor, fixed: Fixed
    ) -> Computed:
        found, everywhere = self._own_residuals(parameters, points[0], fixed)
        return self._differentiated(parameters, points, weights, found, everywhere, fixed)

    def _own_residuals(
        self, parameters: Leaves, points: Tensor, fixed: Fixed
    ) -> tuple[Tensor, Tensor]:
        """Those of the share of this process, and those of all, detached."""
        found = self.interior(parameters, self.processes.own(points), fixed)
        return found, self.processes.whole(found.detach(), len(points), 1)

    def _differentiated(
        self,
        parameters: Leaves,
        points: Located,
        weights: Tensor,
        found: Tensor,
        everywhere: Tensor,
        fixed: Fixed,
    ) -> Computed:
        own, size = self.processes.own, len(points[0])
        of_equations = self.interior_terms(found, own(weights, 1), fixed)
        located = tuple(map(own, points[1]))
        of_conditions = self.condition_terms(parameters, located, fixed)
        parts = [
            _part(of_equations, found.shape[1], size),
            *(
                _part(term[None], len(here), len(there))
                for term, here, there in zip(of_conditions, located, points[1], strict=True)
            ),
        ]
        terms = torch.cat(parts)
        gradient = torch.autograd.grad(terms.sum(), parameters, materialize_grads=True)
        summed, *slopes = self.processes.total([terms.detach(), *gradient], everywhere)
        return summed, tuple(slopes), weights, everywhere

    def of_replicas(
        self, parameters: Leaves, points: Located, weights: Tensor, fixed: Fixed, step: Tensor
    ) -> Computed:
        """What `evaluate` computes, of replicas that every argument but the last has along its first
        dimension, and every result as well."""

        def of_one(parameters: Leaves, points: Located, weights: Tensor, fixed: Fixed) -> Computed:
            def loss(parameters: Leaves) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
                found = self.interior(parameters, points[0], fixed)
                moved = weights
                if not self.weighting.static:
                    moved = self.updated(weights, found, points[0], step)
                of_equations = self.interior_terms(found, moved, fixed)
                of_conditions = self.condition_terms(parameters, points[1], fixed)
                terms = torch.cat([of_equations, *(term[None] for term in of_conditions)])
                return terms.sum(), (terms, moved, found)

            gradient, (terms, moved, found) = grad(loss, has_aux=True)(parameters)
            return terms.detach(), gradient, moved.detach(), found.detach()

        return vmap(of_one)(parameters, points, weights, fixed)

    def of_piece(
        self, parameters: Leaves, points: Tensor, weights: Tensor, fixed: Fixed
    ) -> tuple[Tensor, Leaves, Tensor]:
        """Of the equations at some of this process's points the terms, their gradient, the residuals."""
        found = self.interior(parameters, points, fixed)
        terms = self.interior_terms(found, weights, fixed)
        gradient = torch.autograd.grad(terms.sum(), parameters, materialize_grads=True)
        return terms.detach(), gradient, found.detach()

    def _of_condition(
        self, name: str, parameters: Leaves, points: Tensor, fixed: Fixed
    ) -> tuple[Tensor, Leaves]:
        """The term of one, and its gradient."""
        term = self.condition_term(name, parameters, points, fixed)
        gradient = torch.autograd.grad(term, parameters, materialize_grads=True)
        return term.detach(), gradient

    def residuals_alone(self, parameters: Leaves, points: Tensor, fixed: Fixed) -> Tensor:
        """The residuals, (equations, points), without what a gradient would need."""
        with torch.no_grad():
            return self.interior(parameters, points, fixed)


def _distinct(problem: Problem, names: list[str]) -> tuple[str, ...]:
    if not names:
        raise PartError(
            problem.name,
            Whence(problem),
            ": has neither equations nor conditions, so that there is nothing to learn",
        )
    if len(set(names)) < len(names):
        raise PartError(
            problem.name,
            Whence(problem),
            f": equations and conditions share a name: {one_of(names)}",
        )
    return tuple(names)


def _part(mean: Tensor, count: int, size: int) -> Tensor:
    """What the mean over `count` of `size` points adds to that over all."""
    return mean if count == size else mean * (count / size)


def _rows(
    at_a_point: Callable[[Leaves, Tensor, Tensor], Tensor],
    parameters: Leaves,
    points: Tensor,
    weights: Tensor,
) -> Rows:
    """The residuals at each point, and the derivative of each by all parameters, flattened in order.

    Reverse mode at a single point, mapped over the points: layers become matrix products over all.
    """

    def row(point: Tensor, weight: Tensor) -> Rows:
        residuals, pullback, *_ = vjp(lambda leaves: at_a_point(leaves, point, weight), parameters)
        directions = torch.eye(len(residuals), dtype=residuals.dtype, device=residuals.device)
        gradients = [pullback(direction)[0] for direction in directions]
        return residuals, torch.stack(
            [torch.cat([g.flatten() for g in each]) for each in gradients]
        )

    return vmap(row)(points, weights)
