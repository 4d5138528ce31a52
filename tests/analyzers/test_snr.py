"""Gradient signal-to-noise ratio: invariants, naive versions, and the order of magnitude 1e7."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from torch import Tensor

from pinn.analyzers.snr import (
    Moments,
    SignalToNoise,
    alignment,
    directional_snr,
    directions,
    gradient_order,
    moments,
    ratio,
    snr,
)
from pinn.core import Drawing, view
from pinn.core.domain import PointSet
from pinn.core.records import Records
from pinn.core.view import BatchGradients, View
from pinn.plugins.weightings.rba import ResidualBasedAttention

Close = Callable[..., None]
MakeCase = Callable[..., Any]

SHAPES = st.tuples(st.integers(2, 9), st.integers(1, 5), st.integers(1, 4))


def gradients(shape: tuple[int, ...], seed: int, mean: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + torch.randn(shape, generator=generator, dtype=torch.float64)


def naive_moments(batches: Tensor) -> tuple[float, float]:
    flat = [batch.flatten().tolist() for batch in batches]
    means, variances = [], []
    for entries in zip(*flat, strict=True):
        mean = math.fsum(entries) / len(entries)
        means.append(mean)
        variances.append(math.fsum((e - mean) ** 2 for e in entries) / len(entries))
    return math.sqrt(math.fsum(m * m for m in means)), math.sqrt(math.fsum(variances))


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 1.0, 1e3]))
def test_moments_against_a_naive_loop(shape: tuple[int, ...], seed: int, mean: float) -> None:
    batches = gradients(shape, seed, mean)
    assert moments(batches) == pytest.approx(naive_moments(batches), rel=1e-12)
    assert snr(batches) == pytest.approx(
        math.prod((naive_moments(batches)[0], 1 / naive_moments(batches)[1])), rel=1e-12
    )


@given(SHAPES, st.integers(0, 100), st.floats(1e-15, 1e15))
def test_the_scale_of_the_loss_does_not_matter(
    shape: tuple[int, ...], seed: int, scale: float
) -> None:
    batches = gradients(shape, seed)
    assert snr(scale * batches) == pytest.approx(snr(batches), rel=1e-10)
    assert snr(-batches) == snr(batches)


@given(SHAPES, st.integers(0, 100), st.randoms())
def test_the_order_of_batches_and_of_parameters_does_not_matter(
    shape: tuple[int, ...], seed: int, shuffler: Any
) -> None:
    batches = gradients(shape, seed)
    order = shuffler.sample(range(shape[0]), shape[0])
    assert snr(batches[order]) == pytest.approx(snr(batches), rel=1e-12)
    assert snr(batches.flip(1).transpose(1, 2)) == pytest.approx(snr(batches), rel=1e-12)


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 0.1, 10.0]))
def test_gradient_order_is_the_mean_over_the_root_mean_square(
    shape: tuple[int, ...], seed: int, mean: float
) -> None:
    batches = gradients(shape, seed, mean)
    rms = float((batches**2).mean(0).sqrt().norm())
    expected = float(batches.mean(0).norm()) / rms
    order = gradient_order(snr(batches))
    assert order == pytest.approx(expected, rel=1e-10)
    assert 0 <= order <= 1


@given(st.floats(0, 1e300))
def test_gradient_order_of_a_ratio(ratio: float) -> None:
    assert gradient_order(ratio) == pytest.approx(ratio / math.hypot(1, ratio), rel=1e-12)


def test_batches_that_agree_have_infinite_snr_and_order_one() -> None:
    batches = torch.full((5, 3, 2), 0.1)
    assert snr(batches) == math.inf
    assert gradient_order(math.inf) == 1


def test_no_gradient_at_all_has_no_ratio() -> None:
    assert math.isnan(snr(torch.zeros(4, 3)))
    assert math.isnan(gradient_order(math.nan))


def test_batches_that_cancel_have_ratio_zero() -> None:
    batches = torch.tensor([[1.0, -2.0], [-1.0, 2.0]])
    assert snr(batches) == 0
    assert gradient_order(0.0) == 0


@given(st.integers(0, 100), st.sampled_from([1e3, 1e5, 1e7, 1e9]))
def test_nothing_cancels_where_the_ratio_is_large(seed: int, ratio: float) -> None:
    noise = gradients((100, 40), seed, 0.0)
    noise = noise - noise.mean(0)
    noise = noise / (float(noise.norm()) / 10)  # ‖σ‖ = 1
    mean = torch.randn(40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean = ratio * mean / mean.norm()
    assert snr(mean + noise) == pytest.approx(ratio, rel=1e-5)
    shortcut = float(((mean + noise) ** 2).mean(0).sum() - ((mean + noise).mean(0) ** 2).sum())
    assert ratio < 1e9 or abs(shortcut - 1) > 0.5  # what a naive formula would give


def test_float32_gradients_are_accumulated_in_float64() -> None:
    batches = torch.cat([torch.ones(4096, 1), 1 + torch.full((4096, 1), 2.0**-20)])
    mean, deviation = moments(batches)
    assert mean == pytest.approx(1 + 2.0**-21, abs=1e-12)
    assert deviation == pytest.approx(2.0**-21, rel=1e-9)


# --- vectors that come piece by piece


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 1.0, 1e6]), st.lists(st.integers(0, 9)))
def test_pieces_make_the_whole(
    shape: tuple[int, ...], seed: int, mean: float, cuts: list[int]
) -> None:
    batches = gradients(shape, seed, mean)
    running = Moments()
    for piece in batches.tensor_split(sorted(cut for cut in cuts if cut < shape[0])):
        if len(piece):
            running.add(piece)
    assert running.count == shape[0]
    assert running.deviation == pytest.approx(naive_moments(batches)[1], rel=1e-9)
    assert running.mean_norm() == pytest.approx(naive_moments(batches)[0], rel=1e-12)
    shared = gradients(shape[1:], seed + 1).flatten()
    expected = naive_moments(batches + shared.reshape(shape[1:]))[0]
    assert running.mean_norm(shared) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 100), st.sampled_from([1e3, 1e7]))
def test_nothing_cancels_between_pieces(seed: int, mean: float) -> None:
    batches = gradients((64, 5), seed, mean)
    running = Moments()
    for piece in batches.split(1):
        running.add(piece)
    assert running.deviation == pytest.approx(naive_moments(batches)[1], rel=1e-7)


# --- directions


def naive_directions(batches: Tensor) -> np.ndarray[Any, Any]:
    rows = batches.flatten(1).numpy()
    return np.array([row / np.linalg.norm(row) for row in rows if np.linalg.norm(row) > 0])


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 0.3, 10.0]), st.integers(0, 3))
def test_directional_snr_and_alignment_against_naive_loops(
    shape: tuple[int, ...], seed: int, mean: float, zeros: int
) -> None:
    batches = gradients(shape, seed, mean)
    batches[: min(zeros, shape[0] - 2)] = 0
    unit = naive_directions(batches)
    deviation = math.sqrt(sum(np.sum((row - unit.mean(0)) ** 2) for row in unit) / len(unit))
    assume(deviation > 1e-6)
    found = directional_snr(batches)
    assert found == pytest.approx(np.linalg.norm(unit.mean(0)) / deviation, rel=1e-6, abs=1e-7)
    cosines = [float(a @ b) for a in unit for b in unit]
    assert alignment(gradient_order(found)) == pytest.approx(2 * np.mean(cosines) - 1, abs=1e-9)


@given(SHAPES, st.integers(0, 100), st.randoms())
def test_the_size_of_a_batchs_gradient_does_not_matter_to_its_direction(
    shape: tuple[int, ...], seed: int, dice: Any
) -> None:
    batches = gradients(shape, seed, 0.5)
    sizes = torch.tensor([10 ** dice.uniform(-15, 15) for _ in batches], dtype=torch.float64)
    assume(directional_snr(batches) < 1e6)
    scaled = sizes[:, None, None] * batches
    assert directional_snr(scaled) == pytest.approx(directional_snr(batches), rel=1e-6, abs=1e-7)
    assert directional_snr(-batches) == directional_snr(batches)


@given(SHAPES, st.integers(0, 100), st.sampled_from([0.0, 1.0, 1e9]))
def test_alignment_lies_between_minus_one_and_one(
    shape: tuple[int, ...], seed: int, mean: float
) -> None:
    order = gradient_order(directional_snr(gradients(shape, seed, mean)))
    assert -1 <= alignment(order) <= 1


def test_alignment_of_two_gradients_is_the_cosine_between_them() -> None:
    """As in the definition for two, 2 ‖(a + b) / 2‖² − 1 = a·b."""
    for angle in (0.0, 0.3, math.pi / 2, 2.5, math.pi):
        pair = torch.tensor([[3.0, 0.0], [0.2 * math.cos(angle), 0.2 * math.sin(angle)]])
        found = alignment(gradient_order(directional_snr(pair.double())))
        assert found == pytest.approx(math.cos(angle), abs=1e-6)


@given(st.floats(0, 1e15))
def test_identities(value: float) -> None:
    order = gradient_order(value)
    assert order == pytest.approx(value / math.sqrt(1 + value**2), rel=1e-12)
    assert alignment(order) == 2 * order**2 - 1
    assert 0 <= order <= 1


@pytest.mark.parametrize("batches", [torch.zeros(3, 4), torch.zeros(2, 0)])
def test_without_a_gradient_there_is_no_direction(batches: Tensor) -> None:
    assert len(directions(batches)) == 0
    assert math.isnan(directional_snr(batches))


def test_one_batch_agrees_with_itself() -> None:
    one = torch.tensor([[3.0, 4.0]])
    assert moments(one) == (5.0, 0.0)
    assert snr(one) == directional_snr(one) == math.inf
    assert alignment(gradient_order(math.inf)) == 1


def test_nan_stays_nan() -> None:
    batches = torch.tensor([[1.0, math.nan], [1.0, 2.0]])
    assert math.isnan(snr(batches))
    assert math.isnan(gradient_order(snr(batches)))
    assert math.isnan(ratio(math.nan, 0.0))
    assert math.isnan(ratio(1.0, math.nan))
    assert math.isnan(alignment(math.nan))


# --- the analyzer


def make_view(case: Any, weights: Tensor, **changes: Any) -> View:
    seen: View = case.view(ResidualBasedAttention(), weights, {"walls": 2.0}, **changes)
    return seen


@settings(max_examples=10)
@given(st.integers(2, 12), st.integers(0, 50), st.sampled_from(["contiguous", "random", "points"]))
def test_the_analyzer_against_the_definition(
    make_case: MakeCase, batches: int, seed: int, partition: str
) -> None:
    case = make_case(seed, 12)
    weights = torch.rand(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    seen = make_view(case, weights)
    found = SignalToNoise(batches=batches, partition=partition).measure(seen)

    names = [name for name, p in case.module.named_parameters() if p.ndim > 1]
    matrices = [p for p in case.parameters if p.ndim > 1]
    order = torch.arange(12)
    if partition == "random":
        order = torch.randperm(12, generator=seen.generator("batches"))
    rows, pde_rows = [], []
    for block in order.tensor_split(12 if partition == "points" else batches):
        r = case.residuals(case.points.interior[block])
        interior = ((weights[:, block] * r) ** 2).mean(1).sum()
        initial, walls = case.condition_losses()
        for kept, loss in ((pde_rows, interior), (rows, interior + initial + 2 * walls)):
            grads = torch.autograd.grad(loss, matrices, retain_graph=True)
            kept.append([g.numpy() for g in grads])

    def flat(per_batch: list[list[Any]], layers: slice = slice(None)) -> Any:
        return np.array([np.concatenate([g.ravel() for g in row[layers]]) for row in per_batch])

    def naive(vectors: Any) -> float:
        return float(np.linalg.norm(vectors.mean(0)) / np.linalg.norm(vectors.std(0)))

    whole, inside = flat(rows), flat(pde_rows)
    np.testing.assert_allclose(whole.std(0), inside.std(0), rtol=1e-6, atol=1e-12)
    unit = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    pairs = [a @ b for a in unit for b in unit]
    expected = {
        "snr": naive(whole),
        "snr.pde": naive(inside),
        "gradient_order": np.linalg.norm(whole.mean(0)) / np.sqrt((whole**2).mean(0).sum()),
        "gradient_order.pde": np.linalg.norm(inside.mean(0)) / np.sqrt((inside**2).mean(0).sum()),
        "gradient_mean_norm": np.linalg.norm(whole.mean(0)),
        "gradient_std_norm": np.linalg.norm(inside.std(0)),
        **{f"snr.{n}": naive(flat(rows, slice(i, i + 1))) for i, n in enumerate(names)},
        "snr.directional": naive(unit),
        "alignment": 2 * np.mean(pairs) - 1,
    }
    assert found == pytest.approx(expected, rel=1e-6)
    assert list(found) == list(expected)


@settings(max_examples=10)
@given(st.integers(0, 20), st.integers(1, 5))
def test_points_that_come_in_pieces_are_points_at_once(
    make_case: MakeCase, seed: int, at_once: int
) -> None:
    case = make_case(seed, 12)
    weights = torch.ones(2, 12, dtype=torch.float64)
    expected = SignalToNoise(batches=12).measure(make_view(case, weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view, "NUMBERS_AT_ONCE", at_once * sum(p.numel() for p in case.parameters))
        found = SignalToNoise(partition="points").measure(make_view(case, weights))
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.sampled_from(["contiguous", "random", "points"]), st.integers(1, 5))
def test_every_partition_has_the_full_gradient_as_its_mean(
    make_case: MakeCase, partition: str, parts: int
) -> None:
    case = make_case(1, 12)
    weights = torch.ones(2, 12, dtype=torch.float64)
    batches = (2, 3, 4, 6, 12)[parts - 1]
    seen = make_view(case, weights)
    found = SignalToNoise(batches=batches, partition=partition).measure(seen)
    objective = case.objective(ResidualBasedAttention(), {"walls": 2.0})
    whole = objective.evaluate(case.parameters, case.points, weights, update=False)
    norms = [float(g.norm()) for g in whole.gradient if g.ndim > 1]
    assert found["gradient_mean_norm"] == pytest.approx(math.hypot(*norms), rel=1e-9)


def test_no_more_batches_than_points(make_case: MakeCase) -> None:
    case = make_case(0, 7)
    found = SignalToNoise(batches=100).measure(make_view(case, torch.ones(2, 7)))
    assert math.isfinite(found["snr"])
    same = SignalToNoise(batches=7).measure(make_view(case, torch.ones(2, 7)))
    assert found["snr"] == same["snr"]


def test_points_that_are_all_the_same_agree(make_case: MakeCase) -> None:
    case = make_case(0, 8)
    one = case.points.interior[:1].expand(8, 2).clone()
    points = PointSet(one, case.points.conditions)
    view = make_view(case, torch.ones(2, 8, dtype=torch.float64))
    view.points = points
    found = SignalToNoise(batches=4).measure(view)
    # The vectorised sums may differ by rounding from batch to batch, and need not.
    assert found["snr"] > 1e12
    assert found["gradient_order"] == pytest.approx(1)


class Fixed:
    """A view of given batch gradients."""

    def __init__(self, pde: Tensor, conditions: Tensor) -> None:
        self.gradients = BatchGradients(("w",), (pde,), (conditions,))
        self.points = PointSet(torch.zeros(len(pde), 2), {})

    def batch_gradients(self, batches: int, shuffled: bool) -> BatchGradients:
        assert batches == len(self.points.interior)
        assert not shuffled
        return self.gradients


@given(st.integers(0, 100))
def test_a_large_condition_gradient_does_not_spoil_the_deviation(seed: int) -> None:
    """Early under RBA λ ≈ 0: the deviation is 1e-7 of the mean, in float32 gradients."""
    pde = 1e-7 * gradients((10, 4, 3), seed).float()
    conditions = gradients((4, 3), seed + 1).float()
    view: Any = Fixed(pde, conditions)
    found = SignalToNoise().measure(view)
    mean, deviation = naive_moments(pde.double() + conditions.double())
    assume(deviation > 0)
    assert found["snr"] == pytest.approx(mean / naive_moments(pde.double())[1], rel=1e-9)
    assert found["snr"] > 1e6


def test_gradients_that_vanish_or_are_not_numbers_are_recorded_as_such() -> None:
    pde, conditions = torch.zeros(4, 3, 2), torch.zeros(3, 2)
    nothing: Any = Fixed(pde, conditions)
    found = SignalToNoise().measure(nothing)
    assert found["gradient_mean_norm"] == found["gradient_std_norm"] == 0
    ratios = {name for name, value in found.items() if math.isnan(value)}
    assert ratios == found.keys() - {"gradient_mean_norm", "gradient_std_norm"}
    pde[1, 2, 0] = math.nan
    broken: Any = Fixed(pde, conditions + 1)
    found = SignalToNoise().measure(broken)
    assert math.isnan(found["snr"])


def test_conditions_alone_agree() -> None:
    """The first steps of residual-based attention, where λ = 0."""
    seen: Any = Fixed(torch.zeros(4, 3, 2), torch.ones(3, 2))
    found = SignalToNoise().measure(seen)
    assert found["snr"] == found["snr.directional"] == math.inf
    assert found["gradient_order"] == found["alignment"] == 1
    assert math.isnan(found["snr.pde"])


def test_a_network_without_matrices_has_no_ratio() -> None:
    seen: Any = Fixed(torch.ones(4, 3), torch.ones(3))
    assert math.isnan(SignalToNoise().measure(seen)["snr"])


# --- figures


def records_of(tmp_path: Any, *rows: dict[str, Any]) -> Records:
    records = Records(tmp_path / "metrics.jsonl")
    records.rows = [{"step": i, **row} for i, row in enumerate(rows, 1)]
    return records


@pytest.mark.parametrize(
    ("last", "said"),
    [(3.0, "agree: SNR 3"), (0.25, "disagree: SNR 0.25"), (None, "of the points agree?")],
)
def test_the_title_says_how_it_ended(tmp_path: Any, last: float | None, said: str) -> None:
    rows = [{"snr": 7.0, "snr.0.weight": 1.0}, {"snr": last, "snr.0.weight": 1.0}]
    first, _ = SignalToNoise().figures(records_of(tmp_path, *rows))
    assert said in first.title


def test_layers_with_names_stand_in_the_order_of_the_network(tmp_path: Any) -> None:
    names = [f"snr.{n}.weight" for n in ("encoders.0", "encoders.1", "hidden.0", "output")]
    _, layers = SignalToNoise().figures(records_of(tmp_path, dict.fromkeys(names, 1.0)))
    assert not isinstance(layers, Drawing)
    assert list(layers.quantities) == names


def test_layers_stand_in_the_order_of_their_numbers(tmp_path: Any) -> None:
    names = [f"{i}.weight" for i in (1, 10, 3, 11, 2)]
    rows = [{"snr": 1.0, "snr.pde": 1.0} | {f"snr.{name}": 1.0 for name in names}]
    _, layers = SignalToNoise().figures(records_of(tmp_path, *rows))
    assert not isinstance(layers, Drawing)
    assert list(layers.quantities) == [f"snr.{i}.weight" for i in (1, 2, 3, 10, 11)]
    assert list(layers.quantities.values()) == [f"layer {i}" for i in range(1, 6)]
