"""Operations without a rule, by nested forward-mode differentiation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pinn.engine.derivatives.jets import MultiIndex, factorial
from pinn.engine.derivatives.series import Series, SeriesError, UnknownOperation, scale, total


def by_nested_autograd(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Series:
    """An operation without a rule, by nested forward-mode differentiation.

    The series becomes a polynomial z(ε), and u_α = D^α f(z(ε)) / α! at ε = 0.
    """
    name = func.__name__
    warnings.warn(
        f"torch.{name} has no Taylor rule: it is differentiated by nested autograd, which is slower",
        UnknownOperation,
        stacklevel=3,
    )
    leaves, structure = tree_flatten((args, dict(kwargs)), is_leaf=lambda a: isinstance(a, Series))
    like = next(leaf for leaf in leaves if isinstance(leaf, Series))
    jets = like.jets

    def image(*steps: torch.Tensor) -> torch.Tensor:
        moved = [_polynomial(a, steps) if isinstance(a, Series) else a for a in leaves]
        plain_args, plain_kwargs = tree_unflatten(moved, structure)
        result = func(*plain_args, **plain_kwargs)
        if not isinstance(result, torch.Tensor):
            raise SeriesError(f"torch.{name} does not return one tensor: it has no Taylor series")
        return result

    origin = [torch.zeros((), dtype=like.dtype, device=like.device) for _ in jets.monomials[0]]
    wanted = sorted({index for row in jets.rows for index in row})
    try:
        taylor = {index: _derivative(image, index)(*origin) / factorial(index) for index in wanted}
    except NotImplementedError as error:
        raise SeriesError(
            f"torch.{name} has neither a Taylor rule nor forward-mode derivatives: {error}"
        ) from error
    return Series(
        {
            i: total([scale(taylor[index], float(c)) for index, c in row.items()])
            for i, row in enumerate(jets.rows)
        },
        jets,
    )


def _polynomial(z: Series, steps: Sequence[torch.Tensor]) -> torch.Tensor:
    """A polynomial with the same jets: Σ z_i ε^(monomial i)."""
    return total(
        [
            c * math.prod(s**d for s, d in zip(steps, z.jets.monomials[i], strict=True) if d)
            for i, c in z.coefficients.items()
        ]
    )


def _derivative(
    func: Callable[..., torch.Tensor], index: MultiIndex
) -> Callable[..., torch.Tensor]:
    for axis, degree in enumerate(index):
        for _ in range(degree):
            func = _slope(func, axis)
    return func


def _slope(func: Callable[..., torch.Tensor], axis: int) -> Callable[..., torch.Tensor]:
    def slope(*steps: torch.Tensor) -> torch.Tensor:
        def moved(step: torch.Tensor) -> torch.Tensor:
            return func(*steps[:axis], step, *steps[axis + 1 :])

        return torch.func.jvp(moved, (steps[axis],), (torch.ones_like(steps[axis]),))[1]

    return slope
