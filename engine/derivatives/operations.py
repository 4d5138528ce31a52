"""Rules of arithmetic, linear maps and joins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pinn.engine.derivatives.series import (
    Coefficients,
    Rule,
    Series,
    SeriesError,
    apply,
    by_nested_autograd,
    rule,
    scale,
    total,
)


def reflected(function: Rule) -> Rule:
    """The rule of an operation that takes its two operands the other way round."""
    return lambda a, b, **named: function(b, a, **named)


def constant(value: Any, like: Series) -> Series:
    dtype = like.dtype
    if isinstance(value, complex) or (isinstance(value, Tensor) and value.is_complex()):
        dtype = torch.promote_types(dtype, torch.complex32)
    tensor = torch.as_tensor(value, dtype=dtype, device=like.device)
    return Series({0: tensor}, like.jets)


def as_pair(a: Any, b: Any) -> tuple[Series, Series]:
    if not isinstance(a, Series):
        return constant(a, b), b
    return a, b if isinstance(b, Series) else constant(b, a)


@rule("add", "radd")
def add(a: Any, b: Any, *, alpha: Any = 1) -> Series:
    a, b = as_pair(a, b if alpha == 1 else alpha * b)
    summed = dict(a.coefficients)
    for i, c in b.coefficients.items():
        summed[i] = summed[i] + c if i in summed else c
    return Series(summed, a.jets)


@rule("sub", "subtract")
def subtract(a: Any, b: Any, *, alpha: Any = 1) -> Series:
    return add(a, -b, alpha=alpha)


@rule("mul", "multiply", "rmul")
def multiply(a: Any, b: Any) -> Series:
    return product(a, b, torch.mul)


def product(a: Any, b: Any, times: Callable[..., Tensor]) -> Series:
    """The product rule, read off the table of the jets."""
    if not isinstance(b, Series):
        return a.map(lambda c: times(c, b))
    if not isinstance(a, Series):
        return b.map(lambda c: times(a, c))
    x, y = a.coefficients, b.coefficients
    found: Coefficients = {0: times(x[0], y[0])}
    for i, table in enumerate(a.jets.products[1:], start=1):
        if terms := products(x, y, [(0, i, 1.0), *table], times):
            found[i] = total(terms)
    return Series(found, a.jets)


def products(
    x: Coefficients,
    y: Coefficients,
    table: Iterable[tuple[int, int, float]],
    times: Callable[..., Tensor] = torch.mul,
) -> list[Tensor]:
    """c x_j y_k and c x_k y_j (once where j = k) for each (j, k, c) of the table, but the zeros."""
    return [
        scale(times(x[left], y[right]), factor)
        for j, k, factor in table
        for left, right in ([(j, k)] if j == k else [(j, k), (k, j)])
        if left in x and right in y
    ]


@rule("div", "divide", "true_divide", "truediv")
def divide(a: Any, b: Any, *, rounding_mode: str | None = None) -> Series:
    if rounding_mode is not None:
        raise SeriesError("a rounded quotient has no Taylor series")
    if isinstance(b, Series):
        return multiply(apply(torch.reciprocal, (b,), {}), a)
    return a.map(lambda c: c / b)


@rule("matmul", "mm")
def matmul(a: Any, b: Any) -> Series:
    a = rows(a) if isinstance(a, Series) else a
    b = b.map(lambda c: c.expand(b.shape)) if isinstance(b, Series) else b
    return product(a, b, torch.matmul)


def rows(z: Series) -> Series:
    """`z` with every coefficient in the shape of the value, but for one row where all rows agree."""

    def expanded(c: Tensor) -> Tensor:
        agree = z.ndim > 1 and c.ndim == z.ndim and c.shape[0] == 1
        return c.expand(1, *z.shape[1:]) if agree else c.expand(z.shape)

    return z.map(expanded)


rule("rsub")(reflected(subtract))
rule("rdiv", "rtruediv")(reflected(divide))
rule("rmatmul")(reflected(matmul))


@rule("addmm")
def addmm(bias: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Series:
    return add(multiply(matmul(a, b), alpha), bias if beta == 1 else beta * bias)


@rule("linear")
def dense(z: Any, weight: Any, bias: Any = None) -> Series:
    """`torch.nn.functional.linear`: a matrix product for every coefficient, the bias on the value."""
    if not isinstance(z, Series) or isinstance(weight, Series) or isinstance(bias, Series):
        return by_nested_autograd(torch.nn.functional.linear, (z, weight, bias), {})
    return Series(
        {
            i: torch.nn.functional.linear(c, weight, None if i else bias)
            for i, c in rows(z).coefficients.items()
        },
        z.jets,
    )


@rule("einsum")
def einsum(equation: str, *operands: Any) -> Series:
    """Linear in each operand: with one series among them it maps every coefficient."""
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Series)]
    if len(places) != 1:
        return by_nested_autograd(torch.einsum, (equation, *operands), {})
    before, z, after = operands[: places[0]], operands[places[0]], operands[places[0] + 1 :]
    return z.map(lambda c: torch.einsum(equation, *before, c.expand(z.shape), *after))


def linear(func: Callable[..., Any], z: Series, *args: Any, **kwargs: Any) -> Any:
    """An operation that is linear in `z` maps every coefficient by itself."""
    if any(isinstance(other, Series) for other in (*args, *kwargs.values())):
        return by_nested_autograd(func, (z, *args), kwargs)
    images = {i: func(c.expand(z.shape), *args, **kwargs) for i, c in z.coefficients.items()}
    if not isinstance(images[0], (tuple, list)):
        return Series(images, z.jets)
    pieces = range(len(images[0]))
    return tuple(Series({i: image[p] for i, image in images.items()}, z.jets) for p in pieces)


def join(func: Callable[..., Tensor]) -> Callable[..., Series]:
    """The rule of `torch.cat` and `torch.stack`."""

    def joined(parts: Sequence[Any], dim: int = 0) -> Series:
        like = next(part for part in parts if isinstance(part, Series))
        series = [part if isinstance(part, Series) else constant(part, like) for part in parts]
        channels = sorted({i for part in series for i in part.coefficients})
        return Series({i: func(_alike(series, i, dim), dim) for i in channels}, like.jets)

    return joined


rule("cat", "concat", "concatenate")(join(torch.cat))
rule("stack")(join(torch.stack))


def _alike(parts: Sequence[Series], channel: int, dim: int) -> list[Tensor]:
    """One coefficient of each part, expanded no further than joining along `dim` needs.

    Slopes of coordinates are the same at every point: they stay one row, which keeps the first layer
    of a network almost free.
    """
    found = [
        part.coefficients.get(channel, torch.zeros((), dtype=part.dtype, device=part.device))
        for part in parts
    ]
    along_points = dim % max(parts[0].ndim, 1) == 0
    same_everywhere = all(c.ndim == 0 or c.shape[0] == 1 for c in found) and not along_points
    return [
        c.expand((1, *part.shape[1:]) if same_everywhere else part.shape)
        for c, part in zip(found, parts, strict=True)
    ]


@rule("complex")
def complex_number(real: Any, imaginary: Any) -> Series:
    a, b = as_pair(real, imaginary)
    return add(a, multiply(b, 1j))


@rule("where")
def where(condition: Any, a: Any, b: Any) -> Series:
    if isinstance(condition, Series) or not (isinstance(a, Series) or isinstance(b, Series)):
        raise SeriesError("torch.where takes a plain condition: compare values first")
    a, b = as_pair(a, b)
    zero = torch.zeros((), dtype=a.dtype, device=a.device)
    return Series(
        {
            i: torch.where(condition, a.coefficients.get(i, zero), b.coefficients.get(i, zero))
            for i in sorted(a.coefficients.keys() | b.coefficients.keys())
        },
        a.jets,
    )


def on_values(func: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of an operation that looks at values only: comparisons, shapes."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        plain = [a.value if isinstance(a, Series) else a for a in args]
        return func(*plain, **kwargs)

    return rule


def constant_like(func: Callable[..., Tensor]) -> Callable[..., Series]:
    """The rule of `torch.zeros_like` and `torch.ones_like`."""
    return lambda z, **kwargs: constant(func(z.value, **kwargs), z)


LINEAR = """
    chunk clone conj contiguous cumsum detach double expand expand_as flatten flip float gather
    imag index_select mean movedim narrow neg negative permute positive real repeat reshape roll select
    split squeeze sum t tensor_split tile to transpose unbind unflatten unsqueeze
    """
VALUES_ONLY = """
    gt lt ge le eq ne sign isfinite isnan is_complex is_floating_point numel
    new_empty new_full new_ones new_tensor new_zeros
    """
CONSTANTS = "zeros_like ones_like"

for _name in LINEAR.split():
    of_tensors = getattr(torch if _name in ("imag", "real") else Tensor, _name)
    rule(_name)(partial(linear, of_tensors))
for _name in VALUES_ONLY.split():
    rule(_name)(on_values(getattr(Tensor, _name)))
rule("bucketize")(on_values(torch.bucketize))
for _name in CONSTANTS.split():
    rule(_name)(constant_like(getattr(torch, _name)))
rule("view")(partial(linear, Tensor.reshape))  # an expanded coefficient has no view
