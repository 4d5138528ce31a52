"""Invariants of measures, each a property that hypothesis tries to break.

A measure is a function of an array, such as activations (points, neurons) or batch gradients
(batches, parameters), that gives a number. In a test of one's own:

    from pinn.testing import arrays, check_bounds, check_invariant, permuted, scaled

    def test_saturation() -> None:
        check_bounds(saturation, arrays(2), low=0, high=100)
        check_invariant(saturation, permuted(axis=0), arrays(2))  # the order of the points
        check_invariant(saturation, scaled, arrays(2))

A failure shows the smallest array that breaks the property.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]
Measure = Callable[[Any], float]
Change = Callable[[Array, np.random.Generator], Array]

RELATIVE = 1e-9


def arrays(
    dimensions: int, least: int = 1, most: int = 8, positive: bool = False
) -> st.SearchStrategy[Array]:
    """Arrays of `dimensions` dimensions, each `least` to `most` long.

    Normal random numbers, small whole numbers (with ties) or one constant; with `positive` their
    absolute values. All are multiples of 2⁻²⁰, so that `scaled` and `shifted` round nothing.
    """
    shapes = st.tuples(*[st.integers(least, most)] * dimensions)
    kinds = st.sampled_from(["normal", "whole", "constant"])
    return st.builds(_array, shapes, kinds, st.integers(0, 2**32 - 1), st.just(positive))


def _array(shape: tuple[int, ...], kind: str, seed: int, positive: bool) -> Array:
    generator = np.random.default_rng(seed)
    if kind == "normal":
        values = np.round(generator.normal(size=shape) * 2**20) / 2**20
    elif kind == "whole":
        values = generator.integers(-3, 4, size=shape).astype(float)
    else:
        values = np.full(shape, float(generator.integers(-2, 3)))
    return np.abs(values) if positive else values


def scaled(values: Array, generator: np.random.Generator) -> Array:
    """All of it times a power of two, which rounds nothing."""
    return values * 2.0 ** generator.integers(-20, 21)


def permuted(axis: int) -> Change:
    """Points, batches or neurons in another order."""
    return lambda values, generator: generator.permutation(values, axis=axis)


def duplicated(axis: int) -> Change:
    """Every point twice."""
    return lambda values, _: np.concatenate([values, values], axis=axis)


def sign_flipped(axis: int) -> Change:
    """Some of the neurons with the other sign, as tanh allows it."""

    def change(values: Array, generator: np.random.Generator) -> Array:
        return values * _along(generator.choice([-1.0, 1.0], size=values.shape[axis]), values, axis)

    return change


def shifted(axis: int) -> Change:
    """A whole number added to each neuron, its own."""

    def change(values: Array, generator: np.random.Generator) -> Array:
        shifts = generator.integers(-4, 5, size=values.shape[axis]).astype(float)
        return values + _along(shifts, values, axis)

    return change


def _along(numbers: Array, values: Array, axis: int) -> Array:
    shape = [1] * values.ndim
    shape[axis] = len(numbers)
    return numbers.reshape(shape)


def check_invariant(
    measure: Measure,
    change: Change,
    examples: st.SearchStrategy[Array],
    relative: float = RELATIVE,
    absolute: float = 1e-12,
) -> None:
    """`measure` gives the same before and after `change`.

    Raises:
        AssertionError: an array for which it does not.
    """

    @settings(deadline=None)
    @given(examples, st.integers(0, 2**32 - 1))
    def check(values: Array, seed: int) -> None:
        before = measure(values)
        after = measure(change(values, np.random.default_rng(seed)))
        assert _same(before, after, relative, absolute), f"{before!r} became {after!r}"

    check()


def check_bounds(
    measure: Measure, examples: st.SearchStrategy[Array], low: float, high: float
) -> None:
    """low ≤ `measure` ≤ high, or NaN, which is how a measure says that it is not defined.

    Raises:
        AssertionError: an array for which it does not hold.
    """

    @settings(deadline=None)
    @given(examples)
    def check(values: Array) -> None:
        found = measure(values)
        assert math.isnan(found) or low <= found <= high, f"{found!r} is not in [{low}, {high}]"

    check()


def check_agreement(
    measure: Measure,
    naive: Measure,
    examples: st.SearchStrategy[Array],
    relative: float = RELATIVE,
    absolute: float = 1e-12,
) -> None:
    """`measure` gives what a naive version of it gives.

    Raises:
        AssertionError: an array for which they differ.
    """

    @settings(deadline=None)
    @given(examples)
    def check(values: Array) -> None:
        found, expected = measure(values), naive(values)
        assert _same(found, expected, relative, absolute), f"{found!r}, naively {expected!r}"

    check()


def _same(one: float, other: float, relative: float, absolute: float) -> bool:
    both_undefined = math.isnan(one) and math.isnan(other)
    return both_undefined or math.isclose(one, other, rel_tol=relative, abs_tol=absolute)
