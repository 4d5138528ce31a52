"""Truncated Taylor series, and how a torch operation on them finds its rule, or does without."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from pinn.engine.derivatives.jets import Functional, Jets, MultiIndex, factorial
from pinn.engine.derivatives.operators import Operators

Coefficients = dict[int, Tensor]


class SeriesError(TypeError):
    """A torch operation that cannot be applied to a Taylor series."""


class UnknownOperation(UserWarning):
    """An operation without a Taylor rule was differentiated by nested autograd."""


OF_THE_VALUE = {"shape", "ndim", "dtype", "device", "dim", "size"}


class Series(Operators):
    """One function of the coordinates, near every point.

    Args:
        coefficients: {channel: tensor}; an absent channel is zero; all broadcast to the value's shape.
        jets: what the channels mean and how they multiply.
    """

    shape: torch.Size
    ndim: int
    dtype: torch.dtype
    device: torch.device

    __array_ufunc__ = None
    """NumPy numbers on the left leave the operation to the series."""

    def __init__(self, coefficients: Coefficients, jets: Jets) -> None:
        self.coefficients = coefficients
        self.jets = jets

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return apply(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name in OF_THE_VALUE:
            return getattr(self.value, name)
        method = None if name.startswith("__") else getattr(Tensor, name, None)
        if not callable(method):
            raise AttributeError(f"a Taylor series has no attribute {name!r}")
        return lambda *args, **kwargs: apply(method, (self, *args), kwargs)

    @property
    def value(self) -> Tensor:
        """The function itself at each point."""
        return self.coefficients[0]

    def read(self, functional: Functional) -> Tensor:
        """Σ a_α D^α u at each point, in the shape of the value."""
        terms = [
            self.coefficients[i] if factor == 1 else factor * self.coefficients[i]
            for i, factor in self.jets.weights(functional).items()
            if i in self.coefficients
        ]
        return total(terms).expand(self.shape) if terms else torch.zeros_like(self.value)

    def map(self, func: Callable[[Tensor], Any]) -> Series:
        """Apply a linear function to every coefficient."""
        return Series({i: func(c) for i, c in self.coefficients.items()}, self.jets)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return iter(apply(torch.unbind, (self,), {}))

    def __repr__(self) -> str:
        return f"Series(shape={tuple(self.shape)}, monomials={self.jets.monomials})"

    def __getitem__(self, item: Any) -> Series:
        return self.map(lambda c: c.expand(self.shape)[item])

    def __neg__(self) -> Series:
        return self.map(torch.neg)

    def __pos__(self) -> Series:
        return self


def coordinate(value: Tensor, axis: int, jets: Jets) -> Series:
    """The coordinate number `axis` itself: its value, slope one, and nothing above."""
    ones = torch.ones((1,) * value.ndim, dtype=value.dtype, device=value.device)
    slopes = {i: c * ones for i, c in jets.slopes(axis).items()}
    return Series({0: value, **slopes}, jets)


Rule = Callable[..., Any]

RULES: dict[str, Rule] = {}
"""What stands in for a torch operation, by its name."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Make a function the rule of the torch operations of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def apply(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """`func` on arguments of which at least one is a series: by its rule, or by nested autograd."""
    name = func.__name__
    if name.endswith("_") and not name.endswith("__"):
        raise SeriesError(f"{name} works in place, which a Taylor series cannot: use {name[:-1]}")
    if name == "__setitem__":
        raise SeriesError("a Taylor series cannot be written into a tensor: use torch.cat or stack")
    found = RULES.get(name.strip("_"))
    if found is not None:
        return found(*args, **kwargs)
    return by_nested_autograd(func, args, kwargs)


def scale(tensor: Tensor, factor: float) -> Tensor:
    return tensor if factor == 1 else factor * tensor


def total(terms: Sequence[Tensor]) -> Tensor:
    return reduce(torch.add, terms)


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

    def image(*steps: Tensor) -> Tensor:
        moved = [_polynomial(a, steps) if isinstance(a, Series) else a for a in leaves]
        plain_args, plain_kwargs = tree_unflatten(moved, structure)
        result = func(*plain_args, **plain_kwargs)
        if not isinstance(result, Tensor):
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


def _polynomial(z: Series, steps: Sequence[Tensor]) -> Tensor:
    """A polynomial with the same jets: Σ z_i ε^(monomial i)."""
    return total(
        [
            c * math.prod(s**d for s, d in zip(steps, z.jets.monomials[i], strict=True) if d)
            for i, c in z.coefficients.items()
        ]
    )


def _derivative(func: Callable[..., Tensor], index: MultiIndex) -> Callable[..., Tensor]:
    for axis, degree in enumerate(index):
        for _ in range(degree):
            func = _slope(func, axis)
    return func


def _slope(func: Callable[..., Tensor], axis: int) -> Callable[..., Tensor]:
    def slope(*steps: Tensor) -> Tensor:
        def moved(step: Tensor) -> Tensor:
            return func(*steps[:axis], step, *steps[axis + 1 :])

        return torch.func.jvp(moved, (steps[axis],), (torch.ones_like(steps[axis]),))[1]

    return slope
