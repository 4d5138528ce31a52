"""What analyzers see, against naive versions on the real objective."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core import Analyzer, Reference, view as view_module
from pinn.core.domain import PointSet
from pinn.core.view import View
from pinn.engine import Config, train
from pinn.engine.training.checkpoint import newest_first, read
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla

Close = Callable[..., None]
MakeCase = Callable[..., Any]

FACTORS = {"second": 3.0, "walls": 0.5}
WEIGHTINGS = st.sampled_from(
    [Vanilla(), ResidualBasedAttention(), ResidualBasedAttention(loss="weight*residual^2")]
)


def make_view(
    case: Any, weighting: Any, weights: Tensor, seed: int = 0, step: int = 7, chunk: int = 0
) -> View:
    view: View = case.view(weighting, weights, FACTORS, chunk, seed=seed, step=step)
    return view


def random_weights(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(2, count, dtype=torch.float64, generator=generator)


@given(
    st.integers(1, 20), st.integers(1, 9), WEIGHTINGS, st.integers(0, 50),
    st.sampled_from([0, 1, 4, 7]),
)  # fmt: skip
def test_batch_gradients_against_a_naive_loop(
    make_case: MakeCase,
    close: Close,
    count: int,
    batches: int,
    weighting: Any,
    seed: int,
    chunk: int,
) -> None:
    batches = min(batches, count)
    case, weights = make_case(seed, count), random_weights(count)
    found = make_view(case, weighting, weights, chunk=chunk).batch_gradients(batches)

    blocks = torch.arange(count).tensor_split(batches)
    assert {len(block) for block in blocks} <= {count // batches, count // batches + 1}
    assert found.names == tuple(name for name, _ in case.module.named_parameters())
    for b, block in enumerate(blocks):
        r, own = case.residuals(case.points.interior[block]), weights[:, block]
        inside = (
            own * r**2 if getattr(weighting, "loss", "") == "weight*residual^2" else (own * r) ** 2
        )
        first, second = inside.mean(1)
        expected = torch.autograd.grad(first + 3 * second, case.parameters, materialize_grads=True)
        for mine, naive in zip(found.pde, expected, strict=True):
            assert len(mine) == batches
            close(mine[b], naive)
    initial, walls = case.condition_losses()
    expected = torch.autograd.grad(initial + 0.5 * walls, case.parameters, materialize_grads=True)
    for mine, naive in zip(found.conditions, expected, strict=True):
        close(mine, naive)


@given(WEIGHTINGS, st.integers(0, 50), st.sampled_from([slice(None), slice(2, 5), [0, 7]]))
def test_the_terms_of_the_loss_are_those_that_train(
    make_case: MakeCase, close: Close, weighting: Any, seed: int, chosen: Any
) -> None:
    case, weights = make_case(seed), random_weights(13)
    inside, outside = make_view(case, weighting, weights).loss_terms(chosen)
    points = PointSet(case.points.interior[chosen], case.points.conditions)
    objective = case.objective(weighting, FACTORS)
    whole = objective.evaluate(case.parameters, points, weights[:, chosen], update=False)
    assert (*inside, *outside) == objective.names
    terms = torch.stack([*inside.values(), *outside.values()])
    close(terms.detach(), whole.terms)
    found = torch.autograd.grad(terms.sum(), case.parameters, materialize_grads=True)
    for mine, trained in zip(found, whole.gradient, strict=True):
        close(mine, trained)


@given(st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_the_mean_of_equal_batches_is_the_full_gradient(
    make_case: MakeCase, close: Close, batches: int
) -> None:
    case, weights = make_case(3, 12), random_weights(12)
    view = make_view(case, ResidualBasedAttention(), weights)
    found = view.batch_gradients(batches)
    objective = case.objective(ResidualBasedAttention(), FACTORS)
    whole = objective.evaluate(case.parameters, case.points, weights, update=False)
    for own, shared, full in zip(found.pde, found.conditions, whole.gradient, strict=True):
        close(own.mean(0) + shared, full)


def test_looking_changes_nothing_and_is_done_once(make_case: MakeCase) -> None:
    case, weights = make_case(), random_weights(13)
    before = [p.detach().clone() for p in case.parameters]
    state = torch.get_rng_state()
    view = make_view(case, Vanilla(), weights)
    found = view.batch_gradients(4)
    assert view.batch_gradients(4) is found
    assert view.residuals is view.residuals
    assert all(torch.equal(a, b) for a, b in zip(before, case.parameters, strict=True))
    assert all(p.grad is None and p.requires_grad for p in case.parameters)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(t.requires_grad for t in (*found.pde, *found.conditions, view.residuals))


def test_residuals_are_those_of_the_current_parameters(make_case: MakeCase, close: Close) -> None:
    case = make_case()
    with torch.no_grad():
        case.parameters[0].mul_(2)
    view = make_view(case, Vanilla(), random_weights(13))
    close(view.residuals, case.residuals(case.points.interior).detach())
    assert [*view.parameters] == [name for name, _ in case.module.named_parameters()]


@pytest.mark.parametrize(("name", "step", "seed"), [("b", 7, 0), ("a", 8, 0), ("a", 7, 1)])
def test_random_streams_are_independent_and_repeatable(
    make_case: MakeCase, name: str, step: int, seed: int
) -> None:
    case, weights = make_case(), random_weights(13)

    def numbers(name: str, step: int, seed: int) -> Tensor:
        view = make_view(case, Vanilla(), weights, seed, step)
        return torch.rand(4, generator=view.generator(name))

    assert torch.equal(numbers("a", 7, 0), numbers("a", 7, 0))
    assert not torch.equal(numbers("a", 7, 0), numbers(name, step, seed))


# other ways to divide the points


@given(st.integers(1, 20), st.integers(1, 9), WEIGHTINGS, st.integers(0, 50))
def test_shuffled_batches_divide_the_same_points(
    make_case: MakeCase, close: Close, count: int, batches: int, weighting: Any, seed: int
) -> None:
    """Weighted by their sizes, their mean is that of contiguous batches."""
    batches = min(batches, count)
    case, weights = make_case(seed, count), random_weights(count)
    view = make_view(case, weighting, weights)
    blocks = torch.arange(count).tensor_split(batches)
    sizes = torch.tensor([len(block) for block in blocks], dtype=torch.float64) / count
    contiguous, shuffled = (view.batch_gradients(batches, s) for s in (False, True))
    assert shuffled.names == contiguous.names
    for mine, theirs in zip(shuffled.pde, contiguous.pde, strict=True):
        mean, expected = (torch.tensordot(sizes, t, 1) for t in (mine, theirs))
        close(mean, expected)
    for mine, theirs in zip(shuffled.conditions, contiguous.conditions, strict=True):
        assert torch.equal(mine, theirs)


def test_shuffled_batches_are_blocks_of_a_drawn_order(make_case: MakeCase, close: Close) -> None:
    case, weights = make_case(0, 11), random_weights(11)
    view = make_view(case, Vanilla(), weights, seed=4, step=9)
    order = torch.randperm(11, generator=view.generator("batches"))
    assert sorted(order.tolist()) == list(range(11))
    case.points.interior[:] = case.points.interior[order]
    moved = make_view(case, Vanilla(), weights[:, order]).batch_gradients(3)
    case.points.interior[order] = case.points.interior.clone()
    for mine, theirs in zip(view.batch_gradients(3, shuffled=True).pde, moved.pde, strict=True):
        close(mine, theirs)


def test_shuffling_is_repeatable_per_seed_and_step(make_case: MakeCase) -> None:
    case, weights = make_case(), random_weights(13)

    def first(seed: int, step: int) -> Tensor:
        view = make_view(case, Vanilla(), weights, seed, step)
        found = view.batch_gradients(4, shuffled=True)
        assert view.batch_gradients(4, shuffled=True) is found
        assert view.batch_gradients(4) is not found
        return found.pde[0]

    state = torch.get_rng_state()
    assert torch.equal(first(0, 7), first(0, 7))
    assert not torch.equal(first(0, 7), first(0, 8))
    assert not torch.equal(first(0, 7), first(1, 7))
    assert torch.equal(torch.get_rng_state(), state)


@given(st.integers(1, 20), st.integers(1, 9), WEIGHTINGS, st.sampled_from([0, 1, 4, 7]))
def test_points_come_in_pieces_in_their_order(
    make_case: MakeCase, close: Close, count: int, at_once: int, weighting: Any, chunk: int
) -> None:
    case, weights = make_case(2, count), random_weights(count)
    numbers = sum(p.numel() for p in case.parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_module, "NUMBERS_AT_ONCE", at_once * numbers + numbers // 2)
        pieces = list(make_view(case, weighting, weights, chunk=chunk).point_gradients())
    limit = min(at_once, chunk or at_once)
    assert {len(p.pde[0]) for p in pieces[:-1]} <= {limit}
    assert len(pieces) == -(-count // limit)
    whole = make_view(case, weighting, weights).batch_gradients(count)
    for i, expected in enumerate(whole.pde):
        close(torch.cat([piece.pde[i] for piece in pieces]), expected)
    for piece in pieces:
        assert piece.names == whole.names
        for of_piece, of_whole in zip(piece.conditions, whole.conditions, strict=True):
            close(of_piece, of_whole)


def test_pieces_are_made_when_they_are_asked_for(make_case: MakeCase) -> None:
    case = make_case(0, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_module, "NUMBERS_AT_ONCE", 1)
        view = make_view(case, Vanilla(), random_weights(5))
        calls: list[int] = []
        real = view._objective.batch_gradients

        def counted(*arguments: Any) -> Any:
            calls.append(1)
            return real(*arguments)

        view._objective.batch_gradients = counted
        pieces = view.point_gradients()
        assert not calls
        next(iter(pieces))
        assert len(calls) == 1


def test_without_conditions_their_gradient_is_zero(make_case: MakeCase) -> None:
    case = make_case()
    view = make_view(case, Vanilla(), random_weights(13))
    view._objective.conditions = {}
    view.points = PointSet(case.points.interior, {})
    assert not any(g.any() for g in view.batch_gradients(2).conditions)


# the network and the reference at the points


def test_activations_are_those_of_the_interior_points(make_case: MakeCase) -> None:
    case = make_case()
    view = make_view(case, Vanilla(), random_weights(13))
    first = torch.tanh(case.module[0](case.points.interior))
    second = torch.nn.functional.silu(case.module[2](first))
    found = view.activations
    assert found is view.activations
    assert list(found) == ["layer1", "layer2"]
    assert torch.equal(found["layer1"], first)
    assert torch.equal(found["layer2"], second)


def test_the_reference_at_the_interior_points(make_case: MakeCase) -> None:
    case = make_case()
    x, t = np.linspace(-1, 1, 5), np.linspace(0, 2, 4)
    field = x[:, None] - 2 * t
    nothing = case.view(Vanilla(), random_weights(13), evaluator=SimpleNamespace(reference=None))
    assert nothing.reference_at_points is None
    known = SimpleNamespace(reference=Reference({"x": x, "t": t}, {"u": field}))
    view = case.view(Vanilla(), random_weights(13), evaluator=known)
    assert view.reference_at_points is not None
    points = case.points.interior.numpy()
    np.testing.assert_allclose(
        view.reference_at_points["u"], points[:, 0] - 2 * points[:, 1], rtol=1e-12, atol=1e-12
    )


# analyzers that follow every step


@frozen
class Summing(Analyzer):
    """Σ over the steps of |r|, at each point."""

    name = "summing"

    def start(self, points: Tensor) -> Tensor:
        return torch.zeros_like(points[:, 0])

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        return memory + residuals.abs().sum(0)

    def measure(self, view: View) -> dict[str, Any]:
        return {"sums": view.memories[self.name].numpy(), "points": view.points.interior.numpy()}


@frozen
class Now(Analyzer):
    """|r| of the parameters as they are."""

    name = "now"

    def measure(self, view: View) -> dict[str, Any]:
        return {"now": view.residuals.abs().sum(0).numpy()}


@pytest.fixture
def followed(make_config: Callable[..., Config], offer: Callable[..., None]) -> Callable[..., Any]:
    offer(Summing, Now)

    def make(name: str, redraw: int) -> Config:
        config = make_config(
            {"name": "helmholtz", "a1": 1, "a2": 1},
            run={"precision": "float64", "checkpoint": 3},
            points={"redraw": redraw},
            weighting={"name": "rba"},
            optimizers=[{"name": "adam", "steps": 5}, {"name": "lbfgs", "steps": 4}],
            analyzers=[{"name": "now", "every": 1}, {"name": "summing", "every": 1}],
        )
        return config.in_directory(config.directory / name)

    return make


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("redraw", [0, 4])
def test_a_memory_follows_every_step_and_starts_again_with_new_points(
    followed: Callable[..., Config], redraw: int
) -> None:
    """A step's residuals are those of the parameters before it, which are measured after the last."""
    metrics = train(followed("run", redraw)).metrics()
    sums, now, points = (metrics[name][1] for name in ("sums", "now", "points"))
    assert len(sums) == 9
    for i in range(1, 9):
        if (points[i] == points[i - 1]).all():
            np.testing.assert_allclose(sums[i] - sums[i - 1], now[i - 1], rtol=1e-9, atol=1e-9)
        else:
            assert i % redraw == 0
            assert sums[i].max() < sums[i - 1].max()
    changes = [i for i in range(1, 9) if (points[i] != points[i - 1]).any()]
    assert changes == ([4, 8] if redraw else [])


@pytest.mark.usefixtures("without_results")
@pytest.mark.parametrize("redraw", [0, 4])
def test_a_memory_survives_a_kill(
    followed: Callable[..., Config],
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[..., None],
    redraw: int,
) -> None:
    whole, parts = followed("whole", redraw), followed("parts", redraw)
    train(whole)
    train_with_crashes(parts, 2, 4, 5, 8)
    assert_same_runs(whole.directory, parts.directory)
    saved = read(newest_first(parts.directory / "checkpoints")[0])["memories"]
    assert list(saved) == ["summing"]
    assert saved["summing"].shape == (48,)
