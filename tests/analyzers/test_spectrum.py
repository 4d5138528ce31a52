"""The tangent kernel of the residuals: brute force, exact against Lanczos, and degenerate spectra."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from torch import Tensor

from pinn.analyzers import spectrum, spectrum_jacobian
from pinn.analyzers.spectrum import (
    Spectrum,
    effective_rank,
    eigenvalue_measures,
    interdependence,
    kernel,
    kernel_product,
    kernel_trace,
)
from pinn.analyzers.spectrum_lanczos import estimate, lanczos
from pinn.core.plots import Curves, Drawing
from pinn.core.records import Records
from pinn.engine import Config
from pinn.engine.training.ready import prepare
from pinn.plugins.weightings.vanilla import Vanilla

Array = NDArray[np.float64]
MakeCase = Callable[..., Any]
MakeConfig = Callable[..., Config]

SPECTRA = st.lists(st.floats(0, 1e6), min_size=1, max_size=30).map(
    lambda found: np.sort(np.array(found))[::-1]
)


def brute_force(case: Any, points: Tensor) -> Array:
    """J, a row (equation, point) by nested autograd; every parameter in one column."""
    rows = []
    for residual in case.residuals(points).ravel():
        slopes = torch.autograd.grad(
            residual, case.parameters, retain_graph=True, materialize_grads=True
        )
        rows.append(torch.cat([s.ravel() for s in slopes]).numpy())
    return np.array(rows)


def view_of(residual_function: Any, parameters: Any, points: Tensor, seed: int = 0) -> Any:
    return SimpleNamespace(
        residual_function=residual_function,
        parameters={f"p{i}": p.detach() for i, p in enumerate(parameters)},
        points=SimpleNamespace(interior=points),
        generator=lambda name: torch.Generator().manual_seed(seed),
    )


def view_of_case(case: Any) -> Any:
    objective = case.objective(Vanilla())
    return view_of(objective.interior_residuals, case.parameters, case.points.interior)


def linear_view(matrix: Array, seed: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """Residuals J θ of one equation; its points are the rows of J."""
    rows = torch.as_tensor(matrix).to(dtype)
    unknowns = torch.zeros(rows.shape[1], dtype=dtype)
    return view_of(
        lambda parameters, points: (points @ parameters[0])[None], (unknowns,), rows, seed
    )


def factor(values: Array, seed: int) -> Array:
    """J with J Jᵀ of these eigenvalues."""
    generator = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(generator.standard_normal((len(values), len(values))))
    return turned * np.sqrt(values)


# --- the kernel


@given(st.integers(0, 50), st.integers(1, 12))
@settings(max_examples=6)
def test_kernel_against_a_jacobian_by_brute_force(
    make_case: MakeCase, seed: int, count: int
) -> None:
    case = make_case(seed, count)
    network = case.objective(Vanilla()).interior_residuals, case.parameters, case.points.interior
    rows = brute_force(case, case.points.interior)
    expected = rows @ rows.T
    scale = np.abs(expected).max()
    # `kernel` has the equations of a point together, `brute_force` the points of an equation.
    order = np.arange(2 * count).reshape(2, count).T.ravel()
    np.testing.assert_allclose(kernel(*network), expected[order][:, order], atol=1e-10 * scale)
    assert kernel_trace(*network) == pytest.approx(np.trace(expected), rel=1e-10)
    vector = np.random.default_rng(seed).standard_normal(2 * count)
    np.testing.assert_allclose(
        kernel_product(*network)(vector), expected @ vector, atol=1e-10 * count * scale
    )


def test_pieces_do_not_matter(make_case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(0, 13)
    network = case.objective(Vanilla()).interior_residuals, case.parameters, case.points.interior
    vector = np.random.default_rng(0).standard_normal(26)
    whole = kernel(*network), kernel_trace(*network), kernel_product(*network)(vector)
    monkeypatch.setattr(spectrum_jacobian, "PIECE", 500)
    monkeypatch.setattr(spectrum, "POINTS", 5)
    pieces = kernel(*network), kernel_trace(*network), kernel_product(*network)(vector)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(
    ("network", "precision"), [("mlp", "float32"), ("modified-mlp", "float64")]
)
def test_on_real_networks(make_config: MakeConfig, network: str, precision: str) -> None:
    config = make_config(
        {"name": "allen-cahn"}, network={"name": network}, run={"precision": precision}
    )
    _, objective, _ = prepare(config)
    parameters = objective.parameters
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(30, 2, generator=generator).to(parameters[0])
    view = view_of(objective.interior_residuals, parameters, points)
    exact, quick = Spectrum().measure(view), Spectrum(exact=0).measure(view)
    for name in ("ntk.trace", "ntk.largest", "ntk.effective_rank"):
        assert quick[name] == pytest.approx(exact[name], rel=1e-3), name
    assert all(p.grad is None for p in parameters)


# --- the analyzer


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_the_analyzer_against_the_definition(make_case: MakeCase, seed: int) -> None:
    case = make_case(seed)
    found = Spectrum().measure(view_of_case(case))
    singular = np.linalg.svd(brute_force(case, case.points.interior), compute_uv=False)
    expected = singular**2
    scale = expected[0]
    np.testing.assert_allclose(found["ntk.eigenvalues"], expected, atol=1e-12 * scale)
    assert found["ntk.trace"] == pytest.approx(expected.sum(), rel=1e-10)
    assert found["ntk.largest"] == pytest.approx(scale, rel=1e-10)
    assert found["ntk.smallest"] == pytest.approx(expected[-1], abs=1e-12 * scale)
    shares = expected / expected.sum()
    naive = math.exp(-sum(p * math.log(p) for p in shares if p > 0))
    assert found["ntk.effective_rank"] == pytest.approx(naive, rel=1e-9)
    if expected[-1] > 1e-9 * scale:
        assert found["ntk.condition_number"] == pytest.approx(scale / expected[-1], rel=1e-4)
        assert found["ntk.numerical_rank"] == len(expected)


def test_a_subset_is_spread_evenly(make_case: MakeCase) -> None:
    case = make_case(1, 13)
    view = view_of_case(case)
    found = Spectrum(points=4).measure(view)
    chosen = case.points.interior[[0, 3, 6, 9]]
    singular = np.linalg.svd(brute_force(case, chosen), compute_uv=False)
    np.testing.assert_allclose(found["ntk.eigenvalues"], singular**2, atol=1e-12 * singular[0] ** 2)


@pytest.mark.parametrize("count", [0, 13, 256])
def test_all_points(make_case: MakeCase, count: int) -> None:
    found = Spectrum(points=count).measure(view_of_case(make_case(1, 13)))
    assert found["ntk.eigenvalues"].shape == (26,)


@given(st.integers(0, 100), st.floats(1e-3, 1e3))
@settings(max_examples=10)
def test_the_scale_of_the_residuals(seed: int, scale: float) -> None:
    matrix = np.random.default_rng(seed).standard_normal((6, 9))
    one, other = (Spectrum().measure(linear_view(m)) for m in (matrix, scale * matrix))
    for name in ("ntk.trace", "ntk.largest", "ntk.smallest"):
        assert other[name] == pytest.approx(scale**2 * one[name], rel=1e-9)
    for name in ("ntk.condition_number", "ntk.effective_rank", "ntk.numerical_rank"):
        assert other[name] == pytest.approx(one[name], rel=1e-9)


@given(st.integers(0, 100), st.randoms())
@settings(max_examples=10)
def test_the_order_of_points_and_of_parameters_does_not_matter(seed: int, shuffler: Any) -> None:
    matrix = np.random.default_rng(seed).standard_normal((6, 9))
    rows, columns = shuffler.sample(range(6), 6), shuffler.sample(range(9), 9)
    one = Spectrum().measure(linear_view(matrix))
    other = Spectrum().measure(linear_view(matrix[rows][:, columns]))
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-9)


@given(st.integers(0, 100), st.integers(2, 4))
@settings(max_examples=10)
def test_points_that_come_several_times_add_zeros(seed: int, times: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((5, 9))
    one = Spectrum().measure(linear_view(matrix))
    found = Spectrum().measure(linear_view(np.tile(matrix, (times, 1))))
    assert found["ntk.largest"] == pytest.approx(times * one["ntk.largest"])
    assert found["ntk.effective_rank"] == pytest.approx(one["ntk.effective_rank"])
    assert found["ntk.numerical_rank"] == 5
    assert found["ntk.condition_number"] == math.inf
    assert 0 <= found["ntk.smallest"] <= 1e-12 * found["ntk.largest"]


def test_more_rows_than_parameters_are_singular() -> None:
    found = Spectrum().measure(linear_view(np.random.default_rng(0).standard_normal((9, 4))))
    assert found["ntk.condition_number"] == math.inf
    assert found["ntk.numerical_rank"] == 4


def test_rows_that_are_orthogonal() -> None:
    found = Spectrum().measure(linear_view(2 * np.eye(7)))
    assert found["ntk.effective_rank"] == pytest.approx(7)
    assert found["ntk.condition_number"] == pytest.approx(1)
    assert found["ntk.trace"] == pytest.approx(28)


@pytest.mark.parametrize("exact", [0, 1024])
def test_one_row(exact: int) -> None:
    found = Spectrum(exact=exact).measure(linear_view(np.array([[3.0, 4.0]])))
    assert found["ntk.largest"] == pytest.approx(25)
    assert found["ntk.effective_rank"] == pytest.approx(1)
    assert found["ntk.condition_number"] == pytest.approx(1)


@pytest.mark.parametrize("exact", [0, 1024])
def test_residuals_that_no_parameter_changes(exact: int) -> None:
    found = Spectrum(exact=exact, steps=4).measure(linear_view(np.zeros((4, 3))))
    assert found["ntk.trace"] == found["ntk.largest"] == found["ntk.numerical_rank"] == 0
    assert found["ntk.condition_number"] == math.inf
    assert math.isnan(found["ntk.effective_rank"])


@pytest.mark.parametrize("exact", [0, 1024])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_not_measured(tmp_path: Path, exact: int, bad: float) -> None:
    matrix = np.eye(4)
    matrix[2, 1] = bad
    found = Spectrum(exact=exact).measure(linear_view(matrix))
    assert all(np.isnan(value).all() for value in found.values())
    assert len(found["ntk.eigenvalues"]) == (20 if exact == 0 else 4)
    records = Records(tmp_path / "metrics.jsonl")
    records.append(1, found)
    assert not list(Spectrum().figures(records))


def test_products_that_would_overflow_are_not_measured() -> None:
    found = Spectrum(exact=0).measure(linear_view(1e19 * np.eye(9), dtype=torch.float32))
    assert math.isnan(found["ntk.largest"])
    exact = Spectrum().measure(linear_view(1e19 * np.eye(9), dtype=torch.float32))
    assert exact["ntk.largest"] == pytest.approx(1e38)


# --- interdependence


def naive_interdependence(matrix: Array, equations: int) -> dict[str, float]:
    """Of the kernel of J, point by point."""
    rows = [(row // equations, j) for row, j in enumerate(matrix)]
    shared = math.fsum(abs(a @ b) for i, a in rows for k, b in rows if i != k)
    cosines = [
        abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
        for i, a in rows for k, b in rows if i != k and a.any() and b.any()
    ]  # fmt: skip
    return {
        "ntk.off_diagonal": shared / math.fsum(abs(a @ b) for _, a in rows for _, b in rows),
        "ntk.cosine": math.fsum(cosines) / len(cosines),
    }


@given(st.integers(0, 100), st.integers(2, 5), st.integers(1, 3), st.floats(1e-150, 1e140))
def test_interdependence_against_a_naive_loop(
    seed: int, points: int, equations: int, scale: float
) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((points * equations, 4))
    found = interdependence(matrix @ matrix.T, equations)
    assert found == pytest.approx(naive_interdependence(matrix, equations))
    assert all(0 <= value <= 1 for value in found.values())
    assert interdependence(scale * (matrix @ matrix.T), equations) == pytest.approx(found)
    lengths = generator.uniform(0.1, 10, len(matrix))[:, None]
    scaled = interdependence((lengths * matrix) @ (lengths * matrix).T, equations)
    assert scaled["ntk.cosine"] == pytest.approx(found["ntk.cosine"])
    blank = np.zeros((equations, 4))  # a point that no parameter moves
    more = np.vstack([matrix, blank])
    assert interdependence(more @ more.T, equations) == pytest.approx(found)


@given(st.integers(2, 12), st.integers(1, 3))
def test_interdependence_of_independent_and_of_equal_points(count: int, equations: int) -> None:
    rows = count * equations
    # The equations of a point may be as alike as they please.
    apart = np.kron(np.eye(count), np.ones((equations, equations)))
    assert interdependence(apart, equations) == {"ntk.off_diagonal": 0, "ntk.cosine": 0}
    together = interdependence(np.ones((rows, rows)), equations)
    assert together["ntk.off_diagonal"] == pytest.approx(1 - 1 / count)
    assert together["ntk.cosine"] == pytest.approx(1)


def test_random_gradients_are_as_independent_as_the_docstring_says() -> None:
    p, n = 2000, 60
    matrix = np.random.default_rng(0).standard_normal((n, p))
    found = interdependence(matrix @ matrix.T)
    chance = math.sqrt(2 / (math.pi * p))
    assert found["ntk.cosine"] == pytest.approx(chance, rel=0.05)
    share = (n - 1) * chance / (1 + (n - 1) * chance)
    assert found["ntk.off_diagonal"] == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(
    ("kernel_", "equations"),
    [(np.zeros((3, 3)), 1), (np.full((3, 3), math.nan), 1), (np.ones((2, 2)), 2)],
)
def test_interdependence_of_nothing(kernel_: Array, equations: int) -> None:
    assert all(map(math.isnan, interdependence(kernel_, equations).values()))


@given(st.integers(0, 50))
@settings(max_examples=2)
def test_the_analyzer_knows_which_rows_are_of_one_point(make_case: MakeCase, seed: int) -> None:
    case = make_case(seed, 6)
    found = Spectrum().measure(view_of_case(case))
    rows = brute_force(case, case.points.interior)
    by_point = rows[np.arange(12).reshape(2, 6).T.ravel()]
    for name, value in naive_interdependence(by_point, 2).items():
        assert found[name] == pytest.approx(value)
    assert "ntk.cosine" not in Spectrum(exact=0).measure(view_of_case(case))


# --- effective rank


@given(SPECTRA)
def test_effective_rank_is_between_one_and_the_number_of_eigenvalues(values: Array) -> None:
    rank = effective_rank(values)
    if values[0] > 0:
        assert 1 <= rank <= np.count_nonzero(values)
    else:
        assert math.isnan(rank)


@given(SPECTRA, st.integers(1, 4), st.floats(1e-200, 1e200))
def test_identities_of_the_effective_rank(values: Array, times: int, scale: float) -> None:
    values = values + 1e-3
    rank = effective_rank(values)
    assert effective_rank(scale * values) == pytest.approx(rank)
    assert effective_rank(np.tile(values, times)) == pytest.approx(times * rank)
    assert effective_rank(values, np.full(len(values), times)) == pytest.approx(times * rank)
    assert effective_rank(np.append(values, [0, -1e-20])) == pytest.approx(rank)


@given(st.integers(1, 40))
def test_equal_eigenvalues_have_full_rank(count: int) -> None:
    assert effective_rank(np.full(count, 0.3)) == pytest.approx(count)
    assert effective_rank(np.eye(count)[0]) == 1


def test_describe_counts_what_can_be_told_from_zero() -> None:
    values = np.array([1.0, 1e-3, 1e-9, -1e-17])
    found = eigenvalue_measures(values, np.ones(4), 1.0, 1e-6)
    assert found["ntk.numerical_rank"] == 2
    assert found["ntk.smallest"] == 0
    assert found["ntk.condition_number"] == math.inf
    assert eigenvalue_measures(values[:2], np.ones(2), 1.0, 1e-6)["ntk.condition_number"] == 1e3


# --- Lanczos


@given(st.integers(1, 25), st.integers(0, 100))
def test_lanczos_in_the_whole_space_is_exact(size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    half = generator.standard_normal((size, size))
    matrix = half @ half.T
    start = generator.standard_normal(size)
    found = lanczos(lambda v: matrix @ v, start, size)
    scale = np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1], atol=1e-11 * scale)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(size), atol=1e-11)
    assert found.weights.sum() == pytest.approx(start @ start)


@given(st.integers(1, 12), st.integers(0, 100))
def test_residuals_of_ritz_pairs_are_what_they_say(steps: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    half = generator.standard_normal((20, 20))
    matrix = half @ half.T
    found = lanczos(lambda v: matrix @ v, generator.standard_normal(20), steps)
    off = found.vectors @ matrix - found.values[:, None] * found.vectors
    scale = np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(np.linalg.norm(off, axis=1), found.residuals, atol=1e-11 * scale)
    nearest = np.abs(np.linalg.eigvalsh(matrix) - found.values[:, None]).min(1)
    assert (nearest <= found.residuals + 1e-11 * scale).all()


@given(st.integers(1, 6), st.integers(0, 100))
def test_the_quadrature_is_exact_for_polynomials(steps: int, seed: int) -> None:
    """Gauss: startᵀ Aᵏ start, for k < 2 steps."""
    generator = np.random.default_rng(seed)
    matrix = np.diag(generator.uniform(0, 1, 15))
    start = generator.standard_normal(15)
    found = lanczos(lambda v: matrix @ v, start, steps)
    for k in range(2 * steps):
        expected = start @ np.linalg.matrix_power(matrix, k) @ start
        assert found.weights @ found.values**k == pytest.approx(expected, rel=1e-9)


def test_lanczos_stays_apart_from_known_eigenvectors() -> None:
    matrix = np.diag([5.0, 4.0, 3.0, 2.0])
    found = lanczos(lambda v: matrix @ v, np.ones(4), 4, np.eye(4)[:2])
    np.testing.assert_allclose(found.values, [3, 2], atol=1e-12)
    assert found.weights.sum() == pytest.approx(2)
    assert not len(lanczos(lambda v: matrix @ v, np.ones(4), 4, np.eye(4)).values)


def test_lanczos_ends_where_the_krylov_space_does() -> None:
    products: list[Array] = []

    def identity(vector: Array) -> Array:
        products.append(vector)
        return 2 * vector

    found = lanczos(identity, np.arange(1.0, 9.0), 6)
    np.testing.assert_allclose(found.values, [2])
    assert len(products) == 1


DECAYING = st.sampled_from([0.2, 0.5, 0.8, 1.5]).map(lambda rate: np.exp(-rate * np.arange(60.0)))


@given(DECAYING, st.integers(0, 1000))
@settings(max_examples=10)
def test_lanczos_against_the_exact_spectrum(values: Array, seed: int) -> None:
    view = linear_view(factor(values, seed), seed)
    exact, quick = Spectrum().measure(view), Spectrum(exact=0).measure(view)
    assert quick["ntk.trace"] == pytest.approx(exact["ntk.trace"], rel=1e-12)
    assert quick["ntk.largest"] == pytest.approx(exact["ntk.largest"], rel=1e-6)
    assert quick["ntk.effective_rank"] == pytest.approx(exact["ntk.effective_rank"], rel=0.1)
    assert quick["ntk.smallest"] >= exact["ntk.smallest"] - 1e-13
    assert 0 <= quick["ntk.numerical_rank"] <= 60
    leading = quick["ntk.eigenvalues"]
    known = np.isfinite(leading)
    assert leading.shape == (20,)
    assert known.sum() >= 5
    assert known[: known.sum()].all()
    np.testing.assert_allclose(leading[known], values[: known.sum()], rtol=1e-5)


def test_single_precision_blurs_small_eigenvalues() -> None:
    values = np.exp(-0.5 * np.arange(60.0))
    view = linear_view(factor(values, 0), dtype=torch.float32)
    found = Spectrum(exact=0).measure(view)
    leading = found["ntk.eigenvalues"][np.isfinite(found["ntk.eigenvalues"])]
    assert 5 <= len(leading) <= 20  # down to 1e3 times the rounding of float32
    np.testing.assert_allclose(leading, values[: len(leading)], rtol=1e-3)
    assert found["ntk.condition_number"] == math.inf
    expected = effective_rank(values)
    assert found["ntk.effective_rank"] == pytest.approx(expected, rel=1e-2)


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_lanczos_sees_eigenvalues_that_come_several_times(seed: int) -> None:
    """One Krylov space holds one copy; the others are in what is orthogonal to it."""
    values = np.repeat([4.0, 1.0], [10, 30])
    view = linear_view(factor(values, seed), seed)
    found = Spectrum(exact=0, vectors=30).measure(view)
    assert found["ntk.effective_rank"] == pytest.approx(effective_rank(values), rel=0.1)
    assert found["ntk.trace"] == pytest.approx(70)


@given(st.integers(0, 1000))
def test_the_tail_is_estimated_without_bias(seed: int) -> None:
    """Of a spectrum too flat for many eigenvalues to converge."""
    values = 1 / np.arange(1.0, 121.0)
    matrix = np.diag(values)
    starts = np.random.default_rng(seed).choice([-1.0, 1.0], (31, 120))
    turned = factor(np.ones(120), 0)
    found = estimate(lambda v: turned @ (matrix @ (turned.T @ v)), starts, 15, values.sum(), 1e-14)
    assert len(found.leading) < 15
    assert found.multiplicities.sum() == pytest.approx(120, rel=0.2)
    rank = effective_rank(found.values, found.multiplicities)
    assert rank == pytest.approx(effective_rank(values), rel=0.1)


def test_the_same_seed_gives_the_same_estimate() -> None:
    view = linear_view(factor(1 / np.arange(1.0, 61.0), 0))
    one, same = (Spectrum(exact=0, steps=8).measure(view) for _ in range(2))
    for name, value in one.items():
        np.testing.assert_array_equal(same[name], value)


# --- figures


def recorded(path: Path, rows: int, exact: int = 1024) -> Records:
    records = Records(path / "metrics.jsonl")
    for step in range(1, rows + 1):
        values = np.exp(-np.arange(20.0) * (0.1 + step / rows))
        found = Spectrum(exact=exact, steps=6).measure(linear_view(factor(values, step)))
        records.append(100 * step, found)
    return records


@pytest.mark.parametrize("exact", [0, 1024])
@pytest.mark.parametrize("rows", [1, 2, 12])
def test_figures(tmp_path: Path, rows: int, exact: int) -> None:
    from matplotlib.figure import Figure

    records = recorded(tmp_path, rows, exact)
    plots = {plot.name: plot for plot in Spectrum().figures(records)}
    assert list(plots)[:3] == ["ntk-spectrum", "ntk-rank", "ntk-largest"]
    for plot in plots.values():
        assert plot.caption
        if isinstance(plot, Curves):
            assert set(plot.quantities) <= set(records.names)
    drawing = plots["ntk-spectrum"]
    assert isinstance(drawing, Drawing)
    figure = Figure(figsize=(3.4, drawing.height), layout="constrained")
    drawing.draw(figure)
    figure.draw_without_rendering()
    steps = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(steps) == min(rows, 5)
    assert steps[-1] == f"{100 * rows:,}"
    first, last = (records.rows[i]["ntk.effective_rank"] for i in (0, -1))
    assert drawing.title.endswith(f"{first:.1f} → {last:.1f}")


def test_the_condition_number_is_drawn_where_it_is_finite(tmp_path: Path) -> None:
    plots = [plot.name for plot in Spectrum().figures(recorded(tmp_path, 2))]
    assert "ntk-condition" in plots
    singular = Records(tmp_path / "singular.jsonl")
    singular.append(1, Spectrum().measure(linear_view(np.ones((4, 3)))))
    assert singular.last("ntk.condition_number") is None
    assert "ntk-condition" not in [plot.name for plot in Spectrum().figures(singular)]
    assert not list(Spectrum().figures(Records(tmp_path / "none.jsonl")))


def test_options_are_checked() -> None:
    for options in ({"points": -1}, {"exact": -1}, {"steps": 0}, {"vectors": 0}):
        with pytest.raises(ValueError, match=r"at least|between"):
            Spectrum(**options)
