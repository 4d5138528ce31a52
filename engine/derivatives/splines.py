"""Splines on grids, made of sums and products: they have derivatives like all else in equations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

from pinn.core.reference import Table


def spline(table: Table, places: Sequence[Any]) -> Any:
    """Σ w_ij… B_i(x) B_j(y) … at points whose coordinates are tensors (n,), or series."""
    first = places[0]
    weights = table.weights.to(dtype=first.dtype, device=first.device)
    begins, bases = [], []
    for x, (knots, degree) in zip(places, table.knots.values(), strict=True):
        begin, basis = _basis(x, knots.to(dtype=x.dtype, device=x.device), degree)
        begins.append(begin)
        bases.append(basis)
    terms = [
        prod((basis[i] for basis, i in zip(bases, chosen, strict=True)), start=weight)
        for chosen in product(*(range(len(basis)) for basis in bases))
        for weight in [weights[tuple(begin + i for begin, i in zip(begins, chosen, strict=True))]]
    ]
    return sum(terms[1:], terms[0])


def _basis(x: Any, knots: Tensor, degree: int) -> tuple[Tensor, list[Any]]:
    """The number of the first B-spline that is not 0 at each x, and the values of it and its followers.

    By the recurrence of Cox and de Boor (Piegl & Tiller, The NURBS Book, algorithm A2.2).
    """
    x = torch.where(x > knots[0], x, knots[0])
    x = torch.where(x < knots[-1], x, knots[-1])
    inner = knots[degree + 1 : len(knots) - degree - 1].contiguous()
    here = torch.bucketize(x, inner, right=True)

    def knot(step: int) -> Tensor:
        return knots[here + degree + step]

    basis: list[Any] = [torch.ones_like(knot(0))]
    for order in range(1, degree + 1):
        carried: Any = 0.0
        raised = []
        for i, lower in enumerate(basis):
            left, right = knot(i + 1 - order), knot(i + 1)
            share = lower / (right - left)
            raised.append(carried + (right - x) * share)
            carried = (x - left) * share
        basis = [*raised, carried]
    return here, basis
