"""What analyzers see, against naive versions on the real objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pinn.core.view import View
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
    nothing: Any = None
    objective = case.objective(weighting, FACTORS, chunk)
    return View(
        step=step,
        problem=case.problem,
        objective=objective,
        points=case.points,
        weights=weights,
        optimizer=nothing,
        evaluator=nothing,
        records=nothing,
        seed=seed,
    )


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
