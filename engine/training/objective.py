"""The loss of a network at the points of a run: whole or in chunks, of one process or of several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from attrs import frozen
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pinn.core.domain import PointSet
from pinn.core.errors import PartError, Whence, one_of
from pinn.core.parts import Weighting
from pinn.core.problem import Problem
from pinn.engine.derivatives.typical_sizes import size_together, typical_sizes
from pinn.engine.training.loss import Compile, Fixed, Leaves, Loss, Parameters
from pinn.engine.training.processes import ALONE, Processes
from pinn.engine.training.trainable import trainable


@frozen
class Evaluation:
    """What one evaluation of the loss gives.

    Attributes:
        terms: the loss of each equation and condition, in the order of `Objective.names`.
        gradient: of the sum of the terms, one tensor a parameter.
        weights: of the interior points, as the terms used them.
        residuals: (equations, points), detached.
    """

    terms: Tensor
    gradient: tuple[Tensor, ...]
    weights: Tensor
    residuals: Tensor

    @property
    def loss(self) -> Tensor:
        return self.terms.sum()


class Objective:
    """loss = Σ_k f_k mean_i((λ_ki r_ki)²) + Σ_c f_c mean(r_c²), with factors f.

    Every method is a function of the parameters, which are passed in the module's order.

    Attributes:
        loss: the same at any points, as functions of tensors alone.
        names: of its terms, those of the equations first.
        fixed: what stays as it is in a step; what is compiled takes it as an argument.
        advances: what each equation advances in pseudo-time, by name.
        remembers: whether a residual asks for fields as they were, `q.earlier`.
    """

    def __init__(
        self,
        problem: Problem,
        module: torch.nn.Module,
        weighting: Weighting,
        factors: Mapping[str, float],
        chunk: int = 0,
        advances: Mapping[str, str] | None = None,
        by_size: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        self.loss = Loss(problem, module, weighting, dict(advances or {}), processes)
        self.parameter_names, self.names = self.loss.parameter_names, self.loss.names
        self.equations, self.conditions = self.loss.equations, self.loss.conditions
        self.advances, self.remembers = self.loss.advances, self.loss.remembers
        self.problem = problem
        self.processes = processes
        self.module = module
        self.weighting = weighting
        self.chunk = chunk
        self.by_size = by_size
        self._sizes = self._sizes_of_terms() if by_size else {}
        like = self.parameters[0].detach()
        rates = like.new_zeros(len(self.advances))
        earlier = self._now() if self.remembers else ()
        self.fixed = Fixed(like.new_ones(len(self.names)), earlier, rates)
        self.use_factors(factors)
        self._compiled_by: tuple[Compile, bool] | None = None

    @property
    def parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """What is trained; a network may have parameters that are not."""
        return tuple(self.module.get_parameter(name) for name in self.parameter_names)

    def compiled(self, compiler: Compile, batches: bool = False) -> None:
        """Have every evaluation compiled, and with `batches` the batch gradients too.

        In chunks nothing is kept from one call to the next: there is memory for one chunk alone.
        """
        self._compiled_by = compiler, batches
        self.loss.compiled(compiler, not self.chunk, batches)

    @property
    def factors(self) -> Tensor:
        """f of each of `names`."""
        return self.fixed.factors

    def _sizes_of_terms(self) -> dict[str, float]:
        """Of those whose size is known."""
        of_conditions = {name: size_together(law) for name, law in self.conditions.items()}
        found = {**typical_sizes(self.equations), **of_conditions}
        return {name: size for name, size in found.items() if size > 0}

    def _now(self) -> Leaves:
        return tuple(parameter.detach().clone() for parameter in self.parameters)

    def remember(self, earlier: Mapping[str, Tensor], rates: Tensor) -> None:
        """From here on `q.earlier` sees these parameters, by name; rates are 1/τ in pseudo-time."""
        parameters = tuple(earlier[name] for name in self.parameter_names)
        self.fixed = Fixed(self.factors, parameters, rates.to(self.factors))

    def rates_of_change(self, points: Tensor) -> Tensor:
        """‖Δr‖ / ‖Δw‖ of the equations that advance something, since what `q.earlier` sees; 0 where
        nothing changed."""
        if self.loss.advancing is None:
            return self.fixed.rates
        sums = points.new_zeros(2, len(self.advances))
        for piece in self._pieces(points):
            with torch.no_grad():
                now, changes = self._split(self.parameters, piece)
                then, _ = self._split(self.fixed.earlier, piece)
            turned = (now - then)[self.loss.advancing.index(piece)]
            sums += torch.stack([turned.square().sum(1), changes.square().sum(1)])
        return torch.where(sums[1] > 0, (sums[0] / sums[1]).sqrt(), 0.0)

    def _split(self, parameters: Parameters, points: Tensor) -> tuple[Tensor, Tensor]:
        assert self.loss.advancing is not None
        return self.loss.advancing.split(
            self.loss.found(self.loss.advancing.both, parameters, points, self.fixed)
        )

    def use_factors(self, factors: Mapping[str, float]) -> None:
        """Go on with these; 1 for the others, and over the squares of terms' sizes if `by_size`."""
        like = self.parameters[0].detach()
        found = like.new_tensor(
            [factors.get(name, 1.0) / self._sizes.get(name, 1.0) ** 2 for name in self.names]
        )
        self.fixed = self.fixed._replace(factors=found)

    def changed(
        self,
        problem: Problem,
        factors: Mapping[str, float],
        chunk: int,
        advances: Mapping[str, str] | None = None,
    ) -> Objective:
        """The loss of this problem with these factors and this chunk, compiled if this one is.

        Raises:
            PartError: the problem has other equations or conditions than this one.
        """
        same = chunk == self.chunk and problem == self.problem
        same = same and self.parameter_names == [*trainable(self.module)]
        if same and dict(advances or {}) == self.advances:
            self.use_factors(factors)
            return self
        own = self.module, self.weighting, factors, chunk, advances, self.by_size, self.processes
        other = Objective(problem, *own)
        if other.names != self.names:
            raise PartError(
                problem.name,
                Whence(problem),
                f": a stage has the terms {one_of(other.names)}, and another {one_of(self.names)}: its "
                "options must leave equations and conditions what they are called",
            )
        if self._compiled_by:
            other.compiled(*self._compiled_by)
        return other

    def evaluate(
        self,
        parameters: Parameters,
        points: PointSet,
        weights: Tensor,
        update: bool = True,
        step: int | Tensor = 0,
    ) -> Evaluation:
        """The loss and its gradient; with `update`, under weights updated from these residuals.

        Args:
            step: how many were made so far, which the update may ask for.
        """
        parameters = tuple(parameters)
        moving = update and not self.weighting.static
        made = torch.as_tensor(step).to(points.interior) if moving else None
        own = map(self.processes.own, points.conditions.values())
        if self._larger_than_chunk(self.processes.own(points.interior)) or self._larger_than_chunk(
            *own
        ):
            return self._in_chunks(parameters, points, weights, made)
        located = points.interior, tuple(points.conditions.values())
        given = parameters, located, weights, self.fixed
        if made is not None:
            return Evaluation(*self.loss.evaluate_after_update(*given, made))
        return Evaluation(*self.loss.evaluate(*given))

    def gradients_of_terms(self, points: PointSet, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Of each of `names` the loss without its factor, (names,), and its gradient (names, P)."""
        parameters, one = tuple(self.parameters), self._without_factors()
        pieces = self._pieces(points.interior)
        parts = [
            self.loss.gradients_of_equations(parameters, piece, weight, self.fixed)
            for piece, weight in zip(pieces, weights.split(len(pieces[0]), 1), strict=True)
        ]
        found = [_mean(parts, pieces)]
        for name, located in points.conditions.items():
            pieces = self._pieces(located)
            parts = []
            for piece in pieces:
                term, slopes = self.loss.of_conditions[name](parameters, piece, one)
                parts.append((term[None], torch.cat([each.flatten() for each in slopes])[None]))
            found.append(_mean(parts, pieces))
        losses, gradients = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(gradients)

    def residuals_alone(self, points: Tensor, parameters: Leaves | None = None) -> Tensor:
        """The residuals of the equations at any points, (equations, points), without gradient.

        Args:
            parameters: instead of those of the network.

        Raises:
            PartError: there are no equations.
        """
        if not self.equations.names:
            raise PartError(
                self.problem.name, Whence(self.problem), ": has no equations, so no residuals"
            )
        own = tuple(self.parameters) if parameters is None else parameters
        return self._residuals_of(own, points)

    def _residuals_of(self, parameters: Leaves, points: Tensor) -> Tensor:
        processes = self.processes if len(points) >= self.processes.count else ALONE
        pieces = self._pieces(processes.own(points))
        own = [self.loss.residuals_alone(parameters, piece, self.fixed) for piece in pieces]
        return processes.whole(torch.cat(own, 1), len(points), 1)

    def weighted_residuals(
        self, parameters: Parameters, points: PointSet, weights: Tensor
    ) -> Tensor:
        """ρ, (residuals,), without gradient: loss = ‖ρ‖².

        Of every equation √(f/n) √c with the sign of r, where the loss is the mean of c; of every
        condition √(f/n) r.
        """
        size = len(points.interior)
        pieces = self._pieces(self.processes.own(points.interior))
        own_weights = self.processes.own(weights, 1).split(len(pieces[0]), 1)
        of_equations = [
            self.loss.weighted_alone(tuple(parameters), piece, weight, self.fixed) / size**0.5
            for piece, weight in zip(pieces, own_weights, strict=True)
        ]
        with torch.no_grad():
            of_conditions = [
                torch.cat(
                    [
                        self.loss.weighted_condition(name, parameters, piece, self.fixed)
                        for piece in self._pieces(located)
                    ],
                    1,
                )
                / len(located) ** 0.5
                for name, located in points.conditions.items()
            ]
        found = [self.processes.whole(torch.cat(of_equations, 1), size, 1), *of_conditions]
        return torch.cat([each.T.reshape(-1) for each in found])

    def jacobian(
        self,
        parameters: Parameters,
        points: PointSet,
        weights: Tensor,
        rows: int,
        once: bool = False,
        own: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks of ρ, (m,), and of J = ∂ρ/∂θ, (m, parameters), of about `rows` points each.

        The last block of several begins early enough to be as large as the others, and leaves out what
        they had, so that one compiled function serves them all. `once`: evaluated eagerly. `own`: those
        of the share of this process alone.
        """
        processes = self.processes if own else ALONE
        for _, found, gradients in self._rows_by_block(
            parameters, points, weights, rows, self.fixed, once, processes
        ):
            yield found.reshape(-1), gradients.flatten(0, 1)

    def traces(self, points: PointSet, weights: Tensor, rows: int = 1024) -> Tensor:
        """Of each of `names` mean_i ‖∂ρ_i/∂θ‖² without its factor, (names,): the traces of K = JJᵀ."""
        one = self._without_factors()
        found = dict.fromkeys(self.names, points.interior.new_zeros(()))
        for names, _, gradients in self._rows_by_block(self.parameters, points, weights, rows, one):
            sums = gradients.square().sum((0, 2))
            if len(names) == 1:
                sums = sums.sum()[None]  # a condition of several parts
            found |= {name: found[name] + each for name, each in zip(names, sums, strict=True)}
        return torch.stack(list(found.values()))

    def _rows_by_block(
        self,
        parameters: Parameters,
        points: PointSet,
        weights: Tensor,
        rows: int,
        fixed: Fixed,
        once: bool = False,
        processes: Processes = ALONE,
    ) -> Iterator[tuple[Sequence[str], Tensor, Tensor]]:
        """Names of the terms, and of each block ρ (n, k) and its derivatives (n, k, parameters)."""
        parameters = tuple(parameter.detach() for parameter in parameters)
        of_equations, of_conditions = self.loss.rows_of_equations, self.loss.rows_of_conditions
        if once:
            of_equations, of_conditions = self.loss.rows_once()
        names = self.equations.names
        inside = [(names, of_equations, points.interior, weights.T)] if names else []
        sets = inside + [
            ((name,), of_conditions[name], located, located.new_zeros(len(located), 0))
            for name, located in points.conditions.items()
        ]
        for names, function, everywhere, weights_there in sets:
            located, weight = processes.own(everywhere), processes.own(weights_there)
            count = len(located)
            if not count:
                continue
            size = math.ceil(count / math.ceil(count / rows))
            scale = len(everywhere) ** -0.5
            for begin in range(0, count, size):
                here = slice(min(begin, count - size), min(begin + size, count))
                residuals, gradients = function(parameters, located[here], weight[here], fixed)
                had = begin - here.start
                yield names, residuals[had:] * scale, gradients[had:] * scale

    def interior_residuals(self, parameters: Parameters, points: Tensor) -> Tensor:
        """The residuals of the equations, (equations, points)."""
        return self.loss.interior(parameters, points, self.fixed)

    def interior_loss(self, parameters: Parameters, points: Tensor, weights: Tensor) -> Tensor:
        """Σ_k f_k mean_i of the contributions of these points, a scalar."""
        return self.loss.interior_loss(parameters, points, weights, self.fixed)

    def batch_gradients(
        self, parameters: Parameters, points: Tensor, weights: Tensor
    ) -> tuple[Tensor, ...]:
        """Gradients (batches, *shape), one tensor a parameter, of `interior_loss` on batches of points.

        Takes points (batches, n, dimension) and weights (batches, equations, n).
        """
        batches = len(points)
        processes = self.processes if batches % self.processes.count == 0 else ALONE
        own = processes.own(points), processes.own(weights)
        found = self.loss.batch_gradients(tuple(parameters), *own, self.fixed)
        return tuple(processes.whole(each, batches) for each in found)

    def condition_loss(self, parameters: Parameters, conditions: dict[str, Tensor]) -> Tensor:
        """Σ_c f_c mean(r_c²), a scalar; in the memory of one chunk."""
        terms = self._condition_terms_again(parameters, conditions)
        return torch.stack(terms).sum() if terms else parameters[0].new_zeros(())

    def terms(
        self, points: Tensor, weights: Tensor, conditions: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss of each equation and of each condition, scalars, by name."""
        found = self.interior_residuals(self.parameters, points)
        of_equations = self.loss.interior_terms(found, weights, self.fixed)
        of_conditions = self._condition_terms_again(self.parameters, conditions)
        return (
            dict(zip(self.equations.names, of_equations, strict=True)),
            dict(zip(conditions, of_conditions, strict=True)),
        )

    def _without_factors(self) -> Fixed:
        return self.fixed._replace(factors=torch.ones_like(self.factors))

    def _condition_terms_again(
        self, parameters: Parameters, conditions: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """The terms with a graph that holds one chunk: the others are computed again for gradients."""
        if not self._larger_than_chunk(*conditions.values()):
            return self.loss.condition_terms(parameters, tuple(conditions.values()), self.fixed)
        terms = []
        for name, located in conditions.items():
            term = partial(self.loss.condition_term, name, parameters)
            parts = [
                len(piece)
                / len(located)
                * checkpoint(term, piece, self.fixed, use_reentrant=False, preserve_rng_state=False)
                for piece in self._pieces(located)
            ]
            terms.append(torch.stack(parts).sum())
        return terms

    def _larger_than_chunk(self, *points: Tensor) -> bool:
        return bool(self.chunk) and sum(map(len, points)) > self.chunk

    def _pieces(self, points: Tensor) -> Sequence[Tensor]:
        return points.split(self.chunk or max(len(points), 1))

    def _in_chunks(
        self, parameters: Leaves, points: PointSet, weights: Tensor, step: Tensor | None
    ) -> Evaluation:
        """The same numbers with the memory of one chunk, for one more forward pass; None: no update."""
        own = self.processes.own
        interior = own(points.interior)
        if step is not None:
            found = self._residuals_of(parameters, points.interior)
            weights = self.loss.updated(weights, found, points.interior, step)
        terms: Tensor | float = interior.new_zeros(len(self.equations.names))
        gradient = [torch.zeros_like(p, requires_grad=False) for p in parameters]
        seen = []
        pieces = interior.split(self.chunk)
        for piece, weight in zip(pieces, own(weights, 1).split(self.chunk, 1), strict=True):
            if not self.equations.names:
                seen.append(piece.new_zeros(0, len(piece)))
                continue
            losses, slopes_here, residuals = self.loss.of_piece(
                parameters, piece, weight, self.fixed
            )
            share = len(piece) / len(points.interior)
            terms = terms + share * losses
            torch._foreach_add_(gradient, slopes_here, alpha=share)
            seen.append(residuals)
        all_terms = [torch.as_tensor(terms)]
        for name, located in points.conditions.items():
            all_terms.append(self._condition_in_chunks(name, parameters, located, gradient)[None])
        everywhere = self.processes.whole(torch.cat(seen, 1), len(points.interior), 1)
        summed, *slopes = self.processes.total([torch.cat(all_terms), *gradient], everywhere)
        return Evaluation(summed, tuple(slopes), weights, everywhere)

    def _condition_in_chunks(
        self, name: str, parameters: Leaves, located: Tensor, gradient: list[Tensor]
    ) -> Tensor:
        """Of its term what the points of this process add; what they add to the gradient is added."""
        total = located.new_zeros(())
        for piece in self._pieces(self.processes.own(located)):
            if not len(piece):  # other processes have them
                continue
            term, slopes = self.loss.of_conditions[name](parameters, piece, self.fixed)
            share = len(piece) / len(located)
            total += share * term
            torch._foreach_add_(gradient, slopes, alpha=share)
        return total


def _mean(
    parts: Sequence[tuple[Tensor, Tensor]], pieces: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Of means over pieces of the points, those over all."""
    count = sum(map(len, pieces))
    shares = [len(piece) / count for piece in pieces]
    losses, gradients = (
        torch.stack([share * each for share, each in zip(shares, some, strict=True)]).sum(0)
        for some in zip(*parts, strict=True)
    )
    return losses, gradients
