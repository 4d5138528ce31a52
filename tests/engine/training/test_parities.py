"""Reflections that problems allow: of the built-in ones as they are known, of others by construction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, Measurements, Problem, Unknown
from pinn.core.problem import conditions_of
from pinn.engine import Config
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.parities import Reflections
from pinn.engine.training.ready import prepare

MakeConfig = Callable[..., Config]
Offer = Callable[..., None]


def signs(make_config: MakeConfig, problem: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    _, objective, _ = prepare(make_config(problem))
    named = [(c, objective.conditions[c.name]) for c in conditions_of(objective.problem)]
    reflections = Reflections(objective.equations, named)
    free = [0] * len(components(objective.problem))
    found = {name: reflections.signs(name, free) for name in objective.problem.domain.names}
    return {name: signs[0] for name, signs in found.items() if signs and len(signs) == 1}


@pytest.mark.parametrize("hard", [True, False])
def test_the_built_in_problems(make_config: MakeConfig, hard: bool) -> None:
    found = signs(make_config, {"name": "burgers", "hard": hard})
    assert found == {"x": (-1,)}
    assert signs(make_config, {"name": "allen-cahn", "hard": hard}) == {"x": (1,)}
    helmholtz = {"name": "helmholtz", "a1": 1, "a2": 4, "hard": hard}
    assert signs(make_config, helmholtz) == {"x": (-1,), "y": (-1,)}
    assert signs(make_config, {"name": "cavity", "gauge": False, "hard": hard}) == {}
    assert signs(make_config, {"name": "cavity", "boundary": "joint"}) == {}


@frozen
class Channel(Problem):
    """Stokes flow between plates: with the middle line as a mirror u and p stay, v changes sign."""

    name = "channel"
    fields = ("u", "v", "p")
    domain = Box(x=(0, 2), y=(1, 3))

    push: float = 1.0
    tilt: float = 0.0
    plates: bool = True
    measured: bool = False

    def equations(self, q: Any) -> dict[str, Any]:
        return {
            "along": q.p_x - (q.u_xx + q.u_yy) - self.push,
            "across": q.p_y - (q.v_xx + q.v_yy) - self.tilt,
            "continuity": q.u_x + q.v_y,
        }

    def conditions(self) -> Iterator[Any]:
        on = ("y=1", "y=3") if self.plates else "y=1"
        yield Condition("plates", on, lambda q: {"u": q.u, "v": q.v})
        yield Condition("inlet", "x=0", lambda q: {"u": q.u - (q.y - 1) * (3 - q.y), "v": q.v})
        yield Condition("outlet", "x=2", lambda q: {"p": q.p, "u": q.d_n("u")})
        if self.measured:
            yield Measurements("probe", {"x": [1.0], "y": [2.0]}, {"u": [0.5]})


def test_fields_of_unlike_signs(make_config: MakeConfig, offer: Offer) -> None:
    offer(Channel)
    assert signs(make_config, {"name": "channel"}) == {"y": (1, -1, 1)}
    _, _, evaluator = prepare(make_config({"name": "channel"}))
    (note,) = (text for text in evaluator.notes if "reflected" in text)
    assert (
        "y is reflected about the middle of its interval and the network's v changes sign" in note
    )
    assert '[network] odd = ["v.y"], even = ["u.y", "p.y"]' in note


@pytest.mark.parametrize("changed", [{"tilt": 0.1}, {"plates": False}, {"measured": True}], ids=str)
def test_whatever_tells_the_sides_apart(
    make_config: MakeConfig, offer: Offer, changed: dict[str, Any]
) -> None:
    offer(Channel)
    assert signs(make_config, {"name": "channel", **changed}) == {}


@frozen
class Rod(Problem):
    """Heat that flows through ends of the normals' signs."""

    name = "rod"
    fields = ("u",)
    domain = Box(x=(-1, 1), t=(0, 1))

    moved: float = 0.0
    linear: bool = False

    def equations(self, q: Any) -> dict[str, Any]:
        return {"heat": q.u_t - q.u_xx}

    def conditions(self) -> Iterator[Any]:
        yield Condition("ends", ("x=-1", "x=1"), lambda q: q.d_n("u") + q.n_x**2 * q.u)
        start = (
            (lambda q: q.u)
            if self.linear
            else (lambda q: q.u - torch.exp(-((q.x - self.moved) ** 2)))
        )
        yield Condition("start", "t=0", start)


def test_normals_are_reflected_too_and_what_allows_both_signs_tells_none(
    make_config: MakeConfig, offer: Offer
) -> None:
    offer(Rod)
    assert signs(make_config, {"name": "rod"}) == {"x": (1,)}
    assert signs(make_config, {"name": "rod", "moved": 0.01}) == {}
    assert signs(make_config, {"name": "rod", "linear": True}) == {}


@frozen
class Inside(Problem):
    """A source that is told where it is, by a condition inside."""

    name = "inside"
    fields = ("u",)
    domain = Box(x=(0, 1))

    place: str = "x=0.25"

    def equations(self, q: Any) -> dict[str, Any]:
        return {"one": q.u_xx + 1}

    def conditions(self) -> Iterator[Any]:
        on = ("x=0.25", "x=0.75") if self.place == "both" else self.place
        yield Condition("held", on, lambda q: q.u)


def test_places_must_map_to_each_other(make_config: MakeConfig, offer: Offer) -> None:
    offer(Inside)
    assert signs(make_config, {"name": "inside"}) == {}
    assert signs(make_config, {"name": "inside", "place": "x=0.5"}) == {"x": (1,)}
    assert signs(make_config, {"name": "inside", "place": "both"}) == {"x": (1,)}


def walls(q: Any) -> Any:
    return q.u


EQUATIONS: dict[str, Callable[[Any], Any]] = {
    "source": lambda q: q.u_xx + 1,
    "in the tail": lambda q: q.u_xx + 1 + torch.where(q.x < 0.1, 100.0, 0.0),
    "in a corner of the tolerance": lambda q: 1000 * q.u_xx + 3 * q.u_x + 1e9,
    "undefined": lambda q: q.u_xx + torch.log(0.5 - q.u),
    "unknown": lambda q: q.u_xx - 1 - q.c * torch.exp(q.x),
}
CONDITIONS: dict[str, list[Condition]] = {
    "walls": [Condition("walls", ("x=0", "x=1"), walls)],
    "each wall": [Condition("left", "x=0", walls), Condition("right", "x=1", walls)],
    "unlike walls": [
        Condition("left", "x=0", walls),
        Condition("right", "x=1", lambda q: q.u_x),
    ],
    "one wall": [Condition("left", "x=0", walls)],
    "a slope in the middle": [
        Condition("middle", "x=0.5", lambda q: {"u": q.u - 1, "s": q.u_x - 1})
    ],
    "around": [Condition("around", "x=0", lambda q: q.u - q.at(x=1).u)],
}


@frozen
class Ends(Problem):
    """One coordinate, and what is chosen of the above."""

    name = "ends"
    fields = ("u",)
    domain = Box(x=(0, 1))

    law: str = "source"
    on: str = "walls"

    def unknowns(self) -> dict[str, Unknown]:
        return {"c": Unknown(0.0)} if self.law == "unknown" else {}

    def equations(self, q: Any) -> dict[str, Any]:
        return {"law": EQUATIONS[self.law](q)}

    def conditions(self) -> Iterator[Any]:
        yield from CONDITIONS[self.on]


@pytest.mark.parametrize(
    ("chosen", "even"),
    [
        ({}, True),
        ({"on": "each wall"}, True),
        ({"on": "unlike walls"}, False),
        ({"on": "one wall"}, None),
        ({"on": "a slope in the middle"}, False),
        ({"on": "around"}, None),
        ({"law": "in the tail"}, False),
        ({"law": "in a corner of the tolerance"}, False),
        ({"law": "undefined"}, None),
        ({"law": "unknown"}, False),
    ],
)  # fmt: skip
def test_what_is_known(
    make_config: MakeConfig, offer: Offer, chosen: dict[str, str], even: bool | None
) -> None:
    """Told of a network that does not know it; warned of, where one is even that should not be."""
    offer(Ends)
    problem = {"name": "ends", **chosen}
    assert (signs(make_config, problem) == {"x": (1,)}) == (even is True)
    _, _, evaluator = prepare(make_config(problem, network={"even": ["x"]}))
    assert any("becomes another one" in note for note in evaluator.notes) == (even is False)


@pytest.mark.parametrize(
    ("network", "warned"),
    [({"even": ["u.y"]}, False), ({"odd": ["u.y"]}, True), ({"odd": ["v.y"], "even": ["p.y"]}, False)],
)  # fmt: skip
def test_parities_of_some_fields(
    make_config: MakeConfig, offer: Offer, network: dict[str, Any], warned: bool
) -> None:
    offer(Channel)
    _, _, evaluator = prepare(make_config({"name": "channel"}, network=network))
    assert any("becomes another one" in note for note in evaluator.notes) == warned


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ({}, "the network's u changes sign: if it has one solution, [network] odd = [\"x\"]"),
        ({"odd": ["x"]}, None),
        ({"odd": ["u.x"]}, None),
        ({"even": ["x"]}, "[network] even = [\"x\"]: the problem becomes another one"),
        ({"name": "modified-mlp", "odd": ["x", "t"]}, "[network] odd = [\"t\"]: the problem becomes"),
    ],
)  # fmt: skip
def test_what_the_network_could_be_and_should_not_be_is_told(
    make_config: MakeConfig, network: dict[str, Any], told: str | None
) -> None:
    _, _, evaluator = prepare(make_config({"name": "burgers"}, network=network))
    found = [text for text in evaluator.notes if "reflected" in text]
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_the_problem_of_the_last_stage_counts(make_config: MakeConfig, offer: Offer) -> None:
    offer(Channel)
    stages = [
        {"name": "adam", "steps": 1, "problem": {"tilt": 0.1}},
        {"name": "adam", "steps": 1},
    ]
    _, _, evaluator = prepare(make_config({"name": "channel"}, optimizers=stages))
    assert any("y is reflected" in note for note in evaluator.notes)
