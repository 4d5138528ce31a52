"""Every built-in measure through the checks that a third party's measures can be put through."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pinn.analyzers.compression import saturation
from pinn.analyzers.compression_binning import entropy, positions, symbols
from pinn.analyzers.homogeneity import order, peak, variation
from pinn.analyzers.snr import alignment, directional_snr, gradient_order, snr
from pinn.analyzers.spectrum import effective_rank
from pinn.testing import (
    arrays,
    check_agreement,
    check_bounds,
    check_invariant,
    duplicated,
    permuted,
    scaled,
    shifted,
    sign_flipped,
)

POINTS, NEURONS = 0, 1
BATCHES, PARAMETERS = 0, 1


def of_gradients(measure: Callable[[torch.Tensor], float]) -> Callable[[Any], float]:
    return lambda values: measure(torch.from_numpy(np.ascontiguousarray(values)))


def information(activations: Any) -> float:
    return entropy(symbols(positions(activations, 30)))


def saturated(activations: Any) -> float:
    return saturation(positions(activations, 30))


def squared_spectrum(values: Any) -> float:
    return effective_rank(np.sort(values**2)[::-1])


GRADIENTS = {
    "snr": of_gradients(snr),
    "directional snr": of_gradients(directional_snr),
    "gradient order": of_gradients(lambda g: gradient_order(snr(g))),
    "alignment": of_gradients(lambda g: alignment(gradient_order(directional_snr(g)))),
}
SIZES = {"order": order, "variation": variation, "peak": peak}
ACTIVATIONS = {"information": information, "saturation": saturated}
BOUNDED = {"gradient order": (0, 1), "alignment": (-1, 1)}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize(
    "change", [scaled, permuted(BATCHES), permuted(PARAMETERS), sign_flipped(PARAMETERS)]
)
def test_measures_of_batch_gradients(name: str, change: Any) -> None:
    # Where the mean all but cancels, the order of a sum decides its last digit.
    check_invariant(GRADIENTS[name], change, arrays(2, least=2), relative=1e-6, absolute=1e-6)


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_of_measures_of_batch_gradients(name: str) -> None:
    check_bounds(GRADIENTS[name], arrays(2, least=2), *BOUNDED[name])


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("change", [scaled, permuted(POINTS), duplicated(POINTS)])
def test_measures_of_homogeneity(name: str, change: Any) -> None:
    check_invariant(SIZES[name], change, arrays(1, positive=True))


def test_identities_and_bounds_of_homogeneity() -> None:
    check_bounds(order, arrays(1, positive=True), 0, 1)
    check_agreement(
        order, lambda v: 1 / math.hypot(1, variation(v)), arrays(1, positive=True), relative=1e-7
    )
    check_bounds(peak, arrays(1, positive=True), 1 - 1e-12, 8 + 1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(
    "change",
    [
        scaled,
        permuted(POINTS),
        permuted(NEURONS),
        duplicated(POINTS),
        sign_flipped(NEURONS),
        shifted(NEURONS),
    ],
)
def test_measures_of_activations(name: str, change: Any) -> None:
    check_invariant(ACTIVATIONS[name], change, arrays(2))


def test_bounds_of_measures_of_activations() -> None:
    check_bounds(saturated, arrays(2), 0, 100)
    check_bounds(lambda a: information(a) - math.log2(len(a)), arrays(2), -math.inf, 1e-12)


@pytest.mark.parametrize("change", [scaled])
def test_the_effective_rank(change: Any) -> None:
    check_invariant(squared_spectrum, change, arrays(1))
    check_bounds(squared_spectrum, arrays(1, most=8), 1 - 1e-9, 8 + 1e-9)


# the checks themselves find what is wrong


@pytest.mark.parametrize(
    ("measure", "change"),
    [
        (lambda v: float(v.sum()), scaled),
        (lambda v: float(v.flat[0]), permuted(0)),
        (lambda v: float(v.sum()), duplicated(0)),
        (lambda v: float(v.sum()), sign_flipped(1)),
        (lambda v: float(v.max()), shifted(1)),
    ],
)
def test_a_measure_without_the_invariance_is_found(measure: Any, change: Any) -> None:
    with pytest.raises(AssertionError, match="became"):
        check_invariant(measure, change, arrays(2))


def test_a_measure_out_of_its_bounds_or_unlike_its_naive_version_is_found() -> None:
    with pytest.raises(AssertionError, match="is not in"):
        check_bounds(lambda v: float(v.sum()), arrays(1), 0, 1)
    with pytest.raises(AssertionError, match="naively"):
        check_agreement(lambda v: float(v.sum()), lambda v: float(v.max()), arrays(1))
