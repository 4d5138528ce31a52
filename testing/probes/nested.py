"""Derivatives of a network by nested reverse-mode autograd: the naive way, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pinn.core.problem import Problem
from pinn.engine.derivatives.jets import MultiIndex
from pinn.engine.derivatives.quantities import Forms, Quantities, named_tensors


def derivative(value: Tensor, points: Tensor, index: MultiIndex) -> Tensor:
    """D^α of `value` (n,), made from `points` (n, dimension) row by row, as a tensor (n,)."""
    for axis, degree in enumerate(index):
        for _ in range(degree):
            if not value.requires_grad:
                return torch.zeros_like(value)
            (slopes,) = torch.autograd.grad(
                value.sum(), points, create_graph=True, materialize_grads=True
            )
            value = slopes[:, axis]
    return value


def nested_quantities(
    problem: Problem,
    network: Callable[[Tensor], Tensor],
    points: Tensor,
    unknowns: dict[str, Tensor],
) -> Quantities:
    """q for a network at `points` (n, dimension), every derivative by nested autograd."""
    points = points.detach().clone().requires_grad_()
    outputs = network(points)
    places = dict(zip(problem.domain.names, points.unbind(1), strict=True))
    raw = {field: outputs[:, i] for i, field in enumerate(problem.fields)}
    fields = problem.ansatz(Quantities(places, raw, unknowns=unknowns))

    def resolve(forms: Forms) -> Tensor:
        return torch.stack(
            [
                factor * derivative(fields[field], points, index)
                for field, form in forms.items()
                for index, factor in form.items()
            ]
        ).sum(0)

    return Quantities(places, problem.fields, resolve, unknowns)


def nested_residuals(
    problem: Problem,
    law: Callable[[Any], Any],
    network: Callable[[Tensor], Tensor],
    points: Tensor,
    unknowns: dict[str, Tensor],
    single: str | None = None,
) -> Tensor:
    """What `law` makes of the quantities, (names, n)."""
    named = law(nested_quantities(problem, network, points, unknowns))
    return torch.stack([*named_tensors(named, len(points), "the law", single).values()]).detach()
