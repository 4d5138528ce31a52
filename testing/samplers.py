"""What every sampler must keep."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from pinn.core.domain import Box, Points
from pinn.core.parts import Sampler
from pinn.testing.declaration import DECLARATION
from pinn.testing.probes.examples import boxes, for_examples
from pinn.testing.probes.randomness import global_generators_untouched
from pinn.testing.small_runs import accepted_count, it_trains_and_continues_exactly
from pinn.testing.trial import Trial, perform

_examples = for_examples(box=boxes(), count=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
MEND = "draw from the `generator` that is handed in, as in generator.uniform(…)"


def check_sampler(sampler: type[Sampler] | Sampler) -> None:
    """Everything that the framework expects of a sampler.

    Points of the right shape, inside the box, from the generator alone, over boxes and counts; the same
    of points drawn anew; options; and runs of a few steps, killed and continued. A sampler may refuse a
    count with a PinnError that names one that it accepts.

    Args:
        sampler: a class, which is checked with its default options, or an instance.

    Raises:
        AssertionError: what was found, and what to do.
    """
    perform("sampler", sampler, (*DECLARATION, *CHECKS))


def _check_points(what: str, found: Any, box: Box, count: int) -> Points:
    asked = f"{what} for {count} points of {box}"
    shape = (count, box.dimension)
    assert np.shape(found) == shape, (
        f"{asked} returns shape {np.shape(found)}: return an array of shape {shape}, one row a "
        "point"
    )
    points: Points = np.asarray(found, float)
    assert np.isfinite(points).all(), f"{asked} returns numbers that are not finite"
    for axis, (name, (low, high)) in enumerate(box.intervals.items()):
        column = points[:, axis]
        outside = column[(column < low) | (column > high)]
        assert not len(outside), (
            f"{asked} returns {name} = {outside[0]:g}, outside of [{low:g}, {high:g}]: scale what "
            "lies on [0, 1] by low + (high - low) * unit, coordinate by coordinate"
        )
    return points


@_examples
def its_points_lie_in_the_box(trial: Trial, box: Box, count: int, seed: int) -> None:
    count = accepted_count(trial.part, box, count)
    with global_generators_untouched("draw", MEND):
        found = trial.part.draw(box, count, np.random.default_rng(seed))
    points = _check_points("draw", found, box, count)
    if count >= 16:
        stuck = [
            name for name, column in zip(box.names, points.T, strict=True) if not np.ptp(column)
        ]
        assert not stuck, (
            f"draw puts all {count} points at {stuck[0]} = "
            f"{points[0, box.names.index(stuck[0])]:g}: spread them over every coordinate"
        )


@_examples
def its_points_depend_on_the_generator_alone(trial: Trial, box: Box, count: int, seed: int) -> None:
    count = accepted_count(trial.part, box, count)
    first, second, fresh = (
        sampler.draw(box, count, np.random.default_rng(seed))
        for sampler in (trial.part, trial.part, trial.fresh())
    )
    assert np.array_equal(first, second) and np.array_equal(first, fresh), (
        f"draw returns other points from the same generator when it is asked for {count} "
        f"points of {box} again: it keeps something from call to call, or draws from another "
        "source; make it depend on its arguments alone"
    )


@_examples
def points_drawn_anew_lie_in_the_box(trial: Trial, box: Box, count: int, seed: int) -> None:
    count = accepted_count(trial.part, box, count)
    generator = np.random.default_rng(seed)
    points = trial.part.draw(box, count, generator)
    slopes = generator.normal(size=(2, box.dimension))
    for size in (1.0, 0.0):

        def residuals(asked: Points, size: float = size) -> Points:
            assert np.ndim(asked) == 2 and np.shape(asked)[1] == box.dimension, (
                f"redraw asks for the residuals of points of shape {np.shape(asked)}: hand in "
                f"(n, {box.dimension})"
            )
            found: Points = size * np.sin(slopes @ np.asarray(asked).T)
            return found

        handed = points.copy()
        with global_generators_untouched("redraw", MEND):
            found, kept = trial.part.redraw_from(
                None, box, handed, residuals, np.random.default_rng(seed)
            )
        assert np.array_equal(points, handed), (
            "redraw writes into the points that it is handed: work on a copy, points.copy()"
        )
        _check_points("redraw", found, box, count)
        assert kept is None or isinstance(kept, np.ndarray), (
            "redraw_from returns something else than an array to remember, which is saved with the run"
        )
        handed = None if kept is None else kept.copy()
        for memory in (None, handed):
            pair = [
                part.redraw_from(memory, box, points, residuals, np.random.default_rng(seed))[0]
                for part in (trial.part, trial.fresh())
            ]
            assert np.array_equal(*pair), (
                "redraw returns other points from the same generator and residuals: make it "
                "depend on its arguments alone"
            )
        assert handed is None or np.array_equal(np.asarray(kept), handed), (
            "redraw_from writes into the memory that it is handed: return another array"
        )


CHECKS = (
    its_points_lie_in_the_box,
    its_points_depend_on_the_generator_alone,
    points_drawn_anew_lie_in_the_box,
    it_trains_and_continues_exactly,
)
