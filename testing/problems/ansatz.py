"""What an ansatz leaves free, and which conditions it takes over."""

from __future__ import annotations

from attrs import evolve
from torch import Tensor

from pinn.core.problem import Condition, Problem, conditions_of
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.residuals import quantities
from pinn.engine.derivatives.unknowns import start_values
from pinn.testing.problems.laws import condition_of, equations_of, inside, place, random_network
from pinn.testing.trial import Trial

SATISFIED = 1e-12
"""What an ansatz may leave of a condition that it satisfies, beside its size elsewhere."""


def its_ansatz_leaves_the_inside_free(trial: Trial) -> None:
    problem = trial.part
    at = inside(problem)
    one, other = (_fields(problem, at, seed) for seed in (0, 1))
    for name in components(problem):
        same = one[name] == other[name]
        assert float(same.double().mean()) < 0.1, (
            f"the ansatz leaves {name!r} no freedom at {place(problem, at[same][0])}: two "
            f"networks give the same {float(one[name][same][0]):.3g} there. Multiply q.{name} by "
            "something that is zero on faces alone"
        )


def _fields(problem: Problem, at: Tensor, seed: int) -> dict[str, Tensor]:
    """Of a random network, behind the ansatz."""
    carried = equations_of(problem).residuals.jets
    q = quantities(problem, random_network(problem, seed), at, carried, start_values(problem, at))
    return {name: getattr(q, name).tensor().detach() for name in components(problem)}


def its_hard_ansatz_satisfies_the_conditions_it_takes_over(trial: Trial) -> None:
    problem = trial.part
    for condition in _taken_over(problem):
        there = condition_of(problem, condition)
        elsewhere = evolve(there, points=inside(problem))
        for module in (random_network(problem, seed) for seed in range(3)):
            sizes = elsewhere(module).abs().amax(1)
            for name, found, size in zip(there.residuals.names, there(module), sizes, strict=True):
                worst = int(found.abs().argmax())
                assert float(found[worst].abs()) <= SATISFIED * max(float(size), 1e-3), (
                    f"with hard = true condition {condition.name!r} is no longer in conditions(), "
                    f"but the ansatz does not satisfy it: {name!r} is off by "
                    f"{float(found[worst]):.3g} at {place(problem, there.points[worst])}. Mend "
                    "ansatz(q), or keep the condition"
                )


def it_has_conditions_to_take_over(trial: Trial) -> None:
    assert _taken_over(trial.part), (
        "hard = true leaves all conditions in place: leave out of conditions() what the ansatz "
        "satisfies"
    )


def _taken_over(problem: Problem) -> list[Condition]:
    """Conditions that are there without `hard` and gone with it."""
    if getattr(problem, "hard", None) is not True:
        return []
    left = {condition.name for condition in conditions_of(problem)}
    soft = evolve(problem, hard=False)  # type: ignore[misc]
    return [c for c in conditions_of(soft) if c.name not in left and isinstance(c, Condition)]
