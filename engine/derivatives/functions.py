"""Elementwise functions, each by its own Taylor coefficients F_k = F^(k)(z_0) / k!"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from pinn.engine.derivatives.jets import Jets
from pinn.engine.derivatives.operations import add, as_pair, multiply, products, reflected
from pinn.engine.derivatives.series import Coefficients, Series, rule, scale, total

Function = Callable[[Tensor], Tensor]
TaylorCoefficients = list[Tensor | None]
"""F_k, k = 0, 1, …; None is zero."""


def compose(z: Series, outer: TaylorCoefficients) -> Series:
    """F(z) = Σ F_k n^k with n = z − z_0, a finite sum because n is nilpotent."""
    base, *factors = outer
    assert base is not None
    power = rest = {i: c for i, c in z.coefficients.items() if i}
    terms: dict[int, list[Tensor]] = {}
    for factor in factors:
        for i, c in power.items():
            if factor is not None:
                terms.setdefault(i, []).append(factor * c)
        power = _times_nilpotent(power, rest, z.jets)
    return Series({0: base} | {i: total(terms[i]) for i in sorted(terms)}, z.jets)


def _times_nilpotent(a: Coefficients, b: Coefficients, jets: Jets) -> Coefficients:
    """The product of two series without value; a square takes each product of two channels once."""
    found: Coefficients = {}
    for i, table in enumerate(jets.products):
        if a is b:
            inside = [(j, k, c if j == k else 2 * c) for j, k, c in table if j in a and k in a]
            terms = [scale(a[j] * a[k], factor) for j, k, factor in inside]
        else:
            terms = products(a, b, table)
        if terms:
            found[i] = total(terms)
    return found


def elementwise(coefficients: Callable[..., TaylorCoefficients]) -> Callable[..., Series]:
    """The rule of an elementwise function from `coefficients(z_0, degree, …) -> [F_0, …, F_degree]`."""

    def rule(z: Series, *options: Any, **named: Any) -> Series:
        return compose(z, coefficients(z.value, max(z.jets.degree, 1), *options, **named))

    return rule


def _riccati(value: Tensor, degree: int, constant: float, slope: float) -> TaylorCoefficients:
    """F' = constant + slope F − F²: (k+1) F_{k+1} = constant δ_k0 + slope F_k − Σ F_i F_{k−i}."""
    f = [value]
    for k in range(degree):
        halves = combinations_with_replacement(range(k + 1), 2)
        squared = total([scale(f[i] * f[j], 1 + (i != j)) for i, j in halves if i + j == k])
        right = -squared if not slope else slope * f[k] - squared
        f.append(scale(right + constant if k == 0 and constant else right, 1 / (k + 1)))
    return list(f)


@rule("tanh")
@elementwise
def tanh(z: Tensor, degree: int) -> TaylorCoefficients:
    return _riccati(torch.tanh(z), degree, constant=1.0, slope=0.0)


@rule("sigmoid")
@elementwise
def sigmoid(z: Tensor, degree: int) -> TaylorCoefficients:
    return _riccati(torch.sigmoid(z), degree, constant=0.0, slope=1.0)


@rule("exp")
@elementwise
def exp(z: Tensor, degree: int) -> TaylorCoefficients:
    value = torch.exp(z)
    return [scale(value, 1 / math.factorial(k)) for k in range(degree + 1)]


@elementwise
def wave(z: Tensor, degree: int, value: Function, slope: Function, sign: int) -> TaylorCoefficients:
    """F'' = ± F: the derivatives are F, F', ± F, ± F', F, …"""
    pair = (value(z), slope(z))
    signs = [sign ** (k // 2) for k in range(degree + 1)]
    return [scale(pair[k % 2], s / math.factorial(k)) for k, s in enumerate(signs)]


sin = rule("sin")(partial(wave, value=torch.sin, slope=torch.cos, sign=-1))
cos = rule("cos")(partial(wave, value=torch.cos, slope=lambda z: -torch.sin(z), sign=-1))
sinh = rule("sinh")(partial(wave, value=torch.sinh, slope=torch.cosh, sign=1))
cosh = rule("cosh")(partial(wave, value=torch.cosh, slope=torch.sinh, sign=1))


@rule("log")
@elementwise
def log(z: Tensor, degree: int) -> TaylorCoefficients:
    inverse = torch.reciprocal(z)
    return [torch.log(z), *((-1) ** (k - 1) / k * inverse**k for k in range(1, degree + 1))]


@elementwise
def real_power(z: Tensor, degree: int, exponent: Any, value: Function) -> TaylorCoefficients:
    """F = z^p: F_k = F_{k−1} (p − k + 1) / (k z)."""
    inverse = torch.reciprocal(z)
    f = [value(z)]
    for k in range(1, degree + 1):
        f.append((exponent - k + 1) / k * f[-1] * inverse)
    return list(f)


reciprocal = rule("reciprocal")(partial(real_power, exponent=-1.0, value=torch.reciprocal))
sqrt = rule("sqrt")(partial(real_power, exponent=0.5, value=torch.sqrt))
rsqrt = rule("rsqrt")(partial(real_power, exponent=-0.5, value=torch.rsqrt))


@rule("pow")
def power(z: Any, exponent: Any) -> Series:
    if isinstance(exponent, Series):
        base, exponent = as_pair(z, exponent)
        return exp(multiply(exponent, log(base)))
    if not isinstance(exponent, Tensor) and exponent == int(exponent) and exponent >= 0:
        return natural_power(z, int(exponent))
    return real_power(z, exponent, lambda value: torch.pow(value, exponent))


rule("rpow")(reflected(power))


@elementwise
def natural_power(z: Tensor, degree: int, exponent: int) -> TaylorCoefficients:
    """F = z^p: F_k = (p over k) z^(p−k), defined at z = 0 too."""
    highest = min(degree, exponent)
    f = [scale(z ** (exponent - k), math.comb(exponent, k)) for k in range(highest + 1)]
    return f + [None] * (degree - highest)


square = rule("square")(partial(natural_power, exponent=2))


@rule("erf")
@elementwise
def erf(z: Tensor, degree: int) -> TaylorCoefficients:
    """F' = g = 2/√π exp(−z²), and g' = −2 z g."""
    g = [2 / math.sqrt(math.pi) * torch.exp(-z * z)]
    for k in range(degree - 1):
        g.append(-2 / (k + 1) * (z * g[k] + (g[k - 1] if k else 0)))
    return [torch.erf(z), *(scale(c, 1 / (k + 1)) for k, c in enumerate(g))]


@rule("atan", "arctan")
@elementwise
def atan(z: Tensor, degree: int) -> TaylorCoefficients:
    """F' = g with (1 + z²) g = 1."""
    inverse = torch.reciprocal(1 + z * z)
    g = [inverse]
    for k in range(1, degree):
        g.append(-inverse * (2 * z * g[k - 1] + (g[k - 2] if k > 1 else 0)))
    return [torch.atan(z), *(scale(c, 1 / (k + 1)) for k, c in enumerate(g))]


@rule("atan2", "arctan2")
def atan2(y: Any, x: Any) -> Series:
    """atan2(y₀, x₀) + atan w: w is the tangent of the angle between (x, y) and (x₀, y₀)."""
    y0, x0 = (each.value if isinstance(each, Series) else each for each in (y, x))
    turned: Any = torch.atan((y * x0 - x * y0) / (x * x0 + y * y0))
    return Series({**turned.coefficients, 0: torch.atan2(y0, x0)}, turned.jets)


@rule("softplus")
@elementwise
def softplus(
    z: Tensor, degree: int, beta: float = 1.0, threshold: float = 20.0
) -> TaylorCoefficients:
    """F' = sigmoid(β z)."""
    slope = _riccati(torch.sigmoid(beta * z), degree - 1, constant=0.0, slope=1.0)
    base = torch.nn.functional.softplus(z, beta, threshold)
    return [base, *(scale(c, beta**k / (k + 1)) for k, c in enumerate(slope) if c is not None)]


@rule("relu")
@elementwise
def relu(z: Tensor, degree: int, inplace: bool = False) -> TaylorCoefficients:
    return [torch.relu(z), (z > 0).to(z.dtype)] + [None] * (degree - 1)


@rule("abs", "absolute")
def absolute(z: Series) -> Series:
    if not z.dtype.is_complex:
        return modulus_of_real(z)
    real, imaginary = z.real, z.imag
    return sqrt(add(multiply(real, real), multiply(imaginary, imaginary)))


@elementwise
def modulus_of_real(z: Tensor, degree: int) -> TaylorCoefficients:
    return [torch.abs(z), torch.sign(z)] + [None] * (degree - 1)


@rule("leaky_relu")
@elementwise
def leaky_relu(
    z: Tensor, degree: int, negative_slope: float = 0.01, inplace: bool = False
) -> TaylorCoefficients:
    slope = torch.where(z > 0, 1.0, torch.full_like(z, negative_slope))
    return [torch.nn.functional.leaky_relu(z, negative_slope), slope] + [None] * (degree - 1)


@elementwise
def exponential_unit(z: Tensor, degree: int, alpha: float, rate: float) -> TaylorCoefficients:
    """α (exp(z / rate) − 1) below 0, z above."""
    below = alpha * torch.exp(torch.clamp(z, max=0) / rate)
    slopes = [scale(below, rate**-k / math.factorial(k)) for k in range(1, degree + 1)]
    above = [1.0] + [0.0] * (degree - 1)
    return [
        torch.where(z > 0, z, alpha * torch.expm1(torch.clamp(z, max=0) / rate)),
        *(torch.where(z > 0, a, s) for a, s in zip(above, slopes, strict=True)),
    ]


@rule("elu")
def elu(z: Series, alpha: float = 1.0, inplace: bool = False) -> Series:
    return exponential_unit(z, alpha, 1.0)


@rule("celu")
def celu(z: Series, alpha: float = 1.0, inplace: bool = False) -> Series:
    return exponential_unit(z, alpha, alpha)


@rule("selu")
def selu(z: Series, inplace: bool = False) -> Series:
    return multiply(exponential_unit(z, 1.6732632423543772, 1.0), 1.0507009873554805)


@rule("mish")
def mish(z: Series, inplace: bool = False) -> Series:
    return multiply(z, tanh(softplus(z)))


@rule("logsigmoid", "log_sigmoid")
def log_sigmoid(z: Series) -> Series:
    return -softplus(-z)


@rule("silu")
def silu(z: Series, inplace: bool = False) -> Series:
    return multiply(z, sigmoid(z))


@rule("gelu")
def gelu(z: Series, *, approximate: str = "none") -> Series:
    if approximate == "tanh":
        inner = multiply(add(z, multiply(power(z, 3), 0.044715)), math.sqrt(2 / math.pi))
        return multiply(multiply(z, add(tanh(inner), 1.0)), 0.5)
    return multiply(multiply(z, add(erf(multiply(z, math.sqrt(0.5))), 1.0)), 0.5)


@rule("layer_norm")
def layer_norm(
    z: Series, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Series:
    """In parts, because torch's own is wrong from the second forward-mode derivative on."""
    dims = tuple(range(-len(shape), 0))
    centred = z - z.mean(dims, keepdim=True)
    normal = centred * rsqrt((centred * centred).mean(dims, keepdim=True) + eps)
    scaled = normal if weight is None else normal * weight
    return scaled if bias is None else scaled + bias
