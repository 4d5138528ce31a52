"""Derivatives of a network by nested reverse-mode autograd: the naive way, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pinn.engine.derivatives.jets import MultiIndex
from pinn.engine.derivatives.quadrature import quadrature
from pinn.engine.derivatives.quantities import Forms, Places, Quantities, named_tensors
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import start_values


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


def nested_residuals(
    residuals: Residuals, network: Callable[[Tensor], Tensor], points: Tensor
) -> Tensor:
    """(names, n) at `points` (n, dimension) by nested autograd, with the unknowns at their start."""
    problem, unknowns = residuals.problem, start_values(residuals.problem, points)

    def quantities(points: Tensor, normals: Tensor | None) -> Quantities:
        points = points.detach().clone().requires_grad_()
        outputs = network(points)
        named = dict(zip(problem.domain.names, points.unbind(1), strict=True))
        raw = {field: outputs[:, i] for i, field in enumerate(problem.fields)}
        fields = problem.ansatz(Quantities(named, raw, unknowns=unknowns))

        def resolve(forms: Forms) -> Tensor:
            terms = [
                factor * derivative(fields[field], points, index)
                for field, form in forms.items()
                for index, factor in form.items()
            ]
            return torch.stack(terms).sum(0)

        places = Places(
            points,
            quantities,
            partial(quadrature, problem.domain),
            None if normals is None else lambda: normals,
        )
        return Quantities(named, problem.fields, resolve, unknowns, places)

    where, normals, _ = residuals.split(points)
    named = residuals.law(quantities(where, normals))
    tensors = named_tensors(named, len(points), "the law", residuals.single)
    return torch.stack([*tensors.values()]).detach()
