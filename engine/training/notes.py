"""What is to be known of a problem before it is trained, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from pinn.core.domain import Box
from pinn.core.problem import Condition, Problem, conditions_of
from pinn.engine.derivatives.jumps import jumps
from pinn.engine.derivatives.scales import MEASURED, scales_of


def notes_of_problem(problem: Problem) -> Iterator[str]:
    yield from _inner_conditions(problem)
    yield from _measured_sizes(problem)
    yield from _jumps(problem)


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


def _jumps(problem: Problem) -> Iterator[str]:
    for jump in jumps(problem):
        place = zip(problem.domain.names, jump.place, strict=True)
        where = ", ".join(f"{name} = {value:.3g}" for name, value in place)
        yield (
            f"equation {jump.equation!r} multiplies a slope with what jumps, as at {where}: no point is "
            "on the jump, and nothing says what holds across it; let the flux be a field of its own"
        )
