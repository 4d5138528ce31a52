"""The loss and its gradient, against a loss written by hand with nested autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from attrs import evolve, frozen
from hypothesis import given, strategies as st
from torch import Tensor

from pinn.core import Box, Condition, PinnError, Problem, Weighting
from pinn.core.domain import PointSet
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.objective import Evaluation, Objective
from pinn.plugins.weightings.rba import ResidualBasedAttention
from pinn.plugins.weightings.vanilla import Vanilla

Close = Callable[..., None]
MakeCase = Callable[..., Any]

FACTORS = st.dictionaries(
    st.sampled_from(["first", "second", "initial", "walls"]),
    st.sampled_from([0.0, 0.5, 3.0, 100.0]),
)
WEIGHTINGS = st.sampled_from(
    [
        Vanilla(),
        ResidualBasedAttention(eta=0.1, gamma=0.9),
        ResidualBasedAttention(eta=0.1, gamma=0.9, shared=False),
        ResidualBasedAttention(normalisation="min-max", loss="weight*residual^2", first_eta=1.0),
    ]
)


def gradient(loss: Tensor, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, materialize_grads=True)


def assert_same(a: Evaluation, b: Evaluation, close: Close, tolerance: float = 1e-10) -> None:
    for name in ("terms", "weights", "residuals"):
        close(getattr(a, name), getattr(b, name), tolerance)
    for x, y in zip(a.gradient, b.gradient, strict=True):
        close(x, y, tolerance)


@given(st.integers(0, 100), FACTORS)
def test_vanilla_loss_and_gradient(
    make_case: MakeCase, close: Close, seed: int, factors: dict[str, float]
) -> None:
    case = make_case(seed)
    weights = torch.ones(2, 13, dtype=torch.float64)
    objective = case.objective(Vanilla(), factors)
    found = objective.evaluate(case.parameters, case.points, weights)

    r = case.residuals(case.points.interior)
    terms = torch.stack([*(r**2).mean(1), *case.condition_losses()])
    assert objective.names == ("first", "second", "initial", "walls")
    terms = terms * torch.tensor([factors.get(name, 1.0) for name in objective.names])
    close(found.terms, terms.detach())
    close(found.residuals, r.detach())
    assert torch.equal(found.weights, weights)
    close(found.loss, terms.sum().detach())
    for a, b in zip(found.gradient, gradient(terms.sum(), case.parameters), strict=True):
        close(a, b)


@given(st.integers(0, 100), FACTORS, st.booleans(), st.booleans())
def test_rba_loss_and_gradient(
    make_case: MakeCase,
    close: Close,
    seed: int,
    factors: dict[str, float],
    shared: bool,
    squared: bool,
) -> None:
    case = make_case(seed)
    before = case.some_weights(seed)
    loss = "(weight*residual)^2" if squared else "weight*residual^2"
    rba = ResidualBasedAttention(eta=0.2, gamma=0.7, shared=shared, loss=loss)
    objective = case.objective(rba, factors)
    found = objective.evaluate(case.parameters, case.points, before)

    r = case.residuals(case.points.interior)
    size = r.detach().abs()
    size = size.sum(0, keepdim=True) if shared else size
    weights = 0.7 * before + 0.2 * size / size.max(1, keepdim=True).values
    inside = (weights * r) ** 2 if squared else weights * r**2
    terms = torch.stack([*inside.mean(1), *case.condition_losses()])
    terms = terms * torch.tensor([factors.get(name, 1.0) for name in objective.names])
    close(found.weights, weights)
    close(found.terms, terms.detach())
    for a, b in zip(found.gradient, gradient(terms.sum(), case.parameters), strict=True):
        close(a, b)
    frozen_weights = objective.evaluate(case.parameters, case.points, weights, update=False)
    assert torch.equal(frozen_weights.weights, weights)
    close(frozen_weights.terms, terms.detach())
    close(
        objective.interior_loss(case.parameters, case.points.interior, weights).detach(),
        terms[:2].sum().detach(),
    )
    close(
        objective.condition_loss(case.parameters, case.points.conditions).detach(),
        terms[2:].sum().detach(),
    )


@given(st.integers(0, 100), FACTORS, WEIGHTINGS, st.integers(1, 15), st.booleans())
def test_chunks_do_not_change_the_numbers(
    make_case: MakeCase,
    close: Close,
    seed: int,
    factors: dict[str, float],
    weighting: Any,
    chunk: int,
    update: bool,
) -> None:
    case = make_case(seed)
    weights = case.some_weights(seed)
    whole = case.objective(weighting, factors)
    parts = case.objective(weighting, factors, chunk)
    assert_same(
        parts.evaluate(case.parameters, case.points, weights, update),
        whole.evaluate(case.parameters, case.points, weights, update),
        close,
    )


@frozen
class Later(Weighting):
    """Points of later times weigh more, and more so where the residual is large."""

    name = "later"

    def initial(self, count: int) -> Tensor:
        return torch.zeros(count)

    def update_at(
        self, points: Mapping[str, Tensor], weights: Tensor, residuals: Tensor, step: Tensor
    ) -> Tensor:
        return 0.5 * weights + points["t"] * residuals.abs()


@pytest.mark.parametrize("chunk", [0, 4])
def test_a_weighting_may_ask_where_the_points_are(
    make_case: MakeCase, close: Close, chunk: int
) -> None:
    case = make_case()
    before = case.some_weights(1)
    found = case.objective(Later(), chunk=chunk).evaluate(case.parameters, case.points, before)
    r = case.residuals(case.points.interior)
    close(found.weights, (0.5 * before + case.points.interior[:, 1] * r.abs()).detach())


@pytest.mark.parametrize("chunk", [0, 4])
def test_a_problem_without_conditions(make_case: MakeCase, close: Close, chunk: int) -> None:
    case = make_case()

    @frozen
    class Bare(type(case.problem)):  # type: ignore[misc]
        def conditions(self) -> tuple[()]:
            return ()

    bare = evolve(case, problem=Bare(), points=PointSet(case.points.interior, {}))
    objective = bare.objective(Vanilla(), chunk=chunk)
    found = objective.evaluate(bare.parameters, bare.points, torch.ones(2, 13))
    r = case.residuals(case.points.interior)
    close(found.loss, (r**2).mean(1).sum().detach())
    for a, b in zip(found.gradient, gradient((r**2).mean(1).sum(), case.parameters), strict=True):
        close(a, b)
    assert float(objective.condition_loss(bare.parameters, {})) == 0


def test_evaluating_leaves_grad_alone(make_case: MakeCase) -> None:
    case = make_case()
    case.objective(Vanilla()).evaluate(case.parameters, case.points, torch.ones(2, 13))
    assert all(p.grad is None for p in case.parameters)


def test_equations_and_conditions_must_not_share_a_name(make_case: MakeCase) -> None:
    case = make_case()

    @frozen
    class Twice(type(case.problem)):  # type: ignore[misc]
        def equations(self, q: Any) -> dict[str, Any]:
            return {"walls": q.u}

    with pytest.raises(PinnError, match="toy: equations and conditions share a name"):
        evolve(case, problem=Twice()).objective(Vanilla())


@frozen
class Decay(Problem):
    """Of one equation and one condition: as little as a step can be, so that it is compiled soon."""

    name = "decay"
    fields = ("u",)
    domain = Box(x=(-1, 1), t=(0, 2))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"decay": q.u_t + q.x * q.u}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - q.x)


def test_a_small_step_is_compiled(make_case: MakeCase, close: Close) -> None:
    case = make_case()
    points = PointSet(case.points.interior, {"initial": case.points.conditions["initial"]})
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    eager, compiled = (Objective(Decay(), module.double(), Vanilla(), {}, 0) for _ in range(2))
    compiled.compiled(compile_lazily)
    weights = torch.ones(1, 13, dtype=torch.float64)
    expected, found = (o.evaluate(o.parameters, points, weights) for o in (eager, compiled))
    assert_same(found, expected, close)


@pytest.mark.slow
@pytest.mark.parametrize(("update", "chunk"), [(True, 0), (False, 0), (True, 5)])
def test_compiled_equals_eager(make_case: MakeCase, close: Close, update: bool, chunk: int) -> None:
    case = make_case()
    rba = ResidualBasedAttention(eta=0.2, first_eta=1.0)
    eager, compiled = case.objective(rba), case.objective(rba, chunk=chunk)
    compiled.compiled(compile_lazily)
    weights = torch.zeros(2, 13, dtype=torch.float64)
    for _ in range(2):
        expected = eager.evaluate(case.parameters, case.points, weights, update)
        found = compiled.evaluate(case.parameters, case.points, weights, update)
        assert_same(found, expected, close)
        weights = expected.weights
        with torch.no_grad():
            for parameter, slope in zip(case.parameters, expected.gradient, strict=True):
                parameter -= 0.01 * slope


@pytest.mark.slow
def test_compiled_batch_gradients_equal_eager_ones(make_case: MakeCase, close: Close) -> None:
    case = make_case(count=12)
    eager, compiled = case.objective(Vanilla()), case.objective(Vanilla())
    compiled.compiled(compile_lazily, batches=True)
    points = case.points.interior.reshape(4, 3, 2)
    weights = case.some_weights(0).reshape(2, 4, 3).movedim(1, 0).contiguous()
    parameters = tuple(p.detach() for p in case.parameters)
    expected = eager.batch_gradients(parameters, points, weights)
    found = compiled.batch_gradients(parameters, points, weights)
    for a, b in zip(found, expected, strict=True):
        close(a, b, 1e-10)


@pytest.mark.parametrize("chunk", [1, 4, 6, 12])
def test_no_more_points_are_evaluated_at_once_than_a_chunk(
    make_case: MakeCase, close: Close, chunk: int
) -> None:
    """Neither inside nor of the conditions, whatever is asked for."""
    case = make_case()
    weights = torch.ones(2, 13, dtype=torch.float64)
    seen: list[int] = []
    case.module.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[0]))
    whole, parts = (case.objective(Vanilla(), {"walls": 3.0}, size) for size in (0, chunk))
    parameters, conditions = case.parameters, case.points.conditions

    def asked(objective: Objective) -> Iterator[Tensor]:
        found = objective.evaluate(parameters, case.points, weights)
        yield from (found.terms, found.residuals, *found.gradient)
        yield objective.weighted_residuals(parameters, case.points, weights)
        loss = objective.condition_loss(parameters, conditions)
        yield loss.detach()
        slopes = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        yield from (slope.detach() for slope in slopes)
        squares = torch.stack([(slope**2).sum() for slope in slopes]).sum()
        yield from torch.autograd.grad(squares, parameters, materialize_grads=True)
        inside, outside = objective.terms(case.points.interior[:1], weights[:, :1], conditions)
        yield from (term.detach() for term in (*inside.values(), *outside.values()))

    expected = [*asked(whole)]
    seen.clear()
    for a, b in zip(asked(parts), expected, strict=True):
        close(a, b)
    assert max(seen) == min(chunk, 12)


def test_few_interior_points_and_much_data_are_taken_in_chunks(
    make_case: MakeCase, close: Close
) -> None:
    case = make_case(0, 2)
    weights = torch.ones(2, 2, dtype=torch.float64)
    found = [
        case.objective(Vanilla(), {}, chunk).evaluate(case.parameters, case.points, weights)
        for chunk in (0, 5)
    ]
    assert_same(*found, close)


@given(st.integers(0, 100), st.sampled_from([0, 5, 100]))
def test_gradients_of_terms_are_those_of_each_loss_without_its_factor(
    make_case: MakeCase, close: Close, seed: int, chunk: int
) -> None:
    case = make_case(seed)
    weights = case.some_weights(seed)
    objective = case.objective(Vanilla(), {"walls": 7.0, "first": 3.0}, chunk)
    losses, gradients = objective.gradients_of_terms(case.points, weights)

    inside = ((weights * case.residuals(case.points.interior)) ** 2).mean(1)
    terms = [*inside, *case.condition_losses()]
    close(losses, torch.stack(terms).detach())
    for row, term in zip(gradients, terms, strict=True):
        expected = torch.autograd.grad(
            term, case.parameters, retain_graph=True, materialize_grads=True
        )
        close(row, torch.cat([each.flatten() for each in expected]))


def test_other_factors_need_no_other_function(make_case: MakeCase, close: Close) -> None:
    """What was compiled serves them: factors are handed to it."""
    case = make_case(0)
    weights = torch.ones(2, 13, dtype=torch.float64)
    traced: list[str] = []

    def compiler(function: Any, same_points: bool) -> Any:
        traced.append(str(function))
        return function

    objective = case.objective(Vanilla(), {"walls": 2.0})
    objective.compiled(compiler)
    before, count = objective.evaluate(case.parameters, case.points, weights), len(traced)
    other = objective.changed(objective.problem, {"walls": 6.0}, 0)
    after = other.evaluate(case.parameters, case.points, weights)
    assert len(traced) == count
    close(after.terms, before.terms * torch.tensor([1.0, 1.0, 1.0, 3.0]))
