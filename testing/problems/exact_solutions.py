"""How well an exact solution satisfies equations, beside the size of their terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import one_of
from pinn.core.problem import Condition, Problem
from pinn.engine.derivatives import coordinate
from pinn.engine.derivatives.jets import Jets, jets
from pinn.engine.derivatives.quantities import Forms, Quantities, named_tensors
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import true_values
from pinn.testing.problems.laws import condition_of, equations_of, inside, on_faces, place
from pinn.testing.trial import Trial

NUDGE = 1e-6
ALLOWED = 1e-10
"""Residuals beside their terms: rounding leaves 1e-13 or so, a constant in float32 1e-8."""

DEFINED = (
    "keep clear of roots and logarithms of 0 and below and of 0/0, or write it in another form"
)


def its_exact_solution_satisfies_its_equations(trial: Trial) -> None:
    problem = trial.part
    if not _has_exact_solution(trial):
        return
    _check_satisfied("the equations", equations_of(problem), inside(problem))


def its_exact_solution_satisfies_its_conditions(trial: Trial) -> None:
    problem = trial.part
    if not _has_exact_solution(trial):
        return
    for condition in problem.conditions():
        if isinstance(condition, Condition):
            law, points = condition_of(problem, condition), on_faces(problem, condition)
            _check_satisfied(f"condition {condition.name!r}", law, points)


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


@frozen
class Satisfied:
    """Residuals (names, n) of the exact solution, and the size of the terms that make each, (names,)."""

    residuals: Tensor
    sizes: Tensor


def exact_satisfaction(law: Residuals, points: Tensor, spread: Tensor) -> Satisfied:
    """The residuals at `points`, and how large their terms are.

    The size of the terms is how strongly the residual answers when every derivative is nudged by a small
    share of its largest value: at `points` themselves, a boundary, say, the solution itself may be zero.

    Args:
        points, spread: (n, dimension) and (m, dimension), in double precision; `spread` over
            the domain.
    """
    problem = law.problem
    everywhere = torch.cat([points, spread])
    carried = jets([{index: 1.0} for index in sorted({i for row in law.jets.rows for i in row})])
    fields = exact_series(problem, everywhere, carried)
    generator = torch.Generator().manual_seed(0)

    def residuals(nudge: float) -> Tensor:
        def resolve(forms: Forms) -> Tensor:
            total = torch.zeros(len(everywhere), dtype=everywhere.dtype)
            for name, form in forms.items():
                for index, factor in form.items():
                    term = factor * fields[name].read({index: 1.0})
                    sign = 1 - 2 * torch.randint(2, term.shape, generator=generator)
                    total = total + term + nudge * sign * term.abs().max()
            return total

        places = dict(zip(problem.domain.names, everywhere.T, strict=True))
        q = Quantities(places, problem.fields, resolve, true_values(problem, everywhere))
        named = named_tensors(law.law(q), len(everywhere), law.what, law.single)
        return torch.stack(list(named.values()))[:, : len(points)]

    found = residuals(0.0)
    sizes = (residuals(NUDGE) - found).abs().amax(1) / NUDGE
    return Satisfied(found, sizes)


def exact_series(problem: Problem, points: Tensor, carried: Jets) -> dict[str, Any]:
    """The fields of the exact solution near `points`, as Taylor series."""
    places = {
        name: coordinate(points[:, i], i, carried) for i, name in enumerate(problem.domain.names)
    }
    fields: Any = problem.solution(Quantities(places, (), unknowns=true_values(problem, points)))
    missing = [name for name in problem.fields if name not in fields]
    assert not missing, (
        f"solution(q) lacks the fields {one_of(missing)}: return every one of "
        f"{one_of(problem.fields)}, as in {{{missing[0]!r}: …}}"
    )
    for name in problem.fields:
        shape = getattr(fields[name], "shape", None)
        assert shape == (len(points),), (
            f"solution(q) returns {name!r} of {f'shape {tuple(shape)}' if shape else 'no shape'} "
            f"for {len(points)} points: make it of q.{problem.domain.names[0]} and the like with "
            "torch, one number a point; for a constant field write 0 * q.x + c"
        )
        values = fields[name].value
        bad = ~torch.isfinite(values)
        assert not bad.any(), (
            f"solution(q) is {float(values[bad][0])} for {name!r} at "
            f"{place(problem, points[bad][0])}: {DEFINED}"
        )
    return {name: fields[name] for name in problem.fields}


def _check_satisfied(what: str, law: Residuals, points: Tensor) -> None:
    """The exact solution satisfies the law at `points`.

    Raises:
        AssertionError: it does not; says by how much and where.
    """
    problem = law.problem
    found = exact_satisfaction(law, points, inside(problem))
    for name, residuals, size in zip(law.names, found.residuals, found.sizes, strict=True):
        named = f"equation {name!r}"
        if law.single is not None:
            named = what if name == law.single else f"{what}, {name!r},"
        worst = int(torch.nan_to_num(residuals, nan=torch.inf).abs().argmax())
        off, scale = abs(float(residuals[worst])), float(size)
        at = place(problem, points[worst])
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
        where = "equations(q)" if law.single is None else f"the residual of {what}"
        assert off <= allowed, (
            f"the exact solution does not satisfy {named}: the residual is {off:.3g} at {at}, "
            f"beside terms of size {scale:.3g}; allowed is rounding, {allowed:.2g}. Either "
            f"{where} or solution(q) is wrong: {cause}"
        )
