"""Names, faces and places of a problem."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pinn.core.domain import Shape
from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.testing.problems.laws import equations_of
from pinn.testing.trial import Trial


def its_fields_and_domain_are_well_formed(trial: Trial) -> None:
    problem = trial.part
    fields, domain = problem.fields, problem.domain
    assert (
        isinstance(fields, tuple | Mapping) and fields and all(isinstance(f, str) for f in fields)
    ), f'fields is {fields!r}: write a tuple of names, as in fields = ("u",)'
    assert isinstance(domain, Shape), (
        f"domain is {domain!r}: write domain = Box(x=(0, 1), t=(0, 1))"
    )
    names = [*fields, *domain.names, *problem.unknowns()]
    for name in names:
        assert name.isidentifier() and not name.startswith("_") and name != "d", (
            f"{name!r} cannot be read as q.{name}: use letters, digits and underscores, and not 'd'"
        )
        assert names.count(name) == 1, (
            f"{name!r} names two things: fields, coordinates and unknowns need names of their own"
        )
        field, _, letters = name.rpartition("_")
        assert field not in fields or not set(letters) <= set(domain.names), (
            f"{name!r} reads as a derivative of {field!r}: call it something else"
        )
    for name, count in problem.grid.items():
        assert name in domain.names, (
            f"grid names {name!r}{nearest(name, domain.names)}; the coordinates are "
            f"{one_of(domain.names)}"
        )
        assert isinstance(count, int) and count > 1, (
            f"grid[{name!r}] is {count!r}: at least 2 points"
        )


def its_equations_and_conditions_have_names_of_their_own(trial: Trial) -> None:
    names, again = _names(trial.part), _names(trial.part)
    for name in names:
        assert isinstance(name, str) and re.fullmatch(r"[\w.-]+", name), (
            f"{name!r} cannot name an equation or condition: it is a key of pinn.toml and of the "
            "records; use letters, digits, underscores, dots and hyphens"
        )
        assert names.count(name) == 1, (
            f"two equations or conditions are called {name!r}: their losses are recorded by name"
        )
    assert again == names, (
        f"asked a second time, the problem has {one_of(again)}, not {one_of(names)}: make "
        "conditions() and equations(q) depend on the options alone"
    )


def _names(problem: Problem) -> list[str]:
    conditions = (condition.name for condition in conditions_of(problem))
    return [*equations_of(problem).residuals.names, *conditions]


def its_conditions_lie_on_faces(trial: Trial) -> None:
    problem = trial.part
    for condition in conditions_of(problem):
        assert isinstance(condition, Condition | Measurements), (
            f"conditions() yields {condition!r}: yield Condition(name, on=…, residual=…) or "
            "Measurements(name, at=…, values=…)"
        )
        try:
            if isinstance(condition, Measurements):
                condition.table(problem.domain)
            elif condition.at is not None:
                condition.given(problem.domain)
            else:
                assert condition.on, (
                    f'condition {condition.name!r} is on no face: write on="{_a_face(problem)}"'
                )
                problem.domain.faces(condition.on)
        except PinnError as error:
            raise AssertionError(f"condition {condition.name!r}: {error}") from None


def _a_face(problem: Problem) -> str:
    name, (low, _) = next(iter(problem.domain.intervals.items()))
    return f"{name}={low:g}"
