"""`check_sampler` finds what is wrong with a sampler, and says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import frozen

from pinn.core import Box, PinnError, Sampler
from pinn.testing import check_sampler


@frozen
class Uniform(Sampler):
    """Independent points."""

    name = "plain"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Any:
        return generator.uniform(domain.lower, domain.upper, (count, domain.dimension))


def fails(draw: Any, *messages: str, **methods: Any) -> None:
    cls = frozen(type("Wrong", (Uniform,), {"__doc__": "Wrong.", "draw": draw, **methods}))
    with pytest.raises(AssertionError, match="(?s)^sampler 'plain': .*" + ".*".join(messages)):
        check_sampler(cls)


def test_uniform_points_pass() -> None:
    check_sampler(Uniform)


def test_points_outside_of_the_box() -> None:
    fails(
        lambda self, domain, count, generator: generator.random((count, domain.dimension)),
        r"returns x\d = .*, outside of \[",
        r"low \+ \(high - low\) \* unit",
    )


def test_points_of_another_shape() -> None:
    fails(
        lambda self, domain, count, generator: Uniform().draw(domain, count, generator).T,
        r"returns shape \(\d+, \d+\): return an array of shape .*, one row a point",
    )


def test_the_global_generator_is_found() -> None:
    fails(
        lambda self, domain, count, generator: np.random.uniform(
            domain.lower, domain.upper, (count, domain.dimension)
        ),
        "draw draws from NumPy's global generator",
        "generator.uniform",
    )


def test_a_generator_of_its_own_is_found() -> None:
    fails(
        lambda self, domain, count, generator: Uniform().draw(
            domain, count, np.random.default_rng()
        ),
        "returns other points from the same generator",
        "make it depend on its arguments alone",
    )


def test_points_that_are_kept_from_draw_to_draw() -> None:
    kept: list[Any] = []

    def draw(self: Any, domain: Box, count: int, generator: np.random.Generator) -> Any:
        kept.append(count)
        return domain.lower + (Uniform().draw(domain, count, generator) - domain.lower) / len(kept)

    fails(draw, "returns other points from the same generator", "keeps something from call to call")


def test_points_that_lie_on_a_line() -> None:
    def draw(self: Any, domain: Box, count: int, generator: np.random.Generator) -> Any:
        points = Uniform().draw(domain, count, generator)
        points[:, 0] = domain.lower[0]
        return points

    fails(draw, r"draw puts all \d+ points at x0 = .*: spread them over every coordinate")


def test_a_refusal_must_offer_a_count() -> None:
    def draw(self: Any, domain: Box, count: int, generator: np.random.Generator) -> Any:
        if count % 2:
            raise PinnError(f"{count} is odd{self.offer.format(count + 1)}")
        return Uniform().draw(domain, count, generator)

    fails(draw, "draw refuses 1 points", "names no number that it accepts", offer="")
    even = {"__doc__": "In pairs.", "draw": draw, "offer": ", such as {} is not"}
    check_sampler(frozen(type("Even", (Uniform,), even)))


@pytest.mark.parametrize(
    ("redraw", "message"),
    [
        (
            lambda self, domain, points, residuals, generator: points[1:],
            "redraw for .* returns shape",
        ),
        (
            lambda self, domain, points, residuals, generator: np.random.permutation(points),
            "redraw draws from NumPy's global generator",
        ),
    ],
)
def test_points_that_are_drawn_anew(redraw: Any, message: str) -> None:
    fails(Uniform.draw, message, redraw=redraw)


def test_points_that_are_overwritten() -> None:
    def redraw(self: Any, domain: Box, points: Any, residuals: Any, generator: Any) -> Any:
        points += 0.5 * (np.array(domain.upper) - points)
        return points

    fails(Uniform.draw, r"redraw writes into the points .*points.copy\(\)", redraw=redraw)
