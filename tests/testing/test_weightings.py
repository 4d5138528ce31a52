"""`check_weighting` finds what is wrong with a weighting, and says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor

from pinn.core import Weighting, option
from pinn.testing import check_weighting


@frozen
class Relative(Weighting):
    """λ ← (λ + |r| / max|r|) / 2"""

    name = "relative"

    def initial(self, count: int) -> Tensor:
        return torch.ones(count)

    def update(self, weights: Tensor, residuals: Tensor) -> Tensor:
        size = residuals.abs()
        return (weights + size / size.amax(1, keepdim=True).clamp_min(1e-30)) / 2


@frozen
class Causal(Weighting):
    """λ = exp(−ε Σ r² of all earlier points)."""

    name = "causal"
    epsilon: float = option(1.0, "ε, how strictly early points come first")

    def initial(self, count: int) -> Tensor:
        return torch.ones(count)

    def update_at(
        self, points: Mapping[str, Tensor], weights: Tensor, residuals: Tensor, step: Tensor
    ) -> Tensor:
        order = points["t"].argsort()
        squares = (residuals**2).sum(0)[order]
        earlier = squares.cumsum(0) - squares
        return torch.exp(-self.epsilon * earlier)[order.argsort()][None]


def wrong(base: type[Any] = Relative, **members: Any) -> Any:
    return frozen(type("Wrong", (base,), {"__doc__": "Wrong.", **members}))


def fails(cls: Any, *messages: str, **options: Any) -> None:
    with pytest.raises(AssertionError, match="(?s)^weighting '.*': .*" + ".*".join(messages)):
        check_weighting(cls, **options)


def test_sound_weightings_pass() -> None:
    check_weighting(Relative)
    check_weighting(Causal(epsilon=0.5))


def test_weights_that_are_kept_in_the_part() -> None:
    kept: dict[str, Tensor] = {}

    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        mean = kept.get("mean", torch.ones(())) / 2 + residuals.abs().mean()
        kept["mean"] = mean
        return residuals.abs() / mean

    fails(
        wrong(update=update), "update returns other weights", "all that it may remember is in the"
    )


def test_weights_that_are_changed_in_place() -> None:
    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        weights *= 0.5
        return weights + residuals.abs()

    fails(wrong(update=update), "writes into the weights", r"not weights \*= x")


def test_a_division_by_zero_where_all_residuals_are() -> None:
    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        return residuals.abs() / residuals.abs().max()

    fails(
        wrong(update=update),
        "update returns weights that are not finite for residuals that are all zero",
        "clamp_min",
    )


def test_negative_weights_and_random_ones() -> None:
    fails(
        wrong(update=lambda self, weights, residuals: weights + residuals),
        "returns the weight -.*: weights must not be negative; take residuals.abs",
    )
    fails(
        wrong(update=lambda self, weights, residuals: torch.rand_like(residuals)),
        "update draws from torch's global generator .*: weights must not be random",
    )


def test_shapes() -> None:
    fails(
        wrong(initial=lambda self, count: torch.ones(count, 1)),
        r"initial\(1\) returns shape \(1, 1\): return a tensor of shape \(1,\)",
    )
    fails(
        wrong(update=lambda self, weights, residuals: residuals.abs().sum(1)),
        r"update returns shape .* for residuals of shape .*need keepdim=True",
    )


def test_another_precision() -> None:
    fails(
        wrong(update=lambda self, weights, residuals: residuals.abs().double()),
        "update returns torch.float64 for weights and residuals of torch.float32",
        "residuals.new_ones",
    )


def test_tensors_on_a_fixed_device() -> None:
    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        return torch.ones(residuals.shape, dtype=residuals.dtype) * residuals.abs()

    fails(
        wrong(update=update), "update: a tensor is made on the CPU", "fail on a GPU", "zeros_like"
    )


def test_an_order_that_points_do_not_have() -> None:
    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        return torch.exp(-(residuals**2).cumsum(1))

    cls = wrong(update=update)
    fails(cls, "the same points in another order have other weights", "write update_at and sort by")
    check_weighting(cls, permutation=False)


def test_a_static_weighting_that_moves() -> None:
    fails(wrong(static=True), "static is True.*but update changes the weights")


def test_contributions_that_look_at_all_points() -> None:
    def contributions(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        return weights * residuals**2 / weights.mean()

    fails(wrong(contributions=contributions), "contributions of some of the points differ")


def test_contributions_that_nothing_can_be_learnt_from() -> None:
    def detached(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        return weights * residuals.detach() ** 2

    fails(wrong(contributions=detached), "no finite gradient .* do not detach the residuals")
    signed: Any = lambda self, weights, residuals: weights * residuals  # noqa: E731
    fails(wrong(contributions=signed), "contributions returns -.*must be finite and not negative")


def test_an_update_that_looks_at_numbers() -> None:
    def update(self: Any, weights: Tensor, residuals: Tensor) -> Tensor:
        largest = float(residuals.abs().max())
        return residuals.abs() / largest if largest > 0 else weights

    fails(
        wrong(update=update),
        "the training step cannot be traced",
        r"update or contributions must not look at numbers \(float\(x\)",
    )


def balancing(balance: Any, remember: Any = lambda self, terms: {}) -> Any:
    return wrong(balanced_every=lambda self: 2, balance=balance, remember=remember)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (balancing(lambda self, terms: {"inflwo": 1.0}), "balance names 'inflwo'"),
        (
            balancing(lambda self, terms: {"inflow": 1 / float(terms.losses[2])}),
            "(losses of about 0|division by zero)",
        ),
        (balancing(lambda self, terms: {"inflow": -1.0}), "not negative"),
        (
            balancing(lambda self, terms: {}, lambda self, terms: {"first": 1.0}),
            "remember returns something that is no tensor",
        ),
    ],
)
def test_a_balance_that_cannot_be(cls: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_weighting(cls)


def test_a_balance_that_keeps_something() -> None:
    seen: list[float] = []

    def balance(self: Any, terms: Any) -> dict[str, float]:
        seen.append(1.0)
        return {"inflow": float(len(seen))}

    fails(balancing(balance), "asked again", "terms.memory")
