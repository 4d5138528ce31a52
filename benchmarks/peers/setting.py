"""What every peer has in common: network size, points, initial parameters, form of a step.

All peers of one seed train the same network on the same points, so their losses agree step by step
up to rounding and only the time differs. Everything here is NumPy; each peer brings its own
formulation of the equations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

WIDTH = 128
DEPTH = 6  # hidden layers
LEARNING_RATE = 1e-3
CONDITION_POINTS = 512  # per condition

OUTPUTS: Mapping[str, int] = {"allen-cahn": 1, "burgers": 1, "helmholtz": 1, "cavity": 2}
"""Network outputs per problem: u, or (psi, p) for the cavity."""


@dataclass(frozen=True)
class Step:
    """One training step: loss, gradient, Adam update.

    A call returns the loss before the update, once the update is complete. `iterations_per_call` is
    the number of training steps that one call performs.
    """

    run: Callable[[], float]
    iterations_per_call: int = 1

    def __call__(self) -> float:
        """Train one step and return its loss."""
        return self.run()


def layer_sizes(problem: str) -> list[int]:
    """Sizes from the two coordinates to the outputs: [2, 128, 128, 128, 128, 128, 128, outputs]."""
    return [2] + [WIDTH] * DEPTH + [OUTPUTS[problem]]


def draw_parameters(problem: str, seed: int) -> list[tuple[Array, Array]]:
    """Xavier-normal weights of shape (out, in) and zero biases of shape (out,), layer by layer."""
    generator = np.random.default_rng([seed, 0])
    sizes = layer_sizes(problem)
    return [
        (
            generator.normal(0, (2 / (fan_in + fan_out)) ** 0.5, (fan_out, fan_in)).astype("f4"),
            np.zeros(fan_out, dtype="f4"),
        )
        for fan_in, fan_out in pairwise(sizes)
    ]


def draw_points(problem: str, points: int, seed: int) -> tuple[Array, dict[str, Array]]:
    """Interior points of shape (points, 2), and 512 points for each condition by its name.

    The columns are (x, t) for Allen-Cahn and Burgers and (x, y) for Helmholtz and the cavity.
    """
    generator = np.random.default_rng([seed, 1])
    along, across = generator.random((2, CONDITION_POINTS), dtype="f4")
    unit = generator.random((points, 2), dtype="f4")
    side = np.arange(CONDITION_POINTS)

    if problem == "helmholtz":
        edge, end = 2 * along - 1, np.where(side % 2, 1, -1)
        boundary = np.where((side % 4 < 2)[:, None], _columns(edge, end), _columns(end, edge))
        return 2 * unit - 1, {"boundary": boundary}

    if problem == "cavity":
        walls = np.where(
            (side % 3 == 0)[:, None], _columns(along, 0 * along), _columns(side % 3 - 1, along)
        )
        return unit, {"walls": walls, "lid": _columns(across, 1 + 0 * across)}

    interior = unit * np.array([2, 1], dtype="f4") - np.array([1, 0], dtype="f4")
    initial = _columns(2 * along - 1, 0 * along)
    if problem == "allen-cahn":
        return interior, {"initial": initial}
    if problem == "burgers":
        return interior, {"initial": initial, "walls": _columns(np.where(side % 2, 1, -1), across)}
    raise ValueError(f"unknown problem {problem!r}, expected one of {', '.join(OUTPUTS)}")


def _columns(first: NDArray[np.generic], second: NDArray[np.generic]) -> Array:
    return np.stack([first, second], axis=1).astype("f4")
