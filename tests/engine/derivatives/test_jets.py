"""The quotient algebra of Taylor series, against brute force in exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import product
from math import factorial, prod

import pytest
from hypothesis import given, settings, strategies as st

from pinn.engine.derivatives.jets import Jets, MultiIndex, jets

many = settings(max_examples=100)

Functional = dict[MultiIndex, float]
Row = Mapping[MultiIndex, Fraction]
Polynomial = dict[MultiIndex, Fraction]

COEFFICIENTS = st.sampled_from([1.0, -1.0, 0.5, 2.0, -3.0, 1e-4, -0.1, 1 / 3, -0.01 / 3.14159, 1e6])


def multi_indices(dimension: int, order: int) -> list[MultiIndex]:
    every = product(range(order + 1), repeat=dimension)
    return [index for index in every if sum(index) <= order]


@st.composite
def requests(draw: st.DrawFn) -> list[Functional]:
    dimension = draw(st.integers(1, 3))
    indices = st.sampled_from(multi_indices(dimension, 4))
    functionals = st.dictionaries(indices, COEFFICIENTS, min_size=1, max_size=3)
    return draw(st.lists(functionals, min_size=1, max_size=4))


def in_taylor_coefficients(functional: Functional) -> dict[MultiIndex, Fraction]:
    return {i: Fraction(a) * prod(map(factorial, i)) for i, a in functional.items()}


def contract(row: Row, shift: MultiIndex) -> dict[MultiIndex, Fraction]:
    lowered = {tuple(a - b for a, b in zip(i, shift, strict=True)): c for i, c in row.items()}
    return {i: c for i, c in lowered.items() if min(i) >= 0}


def rank(rows: Iterable[Row]) -> int:
    """Of a sparse matrix of fractions, by plain elimination."""
    left = [dict(row) for row in rows if row]
    found = 0
    while left:
        pivot_row = left.pop()
        pivot = next(iter(pivot_row))
        found += 1
        reduced = []
        for row in left:
            factor = row.get(pivot, Fraction(0)) / pivot_row[pivot]
            rest = {
                i: row.get(i, Fraction(0)) - factor * pivot_row.get(i, Fraction(0))
                for i in row.keys() | pivot_row.keys()
            }
            reduced.append({i: c for i, c in rest.items() if c})
        left = [row for row in reduced if row]
    return found


def multiplied(a: Polynomial, b: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for (i, c), (j, d) in product(a.items(), b.items()):
        total = tuple(x + y for x, y in zip(i, j, strict=True))
        result[total] = result.get(total, Fraction(0)) + c * d
    return result


def channels(found: Jets, polynomial: Polynomial) -> list[Fraction]:
    """v_i of a polynomial, straight from the rows."""
    return [
        sum((c * polynomial.get(i, Fraction(0)) for i, c in row.items()), Fraction(0))
        for row in found.rows
    ]


@st.composite
def polynomials(draw: st.DrawFn, dimension: int) -> Polynomial:
    whole = st.integers(-5, 5).map(Fraction)
    return {index: draw(whole) for index in multi_indices(dimension, 4)}


@many
@given(requests())
def test_the_rows_are_closed_under_contraction(wanted: list[Functional]) -> None:
    rows = list(jets(wanted).rows)
    dimension = len(next(iter(rows[0])))
    shifted = [contract(row, shift) for row in rows for shift in multi_indices(dimension, 4)]
    assert rank([*rows, *shifted]) == rank(rows) == len(rows)


@many
@given(requests())
def test_the_space_is_no_larger_than_all_contractions_of_the_requests(
    wanted: list[Functional],
) -> None:
    rows = list(jets(wanted).rows)
    dimension = len(next(iter(rows[0])))
    generated = [
        contract(in_taylor_coefficients(functional), shift)
        for functional in wanted
        for shift in multi_indices(dimension, 4)
    ]
    assert rank(generated) == rank([*generated, *rows]) == len(rows)


@many
@given(requests())
def test_monomials_are_a_dual_basis_and_the_first_is_the_value(wanted: list[Functional]) -> None:
    found = jets(wanted)
    for i, row in enumerate(found.rows):
        for j, monomial in enumerate(found.monomials):
            assert row.get(monomial, 0) == (i == j)
    assert found.rows[0] == {(0,) * len(found.monomials[0]): 1}


@many
@given(requests())
def test_weights_reproduce_each_request(wanted: list[Functional]) -> None:
    found = jets(wanted)
    for functional in wanted:
        combined: dict[MultiIndex, float] = {}
        for i, factor in found.weights(functional).items():
            for index, c in found.rows[i].items():
                combined[index] = combined.get(index, 0.0) + factor * float(c)
        expected = in_taylor_coefficients(functional)
        for index in combined.keys() | expected.keys():
            assert combined.get(index, 0.0) == pytest.approx(
                float(expected.get(index, 0)), rel=1e-12, abs=1e-9
            )


def test_weights_of_what_was_not_asked_for_are_an_error() -> None:
    found = jets([{(2, 0): 1.0, (0, 2): 1.0}])
    with pytest.raises(KeyError):
        found.weights({(2, 0): 1.0})
    with pytest.raises(KeyError):
        found.weights({(3, 0): 1.0})


@many
@given(st.data(), st.integers(1, 4))
def test_plain_requests_give_the_ordinary_truncated_series(
    data: st.DataObject, dimension: int
) -> None:
    indices = data.draw(
        st.lists(st.sampled_from(multi_indices(dimension, 4)), min_size=1, max_size=5)
    )
    found = jets([{index: 1.0} for index in indices])
    below = {
        lower
        for lower in multi_indices(dimension, 4)
        if any(all(a <= b for a, b in zip(lower, index, strict=True)) for index in indices)
    }
    assert set(found.monomials) == below
    assert list(found.rows) == [{monomial: 1} for monomial in found.monomials]
    assert found.degree == max(map(sum, indices))


def test_sizes_of_well_known_operators() -> None:
    heat = jets([{(0, 1): 1.0, (2, 0): -0.1}])
    assert heat.monomials == ((0, 0), (0, 1), (1, 0))
    for dimension in range(1, 5):
        unit = [tuple(int(i == j) for j in range(dimension)) for i in range(dimension)]
        laplacian = {tuple(2 * e for e in index): 1.0 for index in unit}
        assert len(jets([laplacian]).monomials) == dimension + 2
    biharmonic = jets([{(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0}])
    # u; u_x, u_y; u_xx, u_xy, u_yy; (Δu)_x, (Δu)_y; Δ²u, instead of the 13 below the three indices
    assert len(biharmonic.monomials) == 9


@pytest.mark.parametrize("nu", [1e-4, 0.1, 1 / 3, 3.3e-17])
def test_coefficients_are_exact(nu: float) -> None:
    found = jets([{(0, 1): 1.0, (2, 0): -nu}])
    assert found.rows[found.monomials.index((0, 1))] == {(0, 1): 1, (2, 0): -2 * Fraction(nu)}
    parallel = [{(0, 1): 1.0, (2, 0): -nu}, {(0, 1): 8.0, (2, 0): -8 * nu}]
    assert jets(parallel) == found
    almost = jets([{(0, 1): 1.0, (2, 0): -nu}, {(0, 1): 1.0, (2, 0): -nu * (1 + 2**-52)}])
    assert len(almost.monomials) == 4


@many
@given(requests())
def test_the_order_of_requests_does_not_matter(wanted: list[Functional]) -> None:
    assert jets(wanted) == jets(reversed(wanted))


@many
@given(st.data(), requests())
def test_the_product_table_is_the_product_of_polynomials(
    data: st.DataObject, wanted: list[Functional]
) -> None:
    found = jets(wanted)
    dimension = len(found.monomials[0])
    p, q = data.draw(polynomials(dimension)), data.draw(polynomials(dimension))
    a, b = channels(found, p), channels(found, q)
    expected = channels(found, multiplied(p, q))
    assert a[0] * b[0] == expected[0]
    for i, table in enumerate(found.products[1:], start=1):
        value = a[0] * b[i] + a[i] * b[0]
        for j, k, c in table:
            assert 0 < j <= k
            both = a[j] * b[k] if j == k else a[j] * b[k] + a[k] * b[j]
            value += Fraction(c) * both
        scale = max(1.0, *(abs(float(x * y)) for x in a for y in b))
        largest = max(1.0, *(abs(c) for _, _, c in table)) if table else 1.0
        assert float(value) == pytest.approx(float(expected[i]), abs=1e-12 * scale * largest)


@many
@given(st.data(), requests())
def test_the_degree_is_the_last_power_that_does_not_vanish(
    data: st.DataObject, wanted: list[Functional]
) -> None:
    found = jets(wanted)
    dimension = len(found.monomials[0])
    origin = (0,) * dimension
    # Unlike primes, so that no combination of their powers vanishes by chance.
    primes = data.draw(st.permutations([2, 3, 5, 7, 11, 13]))
    linear = {
        tuple(int(i == j) for j in range(dimension)): Fraction(primes[i]) for i in range(dimension)
    }
    power: Polynomial = {origin: Fraction(1)}
    for _ in range(found.degree):
        power = multiplied(power, linear)
    assert any(channels(found, power))
    assert not any(channels(found, multiplied(power, linear)))


@many
@given(requests(), st.integers(0, 2))
def test_slopes_are_the_channels_of_the_coordinate(wanted: list[Functional], axis: int) -> None:
    found = jets(wanted)
    dimension = len(found.monomials[0])
    axis %= dimension
    step = {tuple(int(i == axis) for i in range(dimension)): Fraction(1)}
    expected = {i: float(c) for i, c in enumerate(channels(found, step)) if c}
    assert found.slopes(axis) == expected
