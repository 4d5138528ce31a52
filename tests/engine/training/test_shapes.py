"""Training on shapes: points inside and on the boundary, normals, conditions at given points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
import torch
from attrs import frozen
from torch import Tensor

from pinn.core import Ball, Box, Condition, PinnError, Points, Problem, Sampler, Shape
from pinn.core.discovery import offered
from pinn.engine import Config, parse_config, train
from pinn.engine.training.build import build
from pinn.engine.training.sampling import draw_points, redraw_interior
from pinn.testing import check_problem

MakeConfig = Callable[..., Config]
LIKE = torch.zeros((), dtype=torch.float64)
PLATE = Box(x=(-1, 1), y=(-1, 1)) - Ball(x=0.2, y=0, radius=0.4, name="hole")
SAMPLERS = ("lhs", "uniform", "sobol", "grid", "rad")


@frozen
class Plate(Problem):
    """Heat in a plate with a hole: u = eˣ cos(y) e⁻ᵗ."""

    name = "plate"
    fields = ("u",)
    domain = PLATE * Box(t=(0, 1))
    grid: ClassVar = {"x": 21, "y": 21, "t": 3}

    def equations(self, q: Any) -> Mapping[str, Tensor]:
        return {"heat": q.u_t - q.u_xx - q.u_yy + q.u}

    def conditions(self) -> Iterable[Condition]:
        yield Condition("start", "t=0", lambda q: q.u - self.exact(q))
        yield Condition("walls", ("x=-1", "x=1", "y=-1", "y=1"), lambda q: q.u - self.exact(q))
        yield Condition("flux", "hole", lambda q: q.d_n("u") - self.slope(q))
        yield Condition(
            "probe",
            at={"x": [0.9, -0.9], "y": [0.9, 0.9], "t": [0.5, 0.5]},
            residual=lambda q: {"u": q.u - self.exact(q), "u_t": q.u_t + self.exact(q)},
        )

    def solution(self, q: Any) -> Mapping[str, Tensor]:
        return {"u": self.exact(q)}

    @staticmethod
    def exact(q: Any) -> Any:
        return torch.exp(q.x) * torch.cos(q.y) * torch.exp(-q.t)

    @staticmethod
    def slope(q: Any) -> Any:
        along = q.n_x * torch.cos(q.y) - q.n_y * torch.sin(q.y)
        return torch.exp(q.x) * torch.exp(-q.t) * along


def config_of(sampler: str, interior: int = 343) -> Config:
    with offered(Plate):
        return parse_config(
            {
                "problem": {"name": "plate"},
                "points": {"sampler": sampler, "interior": interior, "conditions": 49},
                "optimizers": [{"name": "adam", "steps": 1}],
            }
        )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_inside_and_on_the_boundary(sampler: str) -> None:
    config = config_of(sampler)
    points, again = (draw_points(config.problem, config.points, 3, LIKE) for _ in range(2))
    interior = points.interior.numpy()
    assert interior.shape == (343, 3)
    assert config.problem.domain.inside(interior).all()
    assert torch.equal(points.interior, again.interior)
    walls, flux = points.conditions["walls"].numpy(), points.conditions["flux"].numpy()
    assert walls.shape == (49, 3)
    assert np.isclose(np.abs(walls[:, :2]).max(1), 1).all()
    assert flux.shape == (49, 6)
    away = flux[:, :2] - [0.2, 0]
    assert np.allclose(np.hypot(*away.T), 0.4)
    assert np.allclose(away / 0.4, -flux[:, 3:5])
    assert (points.conditions["start"][:, 2] == 0).all()
    assert points.conditions["probe"].tolist() == [[0.9, 0.9, 0.5], [-0.9, 0.9, 0.5]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_are_uniform_over_a_shape(sampler: str) -> None:
    """Means of x, y and t over 2,000 points, within five standard errors of independent ones."""
    config = config_of(sampler, 2000)
    interior = draw_points(config.problem, config.points, 0, LIKE).interior.numpy()
    many = PLATE.uniform(200_000, np.random.default_rng(0))
    mean, spread = many.mean(0), many.std(0)
    assert (np.abs(interior[:, :2].mean(0) - mean) < 5 * spread / math.sqrt(2000)).all()
    assert abs(interior[:, 2].mean() - 0.5) < 5 * 0.3 / math.sqrt(2000)


@frozen
class Everywhere(Sampler):
    """Knows boxes alone, also when it draws anew."""

    name = "everywhere"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        return generator.uniform(domain.lower, domain.upper, (count, domain.dimension))

    def redraw(
        self,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> Points:
        residuals(points)
        return self.draw(domain.box, len(points), generator)


@pytest.mark.parametrize("sampler", ["lhs", "rad", "everywhere"])
def test_points_drawn_anew_are_inside(sampler: str) -> None:
    with offered(Everywhere):
        config = config_of(sampler)
    old = draw_points(config.problem, config.points, 0, LIKE).interior
    seen: list[Tensor] = []

    def residuals(points: Tensor) -> Tensor:
        seen.append(points)
        return points.sum(1, keepdim=True).T

    sampler, domain = config.points.sampler, config.problem.domain
    new, _ = redraw_interior(sampler, domain, 0, 1, 343, old, residuals, None)
    assert new.shape == old.shape
    assert not torch.equal(new, old)
    for points in (new, *seen):
        assert config.problem.domain.inside(points.numpy()).all()


def test_a_part_of_which_nothing_is_left() -> None:
    @frozen
    class Covered(Plate):
        """The hole lies beyond the plate's edge but for a sliver."""

        name = "covered"
        domain = PLATE - Ball(x=0.2, y=0, radius=0.5, name="larger")

        def equations(self, q: Any) -> Mapping[str, Tensor]:
            return {"u": q.u_xx}

        def conditions(self) -> Iterable[Condition]:
            yield Condition("rim", "hole", lambda q: q.u)

    config = attrs.evolve(config_of("uniform"), problem=Covered())
    with pytest.raises(PinnError, match=r"'rim', on hole: 0 of .* points lie there"):
        draw_points(config.problem, config.points, 0, LIKE)


def test_an_edge_has_no_normal() -> None:
    @frozen
    class Edge(Plate):
        """Asks for the normal of an edge."""

        name = "edge"

        def conditions(self) -> Iterable[Condition]:
            yield Condition("edge", "x=1, y=1", lambda q: q.d_n("u"))

    config = attrs.evolve(config_of("uniform"), problem=Edge())
    with pytest.raises(PinnError, match="'edge' asks for the normal at points that have none"):
        draw_points(config.problem, config.points, 0, LIKE)


def test_the_kit_accepts_a_problem_on_a_shape() -> None:
    check_problem(Plate)


def test_a_problem_on_a_shape_is_learnt(tmp_path: Any) -> None:
    with offered(Plate):
        run = train(
            parse_config(
                {
                    "run": {"directory": str(tmp_path / "run"), "precision": "float64"},
                    "problem": {"name": "plate"},
                    "network": {"width": 12, "depth": 2},
                    "points": {"interior": 200, "conditions": 60},
                    "optimizers": [{"name": "gauss-newton", "steps": 25}],
                }
            )
        )
    x, y = PLATE.uniform(300, np.random.default_rng(5)).T
    found = run.predict(x=x, y=y, t=np.full(300, 0.5))["u"]
    exact = np.exp(x) * np.cos(y) * np.exp(-0.5)
    assert np.linalg.norm(found - exact) < 0.01 * np.linalg.norm(exact)


def test_a_condition_inside_of_a_box_is_told() -> None:
    @frozen
    class Inner(Plate):
        """One condition is where another problem's wall is."""

        name = "inner"
        domain = Box(x=(-1, 1), y=(-1, 1), t=(0, 1))

        def conditions(self) -> Iterable[Condition]:
            yield Condition("wall", ("x=0", "x=1", "y=1", "t=1"), lambda q: q.u)

    config = attrs.evolve(config_of("uniform"), problem=Inner())
    *_, evaluator = build(config)
    assert evaluator.notes == [
        "condition 'wall' is inside of the domain, at x = 0; its ends are -1 and 1"
    ]
