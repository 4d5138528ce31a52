"""What is known of the solution: the exact one beside the laws, the reference beside the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn.core.errors import PinnError, one_of
from pinn.core.problem import Condition, Problem, conditions_of
from pinn.engine.derivatives.ansatz import exact_fields
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.jets import Jets, jets
from pinn.engine.derivatives.quantities import Forms, Quantities, Resolve
from pinn.engine.derivatives.residuals import Residuals, law_quantities, places_of
from pinn.engine.derivatives.unknowns import true_values
from pinn.engine.training.evaluation import Evaluator
from pinn.testing.problems.laws import (
    PlacedLaw,
    condition_of,
    equations_of,
    inside,
    place,
    random_network,
)
from pinn.testing.trial import Trial

NUDGE = 1e-6
ALLOWED = 1e-10
"""Residuals beside their terms: rounding leaves 1e-13 or so, a constant in float32 1e-8."""

DEFINED = (
    "keep clear of roots and logarithms of 0 and below and of 0/0, or write it in another form"
)


def its_exact_solution_satisfies_its_equations(trial: Trial) -> None:
    equations = equations_of(trial.part)
    if equations.residuals.names and _has_exact_solution(trial):
        _check_satisfied(equations)


def its_exact_solution_satisfies_its_conditions(trial: Trial) -> None:
    if _has_exact_solution(trial):
        for condition in conditions_of(trial.part):
            if isinstance(condition, Condition):
                _check_satisfied(condition_of(trial.part, condition))


def _has_exact_solution(trial: Trial) -> bool:
    """One that can be checked: the true values of all unknowns are known."""
    problem: Problem = trial.part
    unsaid = [name for name, unknown in problem.unknowns().items() if unknown.true is None]
    if unsaid and type(problem).solution is not Problem.solution:
        trial.advise(
            f"its exact solution was not checked: the true value of the unknown {unsaid[0]!r} is "
            "not known; where it is, write Unknown(…, true=…)"
        )
    return not unsaid and _solution(problem, inside(problem, 3)) is not None


def _solution(problem: Problem, points: Tensor) -> Mapping[str, Any] | None:
    places = dict(zip(problem.domain.names, points.T, strict=True))
    return problem.solution(Quantities(places, (), unknowns=true_values(problem, points)))


def exact_residuals(law: Residuals, points: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the exact solution (names, n), and the size of the terms that make each, (names,).

    The size of the terms is how strongly the residual answers when every derivative is nudged by a small
    share of its largest value anywhere: at `points`, a boundary, say, the solution itself may be zero.
    """
    problem = law.problem
    own, own_normals, _ = law.split(points)
    everywhere = torch.cat([own, inside(problem)])
    carried = jets([{index: 1.0} for index in sorted({i for row in law.jets.rows for i in row})])
    generator = torch.Generator().manual_seed(0)

    true = true_values(problem, everywhere)

    def resolve_at(where: Tensor, nudge: float) -> Resolve:
        fields = _exact_series(problem, where, carried)

        def resolve(forms: Forms) -> Tensor:
            total = torch.zeros(len(where), dtype=where.dtype)
            for name, form in forms.items():
                for index, factor in form.items():
                    term = factor * fields[name].read({index: 1.0})
                    sign = 1 - 2 * torch.randint(2, term.shape, generator=generator)
                    total = total + term + nudge * sign * term.abs().max()
            return total

        return resolve

    def residuals(nudge: float) -> Tensor:
        def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
            places = places_of(problem, others, elsewhere, there)
            return law_quantities(problem, places, resolve_at(others, nudge), true)

        normals = None
        if own_normals is not None:  # inside they are of no matter
            normals = torch.cat([own_normals, torch.ones_like(everywhere[len(own) :])])
        resolve = resolve_at(everywhere, nudge)
        return law.at(everywhere, resolve, true, elsewhere, normals)[:, : len(own)]

    found = residuals(0.0)
    return found, (residuals(NUDGE) - found).abs().amax(1) / NUDGE


def _exact_series(problem: Problem, points: Tensor, carried: Jets) -> dict[str, Any]:
    """The fields of the exact solution near `points`, as Taylor series."""
    fields: Any = exact_fields(problem, points, carried)
    for name in components(problem):
        values = fields[name].value
        bad = ~torch.isfinite(values)
        assert not bad.any(), (
            f"solution(q) is {float(values[bad][0])} for {name!r} at "
            f"{place(problem, points[bad][0])}: {DEFINED}"
        )
    found: dict[str, Any] = fields
    return found


def _check_satisfied(law: PlacedLaw) -> None:
    """Raises AssertionError if the exact solution does not satisfy it: by how much, and where."""
    problem, single, what = law.residuals.problem, law.residuals.single, law.called
    exact, sizes = exact_residuals(law.residuals, law.points)
    for name, residuals, size in zip(law.residuals.names, exact, sizes, strict=True):
        named = f"equation {name!r}"
        if single is not None:
            named = what if name == single else f"{what}, {name!r},"
        worst = int(torch.nan_to_num(residuals, nan=torch.inf).abs().argmax())
        off, scale = abs(float(residuals[worst])), float(size)
        at = place(problem, law.points[worst])
        assert torch.isfinite(residuals).all(), (
            f"the exact solution gives {named} the residual {float(residuals[worst])} at {at}: a "
            f"derivative of solution(q) is not defined there; {DEFINED}"
        )
        allowed = ALLOWED * scale
        cause = "check the signs and coefficients of both"
        if off < 1e-5 * scale:
            cause = (
                "so small a misfit comes from a constant in single precision (torch.tensor(0.1); "
                "write 0.1), a rounded coefficient or a truncated sum"
            )
        if problem.unknowns():
            cause += "; the unknowns have their `true` values"
        where = "equations(q)" if single is None else f"the residual of {what}"
        assert off <= allowed, (
            f"the exact solution does not satisfy {named}: the residual is {off:.3g} at {at}, "
            f"beside terms of size {scale:.3g}; allowed is rounding, {allowed:.2g}. Either "
            f"{where} or solution(q) is wrong: {cause}"
        )


def its_reference_fits_its_domain_and_observables(trial: Trial) -> None:
    problem = trial.part
    evaluator = Evaluator(problem, torch.float64, torch.device("cpu"))
    try:
        evaluator.check_reference()
    except PinnError as error:
        raise AssertionError(str(error)) from None
    for note in evaluator.notes:
        trial.advise(note)
    reference = evaluator.reference
    if reference is None:
        return
    on_grid = evaluator.on_grid(random_network(problem))
    headline = next(iter(on_grid))
    assert headline in reference.fields, (
        f"the first observable, {headline!r}, by which runs are compared, is not in the "
        f"reference, which has {one_of(reference.fields)}: put one of these first in "
        "observables(q), or add it to them"
    )
    if type(problem).reference is Problem.reference:
        for name, values in on_grid.items():
            known = np.isfinite(reference.fields.get(name, values))
            bad = np.argwhere(np.isfinite(values) & ~known)
            assert not len(bad), (
                f"solution(q) is not finite for {name!r} at grid point {tuple(bad[0].tolist())}: keep "
                "clear of 0/0"
            )
