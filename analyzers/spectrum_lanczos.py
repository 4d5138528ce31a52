"""Spectra of matrices that are known by their products with vectors only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Array = NDArray[np.float64]
Product = Callable[[Array], Array]

EPS = float(np.finfo(np.float64).eps)
CONVERGED = 1e-3
"""A Ritz pair is an eigenpair once its residual is this small relative to its value, whose error is then
of second order in it."""


@frozen
class Ritz:
    """Approximate eigenpairs of A, descending.

    Attributes:
        values: θ, (m,).
        vectors: orthonormal rows y, (m, n).
        residuals: ‖A y − θ y‖, (m,); an eigenvalue lies that near to θ.
        weights: (start · y)², (m,): of the Gauss quadrature startᵀ f(A) start ≈ Σ weight f(θ).
    """

    values: Array
    vectors: Array
    residuals: Array
    weights: Array


def lanczos(product: Product, start: Array, steps: int, apart: Array | None = None) -> Ritz:
    """Ritz pairs of a symmetric A in the Krylov space of `start`, by Lanczos' method.

    Every vector is orthogonalised against all before it, twice. Fewer than `steps` pairs where the
    Krylov space is smaller.

    Args:
        product: v → A v, (n,).
        start: (n,), not normalised.
        apart: orthonormal rows (k, n), eigenvectors of A; everything stays orthogonal to them.
    """
    size = len(start)
    basis = np.empty((0, size)) if apart is None else apart
    known = len(basis)
    diagonal: list[float] = []
    beside: list[float] = []
    rest, scale = _without(start, basis), float(np.linalg.norm(start))
    norm = length = float(np.linalg.norm(rest))
    while len(diagonal) < steps and len(basis) < size and norm > size * EPS * scale:
        basis = np.vstack([basis, rest / norm])
        image = product(basis[-1])
        diagonal.append(float(basis[-1] @ image))
        rest = _without(image, basis)
        norm = float(np.linalg.norm(rest))
        beside.append(norm)
        scale = max(map(abs, diagonal + beside[:-1]))
    if not diagonal:
        return Ritz(np.empty(0), np.empty((0, size)), np.empty(0), np.empty(0))
    tridiagonal = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, inner = (found[..., ::-1] for found in np.linalg.eigh(tridiagonal))
    vectors, residuals = inner.T @ basis[known:], beside[-1] * np.abs(inner[-1])
    return Ritz(values, vectors, residuals, (length * inner[0]) ** 2)


def _without(vector: Array, basis: Array) -> Array:
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    return vector


@frozen
class Estimate:
    """A spectrum of n eigenvalues as far as it is known.

    Attributes:
        leading: the largest eigenvalues, converged, descending.
        values: of all eigenvalues: the leading ones and nodes that stand for the others.
        multiplicities: how many eigenvalues each value stands for; a fraction for a node.
    """

    leading: Array
    values: Array
    multiplicities: Array


def estimate(
    product: Product, starts: Array, steps: int, trace: float, resolution: float
) -> Estimate:
    """The spectrum of a positive semidefinite A (n, n) by stochastic Lanczos quadrature.

    Σ_i f(λ_i) ≈ Σ multiplicity f(value). The leading eigenpairs come from the first start vector and
    count once each; what is orthogonal to them is estimated from the others, so that the noise of the
    estimate is that of the tail alone, and is scaled to the trace.

    Args:
        product: v → A v, (n,).
        starts: (1 + vectors, n) random signs.
        steps: products per start vector.
        trace: of A, exact.
        resolution: relative error of a product; eigenvalues that it blurs do not count as leading.

    Ubaru, Chen & Saad, SIAM J. Matrix Anal. Appl. 38(4), 2017; deflation as in Hutch++, Meyer, Musco,
    Musco & Woodruff, SOSA 2021.
    """
    first = lanczos(product, starts[0], steps)
    blurred = first.residuals + resolution * first.values[0]
    converged = blurred <= CONVERGED * first.values
    count = len(converged) if converged.all() else int(converged.argmin())
    leading = first.values[:count]
    tails = [lanczos(product, start, steps, first.vectors[:count]) for start in starts[1:]]
    nodes = np.concatenate([tail.values for tail in tails]).clip(0)
    shares = np.concatenate([tail.weights for tail in tails]) / len(tails)
    mass = float(nodes @ shares)
    if mass > 0:
        shares = shares * max(trace - float(leading.sum()), 0.0) / mass
    return Estimate(
        leading, np.concatenate([leading, nodes]), np.concatenate([np.ones(count), shares])
    )
