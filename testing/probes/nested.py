"""Derivatives of a network by nested reverse-mode autograd: the naive way, to compare with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pinn.engine.derivatives.ansatz import behind_ansatz
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.jets import MultiIndex
from pinn.engine.derivatives.quantities import Forms, Quantities
from pinn.engine.derivatives.residuals import Residuals, places_of
from pinn.engine.derivatives.scales import scaled
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

    def quantities(where: Tensor, normals: Tensor | None) -> Quantities:
        where = where.detach().clone().requires_grad_()
        named = dict(zip(problem.domain.names, where.unbind(1), strict=True))
        raw = scaled(problem, network(where))
        fields = behind_ansatz(problem, named, raw, unknowns, network)

        def resolve(forms: Forms) -> Tensor:
            terms = [
                factor * derivative(fields[field], where, index)
                for field, form in forms.items()
                for index, factor in form.items()
            ]
            return torch.stack(terms).sum(0) if terms else torch.zeros_like(where[:, 0])

        def differentiate(value: Tensor, index: MultiIndex) -> Tensor:
            if value.is_complex():
                parts = (derivative(part, where, index) for part in (value.real, value.imag))
                return torch.complex(*parts)
            return derivative(value, where, index)

        own = components(problem), resolve, unknowns, differentiate, problem.complex_fields
        return Quantities(named, *own, places_of(problem, where, quantities, normals))

    where, normals, _ = residuals.split(points)
    q = quantities(where, normals)
    return residuals.stacked(residuals.law(q), len(points)).detach()
