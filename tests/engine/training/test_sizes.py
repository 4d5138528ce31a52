"""Coordinates in seconds and metres, coefficients in units: what will not train is said beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, Network, Problem, offered
from pinn.engine import check, parse_config
from pinn.engine.derivatives.typical_sizes import typical_sizes

DAY = 86400.0


@frozen
class Rod(Problem):
    """Heat in a rod of a centimetre over a day, in metres and seconds."""

    name = "rod"
    fields = ("u",)
    domain = Box(x=(0, 0.01), t=(0, DAY))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - 1e-9 * q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - 1)
        yield Condition("ends", ("x=0", "x=0.01"), lambda q: q.u)


@frozen
class ScaledRod(Rod):
    """It says how large its equation is."""

    name = "scaled-rod"
    residual_scales: ClassVar = {"heat": 1e-5}


@frozen
class Steep(Rod):
    """Its equation is of size 1e5."""

    name = "steep"
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - 1e5 * q.u_xx}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - 1)


@frozen
class Pair(Steep):
    """Two equations of unlike units, and ends that hold exactly."""

    name = "pair"
    fields = ("u", "v")

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"first": q.u_t - q.v, "second": 1e-6 * (q.v_t + q.u)}

    def conditions(self) -> list[Condition]:
        return []


@frozen
class Normalised(Network):
    """Of another package, and without an option `normalise`."""

    name = "own"

    def build(self, inputs: Box, outputs: tuple[str, ...], generator: Any) -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Linear(inputs.dimension, 8), torch.nn.Tanh(), torch.nn.Linear(8, len(outputs))
        )


def notes(problem: type[Problem], /, **sections: Any) -> list[str]:
    table = {
        "problem": {"name": problem.name},
        "points": {"interior": 16, "conditions": 8},
        "optimizers": [{"name": "adam", "steps": 1}],
        **sections,
    }
    with offered(problem, Normalised):
        found = check(parse_config(table))[2].notes
        return [note for note in found if "reflected" not in note]  # what test_parities.py is about


@pytest.mark.parametrize("seed", range(3))
def test_coordinates_that_are_far_too_short_or_long(seed: int) -> None:
    (note,) = notes(ScaledRod, run={"seed": seed})
    assert note == (
        "the untrained network hardly changes with x from 0 to 0.01 and t from 0 to 86400: "
        "set [network] normalise = true"
    )


def test_a_network_that_cannot_normalise() -> None:
    (note,) = notes(ScaledRod, network={"name": "own"})
    assert note.endswith("choose units in which the domain is about 1 long")


def test_equations_that_the_loss_hardly_feels() -> None:
    (note,) = notes(Rod, network={"normalise": True})
    assert "'heat' 9e-06, beside 8e-01" in note
    assert "residual_scales = {'heat': 9e-06}" in note


@pytest.mark.parametrize(("problem", "name"), [(Steep, "heat"), (Pair, "second")])
def test_equations_far_beyond_the_others(problem: type[Problem], name: str) -> None:
    *_, note = notes(problem)
    assert f"residual_scales = {{'{name}': " in note


def test_what_is_told_is_what_helps() -> None:
    assert notes(ScaledRod, network={"normalise": True}) == []
    assert notes(Rod, network={"normalise": True}, weighting={"factors": {"heat": 1e10}}) == []


@pytest.mark.parametrize("network", ["mlp", "modified-mlp"])
@pytest.mark.parametrize("problem", ["allen-cahn", "burgers", "cavity", "helmholtz"])
def test_problems_of_usual_size_are_not_told(problem: str, network: str) -> None:
    with_it = {"problem": {"name": problem}, "network": {"name": network, "width": 16, "depth": 2}}
    assert not [note for note in notes(Rod, **with_it) if "hardly" in note]


def test_terms_divided_by_their_sizes_are_alike(make_config: Any) -> None:
    """For smooth fields every term is about 1; a fixed factor is kept."""
    with offered(Pair):
        given = {"by_size": True, "factors": {"first": 3.0}}
        plain, scaled = (
            check(make_config({"name": "pair"}, weighting=weighting))[1]
            for weighting in ({}, given)
        )
    sizes = typical_sizes(plain.equations)
    for place, name in enumerate(scaled.names):
        assert float(scaled.factors[place]) == pytest.approx(
            (3.0 if name == "first" else 1.0) / sizes[name] ** 2, rel=1e-5
        )


def test_terms_divided_by_their_sizes_are_not_told_of(make_config: Any) -> None:
    with offered(Pair):
        notes, scaled = (
            check(make_config({"name": "pair"}, weighting={"by_size": each}))[2].notes
            for each in (False, True)
        )
    assert any("by_size = true" in note for note in notes)
    assert not any("by_size" in note for note in scaled)
