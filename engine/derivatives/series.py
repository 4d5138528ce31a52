"""Truncated Taylor series, and how a torch operation on them finds its rule, or does without."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from pinn.core.errors import out_of_memory
from pinn.core.tracebacks import first_line
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
        if any(getattr(kind, "waits", False) for kind in types):
            return NotImplemented
        return apply(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name in OF_THE_VALUE:
            return getattr(self.value, name)
        method = None if name.startswith("__") else getattr(Tensor, name, None)
        if not callable(method):
            raise AttributeError(f"a Taylor series has no attribute {name!r}")
        return lambda *args, **kwargs: apply(method, (self, *args), kwargs)

    @property
    def real(self) -> Any:
        return apply(torch.real, (self,), {})

    @property
    def imag(self) -> Any:
        return apply(torch.imag, (self,), {})

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
    """An operation without a rule, by nested differentiation.

    The series becomes a polynomial z(ε), and u_α = D^α f(z(ε)) / α! at ε = 0.

    Raises:
        SeriesError: torch cannot differentiate it as often.
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
    taylor = _taylor_coefficients(name, image, origin, wanted)
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


OfStep = Callable[[Tensor], Tensor]
"""A function of a number."""


def _taylor_coefficients(
    name: str, image: Callable[..., Tensor], origin: Sequence[Tensor], wanted: Sequence[MultiIndex]
) -> dict[MultiIndex, Tensor]:
    image(*origin)  # what fails by itself fails for a reason of its own
    # torch's second derivatives by forward mode are wrong for det, solve and others, without a word
    once = max(map(sum, wanted)) < 2
    ways = (_forward, _recorded, _reverse) if once else (_recorded, _reverse, _forward)
    keeps_graph = torch.is_grad_enabled()
    refusals = []
    for way in ways:
        try:
            with torch.enable_grad() if way is _recorded else nullcontext():
                found = {index: _derivative(image, index, way)(*origin) for index in wanted}
            return {
                index: (value if keeps_graph else value.detach()) / factorial(index)
                for index, value in found.items()
            }
        except (NotImplementedError, RuntimeError) as error:
            if out_of_memory(error):
                raise
            refusals.append(error)
    raise SeriesError(
        f"torch.{name} has no Taylor rule, and torch itself cannot differentiate it as often as the "
        f"equations ask for: {first_line(refusals[0])}; write it in other operations of torch"
    ) from refusals[0]


def _derivative(
    func: Callable[..., Tensor], index: MultiIndex, way: Callable[[OfStep, Tensor], Tensor]
) -> Callable[..., Tensor]:
    for axis, degree in enumerate(index):
        for _ in range(degree):
            func = _slope(func, axis, way)
    return func


def _slope(
    func: Callable[..., Tensor], axis: int, way: Callable[[OfStep, Tensor], Tensor]
) -> Callable[..., Tensor]:
    def slope(*steps: Tensor) -> Tensor:
        return way(lambda step: func(*steps[:axis], step, *steps[axis + 1 :]), steps[axis])

    return slope


def _forward(func: OfStep, step: Tensor) -> Tensor:
    return torch.func.jvp(func, (step,), (torch.ones_like(step),))[1]


def _reverse(func: OfStep, step: Tensor) -> Tensor:
    """f' as the derivative of w ↦ w·f', which is linear in w: reverse mode twice."""
    value, pullback, *_ = torch.func.vjp(func, step)
    _, of_pullback, *_ = torch.func.vjp(lambda w: pullback(w)[0], torch.zeros_like(value))
    found: Tensor = of_pullback(torch.ones_like(step))[0]
    return found


def _recorded(func: OfStep, step: Tensor) -> Tensor:
    """The same for what torch.func cannot transform."""
    step = step + torch.zeros_like(step).requires_grad_()
    value = func(step)
    w = torch.zeros_like(value).requires_grad_()
    (pulled,) = torch.autograd.grad(value, step, w, create_graph=True, materialize_grads=True)
    (found,) = torch.autograd.grad(pulled, w, create_graph=True, materialize_grads=True)
    return found
