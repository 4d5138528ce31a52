"""What every weighting must keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from pinn.core.parts import Terms, Weighting
from pinn.testing.companions import SmallProblem
from pinn.testing.declaration import DECLARATION
from pinn.testing.probes.devices import META, check_device
from pinn.testing.probes.examples import for_examples, points_in
from pinn.testing.probes.randomness import global_generators_untouched
from pinn.testing.probes.tracing import its_training_step_can_be_compiled
from pinn.testing.small_runs import it_trains_and_continues_exactly
from pinn.testing.trial import Trial, perform

Shape = tuple[int, int]
"""Equations, points."""
_examples = for_examples(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12)), seed=st.integers(0, 1000)
)

CLOSE = 1e-10
"""Sums over the points may round in another order."""
LIKE = "make tensors of what is handed in: torch.zeros_like(residuals), residuals.new_ones(…)"


def check_weighting(weighting: type[Weighting] | Weighting, *, permutation: bool = True) -> None:
    """Everything that the framework expects of a weighting.

    Weights of the right shape, finite and not negative, for whatever residuals; `update` and
    `contributions` as functions of their arguments, which they leave alone; each point's contribution
    its own; options; precision, devices, compiling; and runs of a few steps, killed and continued.

    Args:
        weighting: a class, which is checked with its default options, or an instance.
        permutation: whether points in another order have the same weights in that order. Set it to
            False where the order in which the points were drawn has a meaning.

    Raises:
        AssertionError: what was found, and what to do.
    """
    checks = [check for check in CHECKS if permutation or check is not ORDER]
    perform("weighting", weighting, (*DECLARATION, *checks))


def _random(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _places(count: int, seed: int = 0) -> dict[str, Tensor]:
    box = SmallProblem.domain
    return dict(zip(box.names, points_in(box, count, seed).T, strict=True))


def _start(weighting: Any, shape: Shape, dtype: torch.dtype = torch.float64) -> Tensor:
    return weighting.initial(shape[1]).to(dtype).expand(shape).clone()


def initial_weights_are_one_a_point(trial: Trial) -> None:
    for count in (1, 2, 17):
        with global_generators_untouched("initial", "start from numbers that are known"):
            weights = trial.part.initial(count)
        assert isinstance(weights, Tensor) and weights.shape == (count,), (
            f"initial({count}) returns {_described(weights)}: return a tensor of shape "
            f"({count},), one weight a point, as in torch.ones(count)"
        )
        _check_weights("initial", weights)
        assert torch.equal(weights, trial.fresh().initial(count)), (
            f"initial({count}) returns other weights when it is asked again: it keeps something "
            "from call to call"
        )


def _described(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _check_weights(what: str, weights: Tensor, told: str = "") -> None:
    assert torch.isfinite(weights).all(), (
        f"{what} returns weights that are not finite{told}: where you divide, keep the divisor "
        "from zero, as in size / size.max().clamp_min(1e-30)"
    )
    assert (weights >= 0).all(), (
        f"{what} returns the weight {float(weights.min()):.3g}{told}: weights must not be "
        "negative; take residuals.abs()"
    )
    assert not weights.requires_grad, (
        f"{what} returns weights with a gradient{told}: weights are numbers, not parameters; "
        ".detach() them"
    )


@_examples
def its_weights_are_finite_and_not_negative(trial: Trial, shape: Shape, seed: int) -> None:
    scales = {1.0: "", 1e-12: " for residuals of 1e-12", 1e6: " for residuals of 1e6"}
    for scale, told in {**scales, 0.0: " for residuals that are all zero"}.items():
        weights, residuals = _start(trial.part, shape), scale * _random(shape, seed)
        for step in (0, 1, 2, 1000, 10**6):
            weights = _updated(trial.part, weights, residuals, step)
            _check_weights("update", weights, told)


def _updated(weighting: Any, weights: Tensor, residuals: Tensor, step: int = 7) -> Tensor:
    """As training does it, in the shape of the residuals."""
    with torch.no_grad(), global_generators_untouched("update", "weights must not be random"):
        places = {n: c.to(residuals) for n, c in _places(residuals.shape[1]).items()}
        found = weighting.update_at(places, weights, residuals, residuals.new_tensor(step))
    shape = tuple(residuals.shape)
    assert isinstance(found, Tensor), (
        f"update returns {type(found).__name__}: return the new weights, a tensor"
    )
    try:
        return found.expand(shape)
    except RuntimeError:
        raise AssertionError(
            f"update returns shape {tuple(found.shape)} for residuals of shape {shape}, "
            "(equations, points): return that shape, or one that broadcasts to it, such as (1, "
            "points); sums over the points need keepdim=True"
        ) from None


def its_update_keeps_the_precision(trial: Trial) -> None:
    for dtype in (torch.float32, torch.float64):
        weights = _start(trial.part, (2, 7), dtype)
        found = _updated(trial.part, weights, _random((2, 7), 0, dtype))
        assert found.dtype == dtype, (
            f"update returns {found.dtype} for weights and residuals of {dtype}: {LIKE}"
        )


@_examples
def its_update_leaves_what_it_is_given_alone(trial: Trial, shape: Shape, seed: int) -> None:
    weights, residuals = _start(trial.part, shape) + 0.5, _random(shape, seed)
    places = _places(shape[1])
    step = residuals.new_tensor(3)
    given = {"weights": weights, "residuals": residuals, "step": step, **places}
    before = {name: tensor.clone() for name, tensor in given.items()}
    with torch.no_grad():
        updated = trial.part.update_at(places, weights, residuals, step).expand(shape)
        trial.part.contributions(updated, residuals)
    for name, tensor in given.items():
        assert torch.equal(tensor, before[name]), (
            f"update or contributions writes into the {name} that it is given: return new "
            "tensors instead of working in place (weights = weights * x, not weights *= x)"
        )


@_examples
def its_update_remembers_nothing(trial: Trial, shape: Shape, seed: int) -> None:
    weights, residuals = _start(trial.part, shape), _random(shape, seed)
    first = _updated(trial.part, weights, residuals).clone()
    for other in range(3):
        _updated(trial.part, weights, _random(shape, seed + 1 + other))
    for weighting in (trial.part, trial.fresh()):
        again = _updated(weighting, weights, residuals)
        assert torch.equal(first, again), (
            "update returns other weights for the same weights and residuals when it is asked "
            "again: it keeps something from call to call, which a continued run would not "
            "have; all that it may remember is in the weights"
        )


def it_is_static_only_if_its_weights_stay(trial: Trial) -> None:
    if not trial.part.static:
        return
    weights = torch.linspace(0, 2, 7, dtype=torch.float64).expand(2, 7).clone()
    found = _updated(trial.part, weights, _random((2, 7), 0))
    assert torch.equal(found, weights), (
        "static is True, so that training never calls update, but update changes the weights: "
        "leave out static = True"
    )


@_examples
def a_permutation_of_the_points_permutes_the_weights(trial: Trial, shape: Shape, seed: int) -> None:
    places, residuals = _places(shape[1], seed), _random(shape, seed)
    weights = _start(trial.part, shape) + _random(shape, seed + 1).abs()
    order = torch.randperm(shape[1], generator=torch.Generator().manual_seed(seed))
    moved, step = {name: column[order] for name, column in places.items()}, residuals.new_tensor(3)
    with torch.no_grad():
        plain = trial.part.update_at(places, weights, residuals, step)
        permuted = trial.part.update_at(moved, weights[:, order], residuals[:, order], step)
    expected = plain.expand(shape)[:, order]
    off = float((permuted.expand(shape) - expected).abs().max())
    assert off <= CLOSE * float(expected.abs().max()), (
        f"the same points in another order have other weights (off by {off:.3g}): points are "
        "not drawn in any order, so do not look at their number. Where places matter, write "
        "update_at and sort by points['t']; where the order does matter, call "
        "check_weighting(…, permutation=False)"
    )


ORDER = a_permutation_of_the_points_permutes_the_weights


@_examples
def its_contributions_are_each_points_own(trial: Trial, shape: Shape, seed: int) -> None:
    weights, residuals = _random(shape, seed).abs(), _random(shape, seed + 1)
    whole = trial.part.contributions(weights, residuals)
    assert isinstance(whole, Tensor) and whole.shape == shape, (
        f"contributions returns {_described(whole)} for residuals of shape {shape}: return "
        "that shape, what each point adds to the loss"
    )
    assert torch.isfinite(whole).all() and (whole >= 0).all(), (
        f"contributions returns {float(whole.min()):.3g}: what is minimised must be finite "
        "and not negative, such as (weights * residuals)**2"
    )
    halves = zip(weights.tensor_split(2, 1), residuals.tensor_split(2, 1), strict=True)
    pieces = [trial.part.contributions(*half) for half in halves]
    off = float((torch.cat(pieces, 1) - whole).abs().max())
    assert off <= CLOSE * float(whole.max()), (
        "contributions of some of the points differ from theirs among all (off by "
        f"{off:.3g}): chunks of points and batches must give the same; what looks at all "
        "points belongs into update"
    )


def its_contributions_lead_a_gradient_to_the_residuals(trial: Trial) -> None:
    residuals = _random((2, 7), 0).requires_grad_()
    weights = torch.ones(2, 7, dtype=torch.float64)
    total = trial.part.contributions(weights, residuals).sum()
    gradient = torch.autograd.grad(total, residuals)[0] if total.requires_grad else None
    assert gradient is not None and torch.isfinite(gradient).all() and gradient.any(), (
        "contributions with weights 1 have no finite gradient in the residuals, so that nothing "
        "can be trained: do not detach the residuals there"
    )


def its_balances_are_factors_of_terms(trial: Trial) -> None:
    """For terms of any size, among them such as are zero."""
    if not trial.part.balanced_every():
        return
    for size in (1.0, 1e-20, 1e20, 0.0):
        memory: Mapping[str, Tensor] = {}
        factors = dict.fromkeys(TERMS, 1.0)
        for round_of in range(4):
            terms = _terms(size, round_of, factors, memory)
            found = trial.part.balance(terms)
            for name, factor in found.items():
                assert name in TERMS, (
                    f"balance names {name!r}: return factors of terms.equations and terms.conditions"
                )
                assert 0 <= float(factor) < math.inf, (
                    f"balance returns the factor {factor} for losses of about {size:g}: factors must be "
                    "finite and not negative; where you divide, leave out terms whose size is zero"
                )
            kept = trial.part.remember(terms)
            assert all(isinstance(each, Tensor) for each in kept.values()), (
                "remember returns something that is no tensor: return tensors by name, which are saved"
            )
            again = trial.fresh().balance(_terms(size, round_of, factors, memory))
            assert again == found, (
                "balance returns other factors for the same terms when it is asked again: what it needs "
                "of earlier balances, return from remember and read from terms.memory; draw random "
                "numbers from terms.generator"
            )
            factors, memory = factors | {n: float(f) for n, f in found.items()}, kept


TERMS = ("first", "second", "inflow", "walls")


def _terms(
    size: float, round_of: int, factors: Mapping[str, float], memory: Mapping[str, Tensor]
) -> Terms:
    losses = size * _random((len(TERMS),), round_of).abs()
    gradients = size * _random((len(TERMS), 5), round_of + 10)
    generator = np.random.default_rng(round_of)
    return Terms(
        TERMS[:2], TERMS[2:], factors, losses, gradients, lambda: losses, memory, generator
    )


def its_code_runs_on_any_device(trial: Trial) -> None:
    weights, residuals = torch.ones(2, 7, device=META), torch.ones(2, 7, device=META)
    places = {name: column.to(META) for name, column in _places(7).items()}
    part, step = trial.part, torch.ones((), device=META)
    check_device("update", LIKE, lambda: part.update_at(places, weights, residuals, step))
    check_device("contributions", LIKE, lambda: part.contributions(weights, residuals))


CHECKS = (
    initial_weights_are_one_a_point,
    its_weights_are_finite_and_not_negative,
    its_update_keeps_the_precision,
    its_update_leaves_what_it_is_given_alone,
    its_update_remembers_nothing,
    it_is_static_only_if_its_weights_stay,
    ORDER,
    its_contributions_are_each_points_own,
    its_contributions_lead_a_gradient_to_the_residuals,
    its_balances_are_factors_of_terms,
    its_code_runs_on_any_device,
    its_training_step_can_be_compiled,
    it_trains_and_continues_exactly,
)
