"""Taylor series that answer to the usual torch operations.

A `Series` stands for a smooth function of the coordinates near each collocation point, truncated to the
jets that the equations look at (see `jets.py`). Coordinates that enter a network as series leave it with
all wanted derivatives, exact to rounding, after one forward pass (Griewank & Walther, *Evaluating
Derivatives*, 2nd ed., chapter 13).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pinn.core.jets import Functional, Jets, MultiIndex, below, factorial

Coefficients = dict[int, torch.Tensor]


class SeriesError(TypeError):
    """A torch operation that cannot be applied to a Taylor series."""


class UnknownOperation(UserWarning):
    """An operation without a Taylor rule was differentiated by nested autograd."""


class Series:
    """One function of the coordinates, near every point.

    Args:
        coefficients: {channel: tensor}; an absent channel is zero; all broadcast to the value's shape.
        jets: what the channels mean and how they multiply.
    """

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
        method = None if name.startswith("__") else getattr(torch.Tensor, name, None)
        if not callable(method):
            raise AttributeError(f"a Taylor series has no attribute {name!r}")
        return lambda *args, **kwargs: apply(method, (self, *args), kwargs)

    @property
    def value(self) -> torch.Tensor:
        """The function itself at each point."""
        return self.coefficients[0]

    def read(self, functional: Functional) -> torch.Tensor:
        """Σ a_α D^α u at each point, in the shape of the value."""
        terms = [
            self.coefficients[i] if factor == 1 else factor * self.coefficients[i]
            for i, factor in self.jets.weights(functional).items()
            if i in self.coefficients
        ]
        return total(terms).expand(self.shape) if terms else torch.zeros_like(self.value)

    def map(self, func: Callable[[torch.Tensor], Any]) -> Series:
        """Apply a linear function to every coefficient."""
        return Series({i: func(c) for i, c in self.coefficients.items()}, self.jets)

    @property
    def shape(self) -> torch.Size:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.value.dtype

    @property
    def device(self) -> torch.device:
        return self.value.device

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return self.ndim

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

    def __add__(self, other: Any) -> Series:
        return add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Series:
        return add(self, -other)

    def __rsub__(self, other: Any) -> Series:
        return add(-self, other)

    def __mul__(self, other: Any) -> Series:
        return multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Series:
        return divide(self, other)

    def __rtruediv__(self, other: Any) -> Series:
        return divide(other, self)

    def __pow__(self, exponent: Any) -> Series:
        return power(self, exponent)

    def __rpow__(self, base: Any) -> Series:
        return power(base, self)

    def __abs__(self) -> Series:
        return absolute(self)

    def __gt__(self, other: Any) -> Any:
        return apply(torch.gt, (self, other), {})

    def __lt__(self, other: Any) -> Any:
        return apply(torch.lt, (self, other), {})

    def __ge__(self, other: Any) -> Any:
        return apply(torch.ge, (self, other), {})

    def __le__(self, other: Any) -> Any:
        return apply(torch.le, (self, other), {})

    def __eq__(self, other: Any) -> Any:
        return apply(torch.eq, (self, other), {})

    def __ne__(self, other: Any) -> Any:
        return apply(torch.ne, (self, other), {})

    __hash__ = object.__hash__

    def __matmul__(self, other: Any) -> Series:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Series:
        return matmul(other, self)


def coordinate(value: torch.Tensor, axis: int, jets: Jets) -> Series:
    """The coordinate number `axis` itself: its value, slope one, and nothing above."""
    ones = torch.ones((1,) * value.ndim, dtype=value.dtype, device=value.device)
    slopes = {i: c * ones for i, c in jets.slopes(axis).items()}
    return Series({0: value, **slopes}, jets)


def apply(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """`func` on arguments of which at least one is a series: by its rule, or by nested autograd."""
    name = func.__name__
    if name.endswith("_") and not name.endswith("__"):
        raise SeriesError(f"{name} works in place, which a Taylor series cannot: use {name[:-1]}")
    if name == "__setitem__":
        raise SeriesError("a Taylor series cannot be written into a tensor: use torch.cat or stack")
    rule = RULES.get(name.strip("_"))
    if rule is not None:
        return rule(*args, **kwargs)
    if name in LINEAR and not any(isinstance(a, Series) for a in (*args[1:], *kwargs.values())):
        return linear(func, *args, **kwargs)
    return by_nested_autograd(func, args, kwargs)


# --- the algebra of series


def constant(value: Any, like: Series) -> Series:
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return Series({0: tensor}, like.jets)


def as_pair(a: Any, b: Any) -> tuple[Series, Series]:
    if not isinstance(a, Series):
        return constant(a, b), b
    return a, b if isinstance(b, Series) else constant(b, a)


def add(a: Any, b: Any, *, alpha: Any = 1) -> Series:
    a, b = as_pair(a, b if alpha == 1 else alpha * b)
    summed = dict(a.coefficients)
    for i, c in b.coefficients.items():
        summed[i] = summed[i] + c if i in summed else c
    return Series(summed, a.jets)


def subtract(a: Any, b: Any, *, alpha: Any = 1) -> Series:
    return add(a, -b, alpha=alpha)


def multiply(a: Any, b: Any, times: Callable[..., torch.Tensor] = torch.mul) -> Series:
    """The product rule, read off the table of the jets."""
    if not isinstance(b, Series):
        return a.map(lambda c: times(c, b))
    if not isinstance(a, Series):
        return b.map(lambda c: times(a, c))
    x, y = a.coefficients, b.coefficients
    found: Coefficients = {0: times(x[0], y[0])}
    for i, table in enumerate(a.jets.products[1:], start=1):
        pairs = [(0, i, 1.0), *table]
        terms = [
            scale(times(x[left], y[right]), factor)
            for j, k, factor in pairs
            for left, right in ([(j, k)] if j == k else [(j, k), (k, j)])
            if left in x and right in y
        ]
        if terms:
            found[i] = total(terms)
    return Series(found, a.jets)


def divide(a: Any, b: Any, *, rounding_mode: str | None = None) -> Series:
    if rounding_mode is not None:
        raise SeriesError("a rounded quotient has no Taylor series")
    return multiply(reciprocal(b), a) if isinstance(b, Series) else a.map(lambda c: c / b)


def matmul(a: Any, b: Any) -> Series:
    a = rows(a) if isinstance(a, Series) else a
    b = b.map(lambda c: c.expand(b.shape)) if isinstance(b, Series) else b
    return multiply(a, b, torch.matmul)


def rows(z: Series) -> Series:
    """`z` with every coefficient in the shape of the value, but for one row where all rows agree."""

    def expanded(c: torch.Tensor) -> torch.Tensor:
        agree = z.ndim > 1 and c.ndim == z.ndim and c.shape[0] == 1
        return c.expand(1, *z.shape[1:]) if agree else c.expand(z.shape)

    return z.map(expanded)


def addmm(bias: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Series:
    return add(multiply(matmul(a, b), alpha), bias if beta == 1 else beta * bias)


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


def einsum(equation: str, *operands: Any) -> Series:
    """Linear in each operand: with one series among them it maps every coefficient."""
    places = [i for i, operand in enumerate(operands) if isinstance(operand, Series)]
    if len(places) != 1:
        return by_nested_autograd(torch.einsum, (equation, *operands), {})
    before, z, after = operands[: places[0]], operands[places[0]], operands[places[0] + 1 :]
    return z.map(lambda c: torch.einsum(equation, *before, c.expand(z.shape), *after))


def linear(func: Callable[..., Any], z: Series, *args: Any, **kwargs: Any) -> Any:
    """An operation that is linear in `z` maps every coefficient by itself."""
    images = {i: func(c.expand(z.shape), *args, **kwargs) for i, c in z.coefficients.items()}
    if not isinstance(images[0], (tuple, list)):
        return Series(images, z.jets)
    pieces = range(len(images[0]))
    return tuple(Series({i: image[p] for i, image in images.items()}, z.jets) for p in pieces)


def join(func: Callable[..., torch.Tensor]) -> Callable[..., Series]:
    """The rule of `torch.cat` and `torch.stack`."""

    def joined(parts: Sequence[Any], dim: int = 0) -> Series:
        like = next(part for part in parts if isinstance(part, Series))
        series = [part if isinstance(part, Series) else constant(part, like) for part in parts]
        channels = sorted({i for part in series for i in part.coefficients})
        return Series({i: func(_alike(series, i, dim), dim) for i in channels}, like.jets)

    return joined


def _alike(parts: Sequence[Series], channel: int, dim: int) -> list[torch.Tensor]:
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


def scale(tensor: torch.Tensor, factor: float) -> torch.Tensor:
    return tensor if factor == 1 else factor * tensor


def total(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return reduce(torch.add, terms)


# --- elementwise functions, each by its own Taylor coefficients F_k = F^(k)(z_0) / k!


def compose(z: Series, outer: Sequence[torch.Tensor | None]) -> Series:
    """F(z) = Σ F_k n^k with n = z − z_0, a finite sum because n is nilpotent."""
    base, first, *higher = outer
    assert base is not None
    slope = {i: c for i, c in z.coefficients.items() if i}
    found: Coefficients = {0: base}
    terms: dict[int, list[torch.Tensor]] = {}
    rest, power_of_rest = slope, slope
    for factor in (first, *higher):
        for i, c in power_of_rest.items():
            if factor is not None:
                terms.setdefault(i, []).append(factor * c)
        power_of_rest = _times_nilpotent(power_of_rest, rest, z.jets)
    found |= {i: total(terms[i]) for i in sorted(terms)}
    return Series(found, z.jets)


def _times_nilpotent(a: Coefficients, b: Coefficients, jets: Jets) -> Coefficients:
    """The product of two series without value."""
    found: Coefficients = {}
    for i, table in enumerate(jets.products):
        terms = []
        for j, k, factor in table:
            if j != k and a is b and j in a and k in a:
                terms.append(scale(a[j] * a[k], 2 * factor))
                continue
            for left, right in [(j, k)] if j == k else [(j, k), (k, j)]:
                if left in a and right in b:
                    terms.append(scale(a[left] * b[right], factor))
        if terms:
            found[i] = total(terms)
    return found


def elementwise(
    coefficients: Callable[[torch.Tensor, int], list[torch.Tensor | None]],
) -> Callable[..., Series]:
    """The rule of an elementwise function from `coefficients(z_0, degree) -> [F_0, …, F_degree]`."""

    def rule(z: Series) -> Series:
        return compose(z, coefficients(z.value, max(z.jets.degree, 1)))

    return rule


def _riccati(
    value: torch.Tensor, degree: int, constant: float, slope: float
) -> list[torch.Tensor | None]:
    """F' = constant + slope F − F²: (k+1) F_{k+1} = constant δ_k0 + slope F_k − Σ F_i F_{k−i}."""
    f = [value]
    for k in range(degree):
        halves = combinations_with_replacement(range(k + 1), 2)
        squared = total([scale(f[i] * f[j], 1 + (i != j)) for i, j in halves if i + j == k])
        right = -squared if not slope else slope * f[k] - squared
        f.append(scale(right + constant if k == 0 and constant else right, 1 / (k + 1)))
    return list(f)


@elementwise
def tanh(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return _riccati(torch.tanh(z), degree, constant=1.0, slope=0.0)


@elementwise
def sigmoid(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return _riccati(torch.sigmoid(z), degree, constant=0.0, slope=1.0)


@elementwise
def exp(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    value = torch.exp(z)
    return [scale(value, 1 / math.factorial(k)) for k in range(degree + 1)]


@elementwise
def sin(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return _circular(torch.sin(z), torch.cos(z), degree)


@elementwise
def cos(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return _circular(torch.cos(z), -torch.sin(z), degree)


def _circular(value: torch.Tensor, slope: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    signs = (1, 1, -1, -1)
    pair = (value, slope)
    return [scale(pair[k % 2], signs[k % 4] / math.factorial(k)) for k in range(degree + 1)]


@elementwise
def log(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    inverse = torch.reciprocal(z)
    return [torch.log(z), *((-1) ** (k - 1) / k * inverse**k for k in range(1, degree + 1))]


def _power_rule(
    exponent: Any, value: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[..., Series]:
    """F = z^p: F_k = F_{k−1} (p − k + 1) / (k z)."""

    @elementwise
    def rule(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
        inverse = torch.reciprocal(z)
        f = [value(z)]
        for k in range(1, degree + 1):
            f.append((exponent - k + 1) / k * f[-1] * inverse)
        return list(f)

    return rule


reciprocal = _power_rule(-1.0, torch.reciprocal)
sqrt = _power_rule(0.5, torch.sqrt)
rsqrt = _power_rule(-0.5, torch.rsqrt)


def power(z: Any, exponent: Any) -> Series:
    if isinstance(exponent, Series):
        base, exponent = as_pair(z, exponent)
        return exp(multiply(exponent, log(base)))
    if not isinstance(exponent, torch.Tensor) and exponent == int(exponent) and exponent >= 0:
        return _natural_power(int(exponent))(z)
    return _power_rule(exponent, lambda value: torch.pow(value, exponent))(z)


def _natural_power(exponent: int) -> Callable[..., Series]:
    """F = z^p: F_k = (p over k) z^(p−k), defined at z = 0 too."""

    @elementwise
    def rule(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
        highest = min(degree, exponent)
        f = [scale(z ** (exponent - k), math.comb(exponent, k)) for k in range(highest + 1)]
        return f + [None] * (degree - highest)

    return rule


square = _natural_power(2)


@elementwise
def erf(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    """F' = g = 2/√π exp(−z²), and g' = −2 z g."""
    g = [2 / math.sqrt(math.pi) * torch.exp(-z * z)]
    for k in range(degree - 1):
        g.append(-2 / (k + 1) * (z * g[k] + (g[k - 1] if k else 0)))
    return [torch.erf(z), *(scale(c, 1 / (k + 1)) for k, c in enumerate(g))]


@elementwise
def atan(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    """F' = g with (1 + z²) g = 1."""
    inverse = torch.reciprocal(1 + z * z)
    g = [inverse]
    for k in range(1, degree):
        g.append(-inverse * (2 * z * g[k - 1] + (g[k - 2] if k > 1 else 0)))
    return [torch.atan(z), *(scale(c, 1 / (k + 1)) for k, c in enumerate(g))]


def softplus(z: Series, beta: float = 1.0, threshold: float = 20.0) -> Series:
    """F' = sigmoid(β z)."""

    @elementwise
    def rule(value: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
        slope = _riccati(torch.sigmoid(beta * value), degree - 1, constant=0.0, slope=1.0)
        base = torch.nn.functional.softplus(value, beta, threshold)
        return [base, *(scale(c, beta**k / (k + 1)) for k, c in enumerate(slope) if c is not None)]

    return rule(z)


def relu(z: Series, inplace: bool = False) -> Series:
    return ramp(z)


@elementwise
def ramp(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return [torch.relu(z), (z > 0).to(z.dtype)] + [None] * (degree - 1)


@elementwise
def absolute(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    return [torch.abs(z), torch.sign(z)] + [None] * (degree - 1)


def silu(z: Series, inplace: bool = False) -> Series:
    return multiply(z, sigmoid(z))


def gelu(z: Series, *, approximate: str = "none") -> Series:
    if approximate == "tanh":
        inner = multiply(add(z, multiply(power(z, 3), 0.044715)), math.sqrt(2 / math.pi))
        return multiply(multiply(z, add(tanh(inner), 1.0)), 0.5)
    return multiply(multiply(z, add(erf(multiply(z, math.sqrt(0.5))), 1.0)), 0.5)


@elementwise
def sinh(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    pair = (torch.sinh(z), torch.cosh(z))
    return [scale(pair[k % 2], 1 / math.factorial(k)) for k in range(degree + 1)]


@elementwise
def cosh(z: torch.Tensor, degree: int) -> list[torch.Tensor | None]:
    pair = (torch.cosh(z), torch.sinh(z))
    return [scale(pair[k % 2], 1 / math.factorial(k)) for k in range(degree + 1)]


def layer_norm(
    z: Series, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Series:
    """In parts, because torch's own is wrong from the second forward-mode derivative on."""
    dims = tuple(range(-len(shape), 0))
    centred = z - z.mean(dims, keepdim=True)
    normal = centred * rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    scaled = normal if weight is None else normal * weight
    return scaled if bias is None else scaled + bias


# --- everything else


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
    wanted = sorted({lower for row in jets.rows for index in row for lower in below(index)})
    taylor = {index: _derivative(image, index)(*origin) / factorial(index) for index in wanted}
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


def on_values(func: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of an operation that looks at values only: comparisons, shapes."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        plain = [a.value if isinstance(a, Series) else a for a in args]
        return func(*plain, **kwargs)

    return rule


def constant_like(func: Callable[..., torch.Tensor]) -> Callable[..., Series]:
    """The rule of `torch.zeros_like` and `torch.ones_like`."""
    return lambda z, **kwargs: constant(func(z.value, **kwargs), z)


LINEAR = frozenset(
    # Everything that maps each coefficient by itself.
    """
    chunk clone contiguous cumsum detach double expand expand_as flatten flip float gather index_select
    mean movedim narrow neg negative permute positive repeat reshape roll select split squeeze sum t
    tensor_split tile to transpose unbind unflatten unsqueeze
    """.split()
)

RULES: dict[str, Callable[..., Any]] = {
    "add": add,
    "radd": add,
    "sub": subtract,
    "subtract": subtract,
    "rsub": lambda a, b, *, alpha=1: subtract(b, a, alpha=alpha),
    "mul": multiply,
    "multiply": multiply,
    "rmul": multiply,
    "div": divide,
    "divide": divide,
    "true_divide": divide,
    "truediv": divide,
    "rdiv": lambda a, b: divide(b, a),
    "rtruediv": lambda a, b: divide(b, a),
    "pow": power,
    "rpow": lambda a, b: power(b, a),
    "view": lambda z, *shape: linear(torch.Tensor.reshape, z, *shape),
    "matmul": matmul,
    "mm": matmul,
    "rmatmul": lambda a, b: matmul(b, a),
    "addmm": addmm,
    "linear": dense,
    "einsum": einsum,
    "cat": join(torch.cat),
    "concat": join(torch.cat),
    "concatenate": join(torch.cat),
    "stack": join(torch.stack),
    "where": where,
    "abs": absolute,
    "absolute": absolute,
    "arctan": atan,
    "atan": atan,
    "cos": cos,
    "cosh": cosh,
    "erf": erf,
    "exp": exp,
    "gelu": gelu,
    "layer_norm": layer_norm,
    "log": log,
    "reciprocal": reciprocal,
    "relu": relu,
    "rsqrt": rsqrt,
    "sigmoid": sigmoid,
    "silu": silu,
    "sin": sin,
    "sinh": sinh,
    "softplus": softplus,
    "sqrt": sqrt,
    "square": square,
    "tanh": tanh,
    **{
        name: on_values(getattr(torch, name))
        for name in ["gt", "lt", "ge", "le", "eq", "ne", "sign"]
    },
    **{name: constant_like(getattr(torch, name)) for name in ["zeros_like", "ones_like"]},
}
