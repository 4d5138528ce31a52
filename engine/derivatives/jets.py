"""Which derivatives must be carried through the network, and how they multiply.

Allen-Cahn's equation u_t − ν u_xx + 5u³ − 5u = 0 looks at u and at one combination of derivatives,
u_t − ν u_xx. The product rule of that combination needs u_x besides, and nothing else:
three numbers a neuron, {u, u_x, u_t − ν u_xx}, instead of the four derivatives by themselves.

In general, near a point u(x + ε) = Σ u_α ε^α with u_α = D^α u / α!, and an equation sees u only through
a few linear functionals ℓ(u) = Σ c_α u_α. What must be carried is the smallest space V of functionals
that contains them and is closed under the product rule. It is spanned by all contractions
ε^γ ⌟ ℓ = Σ c_α δ_{α−γ} (Macaulay's inverse system). For the Laplacian this is the "forward Laplacian"
(Li et al. 2024, Nature Machine Intelligence 6), and when every derivative is asked for by itself it is
the ordinary truncated Taylor series.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement, product

from attrs import field, frozen

MultiIndex = tuple[int, ...]
Functional = Mapping[MultiIndex, float]
"""Σ a_α D^α u, as {α: a_α}."""
Row = dict[MultiIndex, Fraction]
"""Σ c_α u_α of Taylor coefficients, as {α: c_α}."""


@frozen
class Jets:
    """A finite-dimensional quotient of the algebra of Taylor series.

    Channel i carries v_i(u). Channel 0 is the value, and v_i(ε^{monomials[j]}) = 1 if i = j else 0.

    Attributes:
        monomials: one exponent per channel.
        rows: v_i as {α: coefficient of u_α}, one per channel.
        products: for each channel i > 0 the terms (j, k, c) with 0 < j ≤ k of
            (ab)_i = a_0 b_i + a_i b_0 + Σ c (a_j b_k + a_k b_j)   (once where j = k).
        degree: the highest power of a series without value that does not vanish.
    """

    monomials: tuple[MultiIndex, ...]
    rows: tuple[Row, ...] = field(repr=False)
    products: tuple[tuple[tuple[int, int, float], ...], ...] = field(repr=False)
    degree: int

    def slopes(self, axis: int) -> dict[int, float]:
        """The coordinate number `axis`, as a series, minus its value: {channel: constant}."""
        step = tuple(int(i == axis) for i in range(len(self.monomials[0])))
        return {i: float(row[step]) for i, row in enumerate(self.rows) if row.get(step)}

    def weights(self, functional: Functional) -> dict[int, float]:
        """`functional` as a combination of the channels: {channel: factor}.

        Raises:
            KeyError: it is not in the space that the jets carry.
        """
        wanted = _taylor(functional)
        factors = {i: wanted[m] for i, m in enumerate(self.monomials) if wanted.get(m)}
        combined: Row = {}
        for i, factor in factors.items():
            _add(combined, self.rows[i], factor)
        if combined != wanted:
            raise KeyError(functional)
        return {i: float(factor) for i, factor in factors.items()}


def jets(requests: Iterable[Functional]) -> Jets:
    """The smallest jets from which every requested functional can be read.

    >>> jets([{(0, 1): 1.0, (2, 0): -0.1}]).monomials  # u_t - 0.1 u_xx: u, u_t - 0.1 u_xx, u_x
    ((0, 0), (0, 1), (1, 0))
    """
    return _jets(frozenset(tuple(sorted(request.items())) for request in requests))


@lru_cache(maxsize=256)
def _jets(requests: frozenset[tuple[tuple[MultiIndex, float], ...]]) -> Jets:
    generated = []
    for request in requests:
        functional = _taylor(dict(request))
        shifts = {lower for index in functional for lower in below(index)}
        generated += [_contract(functional, shift) for shift in sorted(shifts)]
    echelon = _reduced_echelon(generated)
    monomials = tuple(sorted(echelon, key=_graded))
    rows = tuple(echelon[monomial] for monomial in monomials)
    return Jets(
        monomials=monomials,
        rows=rows,
        products=tuple(_products(row, monomials) for row in rows),
        degree=max(sum(index) for row in rows for index in row),
    )


def below(index: MultiIndex) -> Iterable[MultiIndex]:
    """Every β ≤ `index`, componentwise, `index` itself included."""
    return product(*(range(degree + 1) for degree in index))


def factorial(index: MultiIndex) -> int:
    """α! = Π α_i!"""
    return math.prod(math.factorial(degree) for degree in index)


def _graded(index: MultiIndex) -> tuple[int, MultiIndex]:
    return sum(index), index


def _taylor(functional: Functional) -> Row:
    """Σ a_α D^α u in terms of Taylor coefficients; fractions make every later rank decision exact."""
    return {index: Fraction(a) * factorial(index) for index, a in functional.items() if a}


def _contract(functional: Row, shift: MultiIndex) -> Row:
    return {
        tuple(map(operator.sub, index, shift)): c
        for index, c in functional.items()
        if all(map(operator.ge, index, shift))
    }


def _add(to: Row, row: Row, factor: Fraction) -> None:
    for index, c in row.items():
        total = to.pop(index, Fraction(0)) + factor * c
        if total:
            to[index] = total


def _reduced_echelon(vectors: Iterable[Row]) -> dict[MultiIndex, Row]:
    """{pivot: row}: each row is 1 at its own pivot and 0 at the others; pivots of low degree first."""
    echelon: dict[MultiIndex, Row] = {}
    for vector in vectors:
        rest = dict(vector)
        for pivot, row in echelon.items():
            _add(rest, row, -rest.get(pivot, Fraction(0)))
        if not rest:
            continue
        pivot = min(rest, key=_graded)
        scaled = {index: c / rest[pivot] for index, c in rest.items()}
        for row in echelon.values():
            _add(row, scaled, -row.get(pivot, Fraction(0)))
        echelon[pivot] = scaled
    return echelon


def _products(row: Row, monomials: tuple[MultiIndex, ...]) -> tuple[tuple[int, int, float], ...]:
    terms = []
    for j, k in combinations_with_replacement(range(1, len(monomials)), 2):
        total = tuple(a + b for a, b in zip(monomials[j], monomials[k], strict=True))
        if row.get(total):
            terms.append((j, k, float(row[total])))
    return tuple(terms)
