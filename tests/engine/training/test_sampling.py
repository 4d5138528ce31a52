"""Collocation points: how many, where, and from which random stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, PinnError, Problem, Sampler
from pinn.core.domain import PointSet
from pinn.engine import Config, parse_config
from pinn.engine.training.sampling import draw_points, redraw_interior

MakeConfig = Callable[..., Config]


def drawn(config: Config) -> PointSet:
    like = torch.zeros((), dtype=torch.float64)
    return draw_points(config.problem, config.points, config.run.seed, like)


@frozen
class Faces(Problem):
    """Conditions on a face, on several, on an edge and at corners."""

    name = "faces"
    fields = ("u",)
    domain = Box(x=(-1, 1), y=(0, 2), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"u": q.u_t}

    def conditions(self) -> list[Condition]:
        return [
            Condition("start", on="t=0", residual=lambda q: q.u),
            Condition("walls", on=("x=-1", "x=1", "y=0"), residual=lambda q: q.u),
            Condition("edge", on="x=1, y=2", residual=lambda q: q.u),
            Condition("corners", on=["x=1, y=2, t=0", "x=-1, y=0, t=1"], residual=lambda q: q.u),
        ]


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    return attrs.evolve(make_config({"name": "helmholtz"}), problem=Faces())


def test_counts_and_places(config: Config) -> None:
    points = drawn(config)
    assert points.interior.shape == (48, 3)
    assert {name: len(p) for name, p in points.conditions.items()} == {
        "start": 12,
        "walls": 12,
        "edge": 12,
        "corners": 2,
    }
    assert (points.conditions["start"][:, 2] == 0).all()
    walls = points.conditions["walls"]
    faces = [walls[:, 0] == -1, walls[:, 0] == 1, walls[:, 1] == 0]
    assert [int(face.sum()) for face in faces] == [4, 4, 4]
    assert (points.conditions["edge"][:, :2] == torch.tensor([1.0, 2.0])).all()
    assert points.conditions["corners"].tolist() == [[1, 2, 0], [-1, 0, 1]]


def test_a_condition_may_have_a_sampler_of_its_own(make_config: MakeConfig) -> None:
    own = {"sampler": "grid", "ends": "lower", "points": 8}
    config = make_config(
        {"name": "burgers"}, points={"interior": 9, "conditions": {"initial": own, "walls": 6}}
    )
    for written in (config, parse_config(config.table())):
        points = drawn(written)
        assert len(points.conditions["walls"]) == 6
        along = points.conditions["initial"][:, 0]
        torch.testing.assert_close(along, torch.linspace(-1, 1, 9, dtype=torch.float64)[:-1])


def test_every_point_is_in_the_domain(config: Config) -> None:
    points = drawn(config)
    lower, upper = torch.tensor(Faces.domain.lower), torch.tensor(Faces.domain.upper)
    for table in (points.interior, *points.conditions.values()):
        assert ((table >= lower) & (table <= upper)).all()


def test_every_face_has_a_point_even_where_the_count_is_too_small(config: Config) -> None:
    options = attrs.evolve(config.points.options, conditions=2)
    points = drawn(attrs.evolve(config, points=attrs.evolve(config.points, options=options)))
    walls = points.conditions["walls"]
    assert [walls[0, 0], walls[1, 0], walls[2, 1]] == [-1, 1, 0]


def test_counts_by_name(make_config: MakeConfig) -> None:
    config = make_config({"name": "burgers"}, points={"conditions": {"initial": 5, "walls": 8}})
    points = drawn(config)
    assert {name: len(p) for name, p in points.conditions.items()} == {"initial": 5, "walls": 8}


@pytest.mark.parametrize("sampler", ["lhs", "uniform", "sobol", "grid"])
def test_points_follow_from_the_seed(make_config: MakeConfig, sampler: str) -> None:
    sections = {"points": {"sampler": sampler, "interior": 49, "conditions": 12}}
    one = drawn(make_config({"name": "helmholtz"}, **sections))
    np.random.random(3)
    torch.rand(3)
    two = drawn(make_config({"name": "helmholtz"}, **sections))
    assert torch.equal(one.interior, two.interior)
    assert torch.equal(one.conditions["walls"], two.conditions["walls"])
    other = drawn(make_config({"name": "helmholtz"}, run={"seed": 1}, **sections))
    assert torch.equal(one.interior, other.interior) == (sampler == "grid")


def test_streams_are_independent(config: Config) -> None:
    """Another count in one place changes no points elsewhere, and no two faces share their points."""
    options = attrs.evolve(config.points.options, interior=7)
    fewer = drawn(attrs.evolve(config, points=attrs.evolve(config.points, options=options)))
    whole = drawn(config)
    for name, table in whole.conditions.items():
        assert torch.equal(table, fewer.conditions[name])
    walls = whole.conditions["walls"]
    assert not torch.equal(walls[:4, 2], walls[4:8, 2])


def test_redrawn_points_are_new_and_repeatable(config: Config) -> None:
    first = drawn(config).interior

    def residuals(points: torch.Tensor) -> torch.Tensor:
        return torch.ones(1, len(points))

    def redrawn(draw: int) -> torch.Tensor:
        sampler, domain = config.points.sampler, config.problem.domain
        seed, count = config.run.seed, len(first)
        return redraw_interior(sampler, domain, seed, draw, count, first, residuals, None)[0]

    second, third = redrawn(1), redrawn(2)
    assert second.shape == first.shape
    assert second.dtype is first.dtype
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert torch.equal(second, redrawn(1))


def test_drawing_leaves_the_global_generators_alone(config: Config) -> None:
    np.random.seed(3)
    torch.manual_seed(3)
    drawn(config)
    after = np.random.random(), float(torch.rand(()))
    np.random.seed(3)
    torch.manual_seed(3)
    assert after == (np.random.random(), float(torch.rand(())))


@pytest.mark.parametrize("shape", [(47, 3), (48, 2), (48,), (0, 3)])
def test_a_sampler_that_returns_another_shape(config: Config, shape: tuple[int, ...]) -> None:
    @frozen
    class Wrong(Sampler):
        name = "wrong"

        def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Any:
            return np.zeros(shape)

    wrong = attrs.evolve(config, points=attrs.evolve(config.points, sampler=Wrong()))
    with pytest.raises(PinnError, match=r"sampler 'wrong' returned points of shape .*; expected"):
        drawn(wrong)


def test_a_grid_names_a_count_that_works(make_config: MakeConfig) -> None:
    config = make_config({"name": "helmholtz"}, points={"sampler": "grid", "interior": 50})
    with pytest.raises(
        PinnError, match=r"power of 2, such as 49, or nodes = … to draw from; found 50"
    ):
        drawn(config)


def test_number_format(config: Config) -> None:
    points = draw_points(config.problem, config.points, config.run.seed, torch.zeros(()))
    assert points.interior.dtype is torch.float32
