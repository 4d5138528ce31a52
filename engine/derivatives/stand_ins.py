"""Quantities where no network gives them: a tensor of one's own stands for each field and slope."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pinn.core.problem import Problem
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.quantities import Differentiate, Forms, Quantities


def stand_ins(
    problem: Problem,
    places: Tensor,
    fields: Mapping[str, Tensor],
    slope: Callable[[], Tensor],
    unknowns: Mapping[str, Tensor],
    differentiate: Differentiate | None = None,
) -> Quantities:
    """q at the places (n, dimension).

    Args:
        fields: their values, (n,).
        slope: gives what stands for a derivative, and for a field that is not among those, (n,).
        differentiate: gives what stands for the derivative of an expression.
    """

    def resolve(forms: Forms) -> Tensor:
        terms = [
            factor * (slope() if any(index) or field not in fields else fields[field])
            for field, form in forms.items()
            for index, factor in form.items()
        ]
        return torch.stack(terms).sum(0)

    named = dict(zip(problem.domain.names, places.T, strict=True))
    names, complex_fields = components(problem), problem.complex_fields
    return Quantities(named, names, resolve, unknowns, differentiate, complex_fields)
