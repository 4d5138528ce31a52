"""What is to be known of a problem before it is trained, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from pinn.core.domain import Box
from pinn.core.parts import Network
from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.engine.derivatives.jumps import jumps
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.scales import MEASURED, scales_of


def notes_of_problem(problem: Problem) -> Iterator[str]:
    yield from _inner_conditions(problem)
    yield from _measured_sizes(problem)
    yield from _unknowns_without_data(problem)
    yield from _jumps(problem)


def notes_of_ends(problem: Problem, network: Network, law: Residuals) -> Iterator[str]:
    """That nothing is said at either end of a coordinate in which an equation has second derivatives."""
    domain = problem.domain
    if not isinstance(domain, Box) or type(problem).ansatz is not Problem.ansatz:
        return
    conditions = [c for c in conditions_of(problem) if isinstance(c, Condition)]
    fixed = {name for c in conditions for text in c.on for name in domain.face(text).fixed}
    orders = [index for row in law.jets.rows for index in row]
    for place, name in enumerate(domain.names):
        said = name in fixed or name in getattr(network, "periodic", ())
        if not said and any(order[place] > 1 for order in orders):
            low, high = domain.intervals[name]
            yield (
                f"an equation has second derivatives in {name}, and nothing is said at {name} = {low:g} "
                f'or {high:g}: is a condition missing, or [network] periodic = ["{name}"]?'
            )


def _inner_conditions(problem: Problem) -> Iterator[str]:
    """That conditions are where a coordinate has a value inside: meant, or a mistaken end."""
    domain = problem.domain
    if not isinstance(domain, Box):
        return
    for condition in conditions_of(problem):
        texts = condition.on if isinstance(condition, Condition) else ()
        for name, value in (each for text in texts for each in domain.face(text).fixed.items()):
            low, high = domain.intervals[name]
            if value not in (low, high):
                yield (
                    f"condition {condition.name!r} is inside of the domain, at {name} = {value:g}; its "
                    f"ends are {low:g} and {high:g}"
                )


def _measured_sizes(problem: Problem) -> Iterator[str]:
    if problem.scales == MEASURED:
        found = [f"{n} {mid:g} ± {size:g}" for n, (mid, size) in scales_of(problem).items()]
        rest = [name for name in problem.fields if name not in scales_of(problem)]
        unknown = f"; no condition says how large {', '.join(rest)} is" if rest else ""
        yield f"sizes of fields, as conditions and data have them: {', '.join(found) or 'none'}{unknown}"


def _unknowns_without_data(problem: Problem) -> Iterator[str]:
    data = [each for each in conditions_of(problem) if isinstance(each, Measurements)]
    if (unknown := list(problem.unknowns())) and not data:
        yield (
            f"nothing was measured that says what {', '.join(unknown)} is: conditions() yields no "
            "Measurements"
        )


def _jumps(problem: Problem) -> Iterator[str]:
    for jump in jumps(problem):
        place = zip(problem.domain.names, jump.place, strict=True)
        where = ", ".join(f"{name} = {value:.3g}" for name, value in place)
        yield (
            f"equation {jump.equation!r} multiplies a slope with what jumps, as at {where}: no point is "
            "on the jump, and nothing says what holds across it; let the flux be a field of its own"
        )
