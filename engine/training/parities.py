"""Whether the network is odd and even as the problem's solution is; a sentence where it is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from pinn.core.domain import Box
from pinn.core.errors import one_of
from pinn.core.parts import Network
from pinn.core.problem import conditions_of
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.parities import Reflections, Signs
from pinn.engine.training.objective import Objective

Parities = Callable[[Box, tuple[str, ...]], list[dict[str, int]]]


def notes_of_parities(network: Network, objective: Objective) -> Iterator[str]:
    """Of networks that can be told to be odd or even, by a method `parities`."""
    problem = objective.problem
    told: Parities | None = getattr(network, "parities", None)
    if told is None or not isinstance(problem.domain, Box):
        return
    outputs = components(problem)
    laws = [(c, objective.conditions[c.name]) for c in conditions_of(problem)]
    reflections = Reflections(objective.equations, laws)
    own = told(problem.domain, outputs)
    mirrors: dict[Signs, list[str]] = {}
    for name in problem.domain.names:
        stated = [of_output.get(name, 0) for of_output in own]
        kept = reflections.signs(name, stated)
        if kept and not any(stated) and len(kept) == 1:
            mirrors.setdefault(kept[0], []).append(name)
        elif kept == [] and any(stated):
            yield (
                f"[network] {_written(outputs, [name], stated)}: the problem becomes another one where "
                f"{name} is reflected about the middle of its interval{_changed(outputs, stated)}, so "
                "that no solution need be so"
            )
    for signs, names in mirrors.items():
        yield (
            f"the problem stays the same where {' or '.join(names)} is reflected about the middle of "
            f"its interval{_changed(outputs, signs)}: if it has one solution, [network] "
            f"{_written(outputs, names, signs)} makes that sure"
        )


def _written(outputs: Sequence[str], coordinates: Sequence[str], signs: Sequence[int]) -> str:
    """Such as 'odd = ["x"]', or 'odd = ["v.x"], even = ["u.x"]'."""
    of_all = len({*signs}) == 1  # 0: nothing is said of an output
    lists = {}
    for key, sign in (("odd", -1), ("even", 1)):
        of = [o for o, s in zip(outputs, signs, strict=True) if s == sign]
        each = [f"{o}.{c}" for o in of for c in coordinates]
        lists[key] = [*coordinates] if of and of_all else each
    return ", ".join(f"{key} = {json.dumps(names)}" for key, names in lists.items() if names)


def _changed(outputs: Sequence[str], signs: Sequence[int]) -> str:
    odd = [name for name, sign in zip(outputs, signs, strict=True) if sign < 0]
    if not odd:
        return ""
    return f" and the network's {one_of(odd)} {'changes' if len(odd) == 1 else 'change'} sign"
