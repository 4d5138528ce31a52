"""Relative binning: naive versions, exact invariances, bounds, and what is left of degenerate layers."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, strategies as st
from numpy.typing import NDArray

from pinn.analyzers.compression import Compression, binarisation, layer_measures, saturation
from pinn.analyzers.compression_binning import entropy, mutual_information, positions, symbols
from pinn.core import Box
from pinn.core.plots import Curves, Drawing
from pinn.core.records import Records

Array = NDArray[Any]
BINS = st.sampled_from([1, 2, 3, 7, 30])
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40)


@st.composite
def layers(draw: Callable[..., Any]) -> Array:
    """Activations (points, neurons) of neurons with unlike ranges; some repeat, some are constant."""
    points, neurons = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = generator.standard_normal((points, neurons)) * 10.0 ** generator.uniform(
        -3, 1, neurons
    )
    values[:, generator.random(neurons) < 0.2] = 0.25
    if draw(st.booleans()):
        values = np.tanh(values)
    if draw(st.booleans()):
        values = values[generator.integers(0, points, points)]
    return values.astype(draw(st.sampled_from([np.float32, np.float64])))


def information(values: Array, bins: int) -> float:
    return entropy(symbols(positions(values, bins)))


def every_measure(values: Array, bins: int) -> tuple[float, float]:
    placed = positions(values, bins)
    return entropy(symbols(placed)), saturation(placed)


# --- naive versions


def naive_width(values: Array, bins: int) -> float:
    ranges = [float(max(column)) - float(min(column)) for column in values.T]
    return sum(ranges) / len(ranges) / bins


def naive_entropy(labels: list[Any]) -> float:
    shares = [count / len(labels) for count in Counter(labels).values()]
    return -math.fsum(p * math.log2(p) for p in shares)


def away_from_edges(values: Array, bins: int, margin: float = 1e-4) -> bool:
    """Whether a naive version in other arithmetic must agree."""
    placed = np.abs(positions(values.astype(np.float64), bins))
    ends = placed.max(0)
    halves = np.abs(placed % 1 - 0.5).min() > margin
    last = np.abs(placed - (ends - 1)).min() > margin
    return bool(halves and last and np.abs(2 * ends - 3).min() > margin)


@given(layers(), BINS)
def test_against_a_naive_loop(values: Array, bins: int) -> None:
    values = values.astype(np.float64)
    width = naive_width(values, bins)
    assume(width > 0 and away_from_edges(values, bins))
    rows, near_end = [], 0
    for row in values:
        rows.append(
            tuple(
                round((x - (min(c) + max(c)) / 2) / width)
                for x, c in zip(row.tolist(), values.T.tolist(), strict=True)
            )
        )
    for column in values.T.tolist():
        low, high = min(column), max(column)
        if high - low >= 3 * width:
            near_end += sum(x <= low + width or x >= high - width for x in column)
    assert information(values, bins) == pytest.approx(naive_entropy(rows), abs=1e-12)
    assert saturation(positions(values, bins)) == pytest.approx(100 * near_end / values.size)


@given(LABELS)
def test_entropy_against_a_naive_loop(labels: list[int]) -> None:
    found = entropy(np.array(labels))
    assert found == pytest.approx(naive_entropy(labels), abs=1e-12)
    assert 0 <= found <= math.log2(len(labels))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_mutual_information_against_its_other_form(pairs: list[tuple[int, int]]) -> None:
    """Σ p(a, b) log₂ p(a, b) / (p(a) p(b)), and its bounds and symmetry."""
    first, second = (np.array(part) for part in zip(*pairs, strict=True))
    total = len(pairs)
    alone = Counter(first.tolist()), Counter(second.tolist())
    expected = math.fsum(
        n / total * math.log2(n * total / (alone[0][a] * alone[1][b]))
        for (a, b), n in Counter(pairs).items()
    )
    found = mutual_information(first, second)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 <= found <= min(entropy(first), entropy(second))
    assert found == pytest.approx(mutual_information(second, first), abs=1e-12)


@given(LABELS)
def test_identities_of_mutual_information(labels: list[int]) -> None:
    found = np.array(labels)
    assert mutual_information(found, found) == pytest.approx(entropy(found), abs=1e-12)
    assert mutual_information(found, np.zeros_like(found)) == 0
    assert entropy(np.zeros_like(found)) == 0
    assert entropy(np.arange(len(found))) == math.log2(len(found))
    square = np.array(list(itertools.product(found, found))).T
    assert mutual_information(*square) == pytest.approx(0, abs=1e-12)


# --- invariance


@given(layers(), BINS, st.randoms())
def test_the_order_of_points_and_of_neurons_does_not_matter(
    values: Array, bins: int, shuffler: Any
) -> None:
    points, neurons = (shuffler.sample(range(n), n) for n in values.shape)
    expected = every_measure(values, bins)
    assert every_measure(values[points], bins) == expected
    assert every_measure(values[:, neurons], bins) == expected


@given(layers(), BINS, st.integers(0, 63))
def test_the_signs_of_neurons_do_not_matter(values: Array, bins: int, flips: int) -> None:
    signs = np.array([-1 if flips >> j & 1 else 1 for j in range(values.shape[1])])
    flipped = (values * signs).astype(values.dtype)
    assert every_measure(flipped, bins) == every_measure(values, bins)


@given(layers(), BINS, st.integers(-20, 20))
def test_a_power_of_two_does_not_matter_at_all(values: Array, bins: int, power: int) -> None:
    scaled = np.ldexp(values, power)
    assert every_measure(scaled, bins) == every_measure(values, bins)


@given(layers(), BINS, st.floats(0.01, 100), st.integers(0, 100))
def test_an_affine_map_of_the_layer_does_not_matter(
    values: Array, bins: int, scale: float, seed: int
) -> None:
    """One factor for the layer, as the bin width is common; a shift for each neuron."""
    values = values.astype(np.float64)
    shifts = np.random.default_rng(seed).uniform(-2, 2, values.shape[1])
    assume(naive_width(values, bins) > 0 and away_from_edges(values, bins))
    assert every_measure(scale * values + shifts, bins) == every_measure(values, bins)


@given(layers(), BINS, st.integers(2, 5))
def test_points_that_come_several_times_do_not_matter(values: Array, bins: int, times: int) -> None:
    found = every_measure(np.repeat(values, times, 0), bins)
    assert found == pytest.approx(every_measure(values, bins), abs=1e-12)


@given(layers(), BINS)
def test_neurons_that_come_twice_tell_nothing_new(values: Array, bins: int) -> None:
    twice = np.hstack([values, values])
    assert every_measure(twice, bins) == pytest.approx(every_measure(values, bins), abs=1e-12)


def test_the_bins_are_relative_to_the_layer() -> None:
    """A neuron with a hundredth of the range of another has a hundredth of its bins."""
    x = np.linspace(-1, 1, 1001)
    numbers = np.rint(positions(np.stack([x, 0.01 * x], 1), 30))
    bins = [len(np.unique(column)) for column in numbers.T]
    assert bins == [60 + 1, 1]


# --- bounds and special layers


@given(layers(), BINS, layers(), st.floats(0.01, 2))
def test_bounds(values: Array, bins: int, other: Array, threshold: float) -> None:
    count = min(len(values), len(other))
    values, target = values[:count], symbols(positions(other[:count], bins))
    found = layer_measures(values, target, bins, threshold)
    assert 0 <= found["information_xt"] <= math.log2(count)
    if count > 1:
        assert found["information_kept"] == found["information_xt"] / math.log2(count)
        assert 0 <= found["information_kept"] <= 1
    assert 0 <= found["information_ty"] <= min(found["information_xt"], entropy(target))
    assert 0 <= found["saturation"] <= 100
    assert found["binarisation"] == np.mean([abs(x) >= threshold for x in values.ravel()])
    assert all(type(value) is float for value in found.values())


@given(layers(), BINS)
def test_more_neurons_of_the_same_width_tell_at_least_as_much(values: Array, bins: int) -> None:
    placed = positions(values, bins)
    told = [entropy(symbols(placed[:, :n])) for n in range(1, placed.shape[1] + 1)]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(told))


def test_a_binary_layer_is_saturated() -> None:
    generator = np.random.default_rng(0)
    signs = np.sign(generator.standard_normal((500, 8)))
    assert saturation(positions(signs, 30)) == 100
    assert binarisation(signs, 0.9) == 1
    assert information(signs[:, :1], 30) == pytest.approx(1, abs=0.02)


def test_a_uniform_neuron_is_saturated_in_two_of_its_bins() -> None:
    values = np.linspace(-0.5, 0.5, 100_001)[:, None]
    assert saturation(positions(values, 30)) == pytest.approx(100 * 2 / 30, abs=0.01)
    assert binarisation(values, 0.9) == 0


def test_a_neuron_of_less_than_three_bins_is_not_saturated() -> None:
    signs = np.sign(np.random.default_rng(1).standard_normal((200, 1)))
    layer = np.hstack([signs, 0.05 * signs])
    assert saturation(positions(layer, 30)) == 50
    assert saturation(positions(signs, 2)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 1), (7, 3)])
@pytest.mark.parametrize("value", [0.0, 0.1, -1.0, 1e-310])
def test_a_layer_that_does_not_move(shape: tuple[int, int], value: float) -> None:
    found = layer_measures(np.full(shape, value), np.arange(shape[0]), 30, 0.9)
    assert found.pop("information_kept") == 0 if shape[0] > 1 else True
    moved = {n: found[n] for n in ("information_xt", "information_ty", "saturation")}
    assert moved == {"information_xt": 0, "information_ty": 0, "saturation": 0}


@given(layers(), st.sampled_from([math.nan, math.inf, -math.inf]), st.integers(0, 10**6))
def test_what_is_not_finite_is_not_measured(values: Array, bad: float, place: int) -> None:
    values.flat[place % values.size] = bad
    found = layer_measures(values, np.arange(len(values)), 30, 0.9)
    assert len(found) == 5
    assert all(math.isnan(value) for value in found.values())
    assert math.isnan(saturation(positions(values, 30)))
    with pytest.raises(ValueError, match="not finite"):
        symbols(positions(values, 30))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3,), (2, 2, 2)])
def test_nothing_to_bin(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(points, neurons\).*found shape"):
        positions(np.zeros(shape), 30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranges_that_do_not_fit_a_number(dtype: Any) -> None:
    high = np.finfo(dtype).max
    assert math.isnan(saturation(positions(np.array([[high], [-high]], dtype), 30)))
    assert information(np.array([[high, 0], [0, 1]], dtype), 30) == 1


@pytest.mark.parametrize(("neurons", "bins"), [(1, 30), (11, 330), (100, 1000), (3000, 1000)])
def test_bin_numbers_of_one_two_and_four_bytes(neurons: int, bins: int) -> None:
    """One neuron that moves among many that do not has 30 bins for each of them."""
    layer = np.zeros((1000, neurons))
    layer[:, 0] = np.linspace(0, 1, 1000)
    assert information(layer, 30) == pytest.approx(math.log2(bins), abs=0.05)


def test_whole_numbers_are_activations_too() -> None:
    assert information(np.array([[0], [1], [2], [3]]), 30) == 2


# --- the analyzer


def fake_view(
    activations: dict[str, Array], reference: dict[str, Array] | None = None, **parameters: Any
) -> Any:
    count = len(next(iter(activations.values()), np.zeros((5, 1))))
    return SimpleNamespace(
        activations={name: torch.as_tensor(a) for name, a in activations.items()},
        parameters=parameters,
        points=SimpleNamespace(interior=torch.zeros(count, 2)),
        reference_at_points=reference,
    )


@given(layers(), BINS)
def test_the_analyzer_against_the_functions(values: Array, bins: int) -> None:
    generator = np.random.default_rng(0)
    reference = {"u": generator.standard_normal(len(values)), "v": np.arange(float(len(values)))}
    weight = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    view = fake_view(
        {"layer1": values, "layer2": np.tanh(values)}, reference, w=weight, b=torch.ones(3)
    )
    found = Compression(bins=bins, binary_above=0.5).measure(view)
    fields = [np.rint(positions(field[:, None], bins)).ravel() for field in reference.values()]
    target = list(zip(*fields, strict=True))
    assert found["information_x"] == math.log2(len(values))
    assert found["information_y"] == pytest.approx(naive_entropy(target), abs=1e-12)
    assert found["weight_norm.w"] == pytest.approx(float((weight**2).sum().sqrt()), rel=1e-6)
    assert "weight_norm.b" not in found
    for name, layer in (("layer1", values), ("layer2", np.tanh(values))):
        rows = [tuple(row) for row in np.rint(positions(layer, bins))]
        joint = naive_entropy(list(zip(rows, target, strict=True)))
        told = naive_entropy(rows) + naive_entropy(target) - joint
        assert found[f"information_xt.{name}"] == pytest.approx(naive_entropy(rows), abs=1e-12)
        assert found[f"information_ty.{name}"] == pytest.approx(told, abs=1e-12)
        assert found[f"saturation.{name}"] == saturation(positions(layer, bins))
        assert found[f"binarisation.{name}"] == binarisation(layer, 0.5)


def test_a_layer_that_is_the_solution_says_all_about_it() -> None:
    field = np.random.default_rng(0).standard_normal(300)
    found = Compression().measure(fake_view({"layer1": field[:, None]}, {"u": field}))
    assert found["information_ty.layer1"] == pytest.approx(found["information_y"])
    assert found["information_ty.layer1"] == pytest.approx(found["information_xt.layer1"])


def test_the_solution_counts_where_it_is_known() -> None:
    generator = np.random.default_rng(0)
    field, values = generator.standard_normal(300), generator.standard_normal((300, 2))
    known = generator.uniform(size=300) < 0.6
    part = Compression().measure(
        fake_view({"layer1": values}, {"u": np.where(known, field, math.nan)})
    )
    whole = Compression().measure(fake_view({"layer1": values}, {"u": field}))
    layer = symbols(positions(values, 30))[known]
    target = symbols(positions(field[known, None], 30))
    assert part["information_y"] == entropy(target)
    assert part["information_ty.layer1"] == mutual_information(layer, target)
    assert part["information_xt.layer1"] == whole["information_xt.layer1"]


@pytest.mark.parametrize("reference", [None, {}, {"u": np.full(3, math.nan)}])
def test_without_a_reference_solution(reference: Any) -> None:
    found = Compression().measure(fake_view({"layer1": np.eye(3)}, reference))
    assert "information_y" not in found
    assert set(found) == {
        "information_x",
        "information_xt.layer1",
        "information_kept.layer1",
        "saturation.layer1",
        "binarisation.layer1",
    }


def test_a_network_whose_layers_cannot_be_seen_has_norms_only() -> None:
    found = Compression().measure(fake_view({}, None, w=torch.full((2, 2), 2.0)))
    assert found == {"weight_norm.w": 4.0}


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="between 1 and"):
        Compression(bins=0)
    with pytest.raises(ValueError, match="greater than 0"):
        Compression(binary_above=0.0)


# --- at points of its own


def test_more_points_than_a_layer_can_tell_apart_are_lost() -> None:
    """One neuron has 29 bins and two half ones: it keeps all of 4 points, and a third of 15 bits."""

    def at(count: int) -> dict[str, Any]:
        view = drawn_view(lambda x: x[:, :1])
        return dict(Compression(points=count).measure(view))

    few, many = at(4), at(2**15)
    assert few["information_kept.layer1"] == 1
    assert many["information_x"] == 15
    assert many["information_kept.layer1"] == pytest.approx(
        (math.log2(30) + 1 / 30) / 15, abs=0.001
    )
    assert math.isnan(at(1)["information_kept.layer1"])


def test_the_points_are_the_same_at_every_step_and_lie_in_the_domain() -> None:
    seen: list[Array] = []

    def looking(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.numpy())
        return x

    part = Compression(points=500)
    assert str(part.measure(drawn_view(looking))) == str(part.measure(drawn_view(looking)))
    np.testing.assert_array_equal(*seen)
    assert seen[0].shape == (500, 2)
    assert (seen[0].min(0) >= [-1, 2]).all()
    assert (seen[0].max(0) <= [1, 5]).all()
    np.testing.assert_allclose(seen[0].mean(0), [0, 3.5], atol=0.2)


def test_the_solution_is_that_at_these_points() -> None:
    view = drawn_view(lambda x: x[:, :1], lambda points: {"u": points[:, 0]})
    found = Compression(points=300).measure(view)
    assert found["information_y"] == pytest.approx(math.log2(30), abs=0.2)
    assert found["information_ty.layer1"] == pytest.approx(found["information_y"], abs=1e-9)


def drawn_view(layer: Any, solution: Any = None) -> Any:
    return SimpleNamespace(
        activations_at=lambda points: {"layer1": layer(points)},
        parameters={},
        problem=SimpleNamespace(domain=Box(x=(-1, 1), t=(2, 5))),
        points=SimpleNamespace(interior=torch.zeros(3, 2, dtype=torch.float64)),
        reference=solution and SimpleNamespace(at=solution),
    )


# --- figures


def recorded(path: Path, rows: int, reference: bool = True, layers: int = 3) -> Records:
    records = Records(path / "metrics.jsonl")
    generator = np.random.default_rng(0)
    known = {"u": generator.standard_normal(50)} if reference else None
    for step in range(1, rows + 1):
        gains = np.linspace(0.1, 3, layers) * step / rows
        hidden = {
            f"layer{i}": np.tanh(gain * generator.standard_normal((50, 4)))
            for i, gain in enumerate(gains, 1)
        }
        weight = torch.full((2, 2), float(step))
        view = fake_view(hidden, known, **{"hidden.0.weight": weight, "output.weight": weight / 2})
        records.append(10 * step, Compression().measure(view))
    return records


@pytest.mark.parametrize("rows", [1, 2, 150])
def test_figures(tmp_path: Path, rows: int) -> None:
    from matplotlib.figure import Figure

    records = recorded(tmp_path, rows)
    plots = {plot.name: plot for plot in Compression().figures(records)}
    assert list(plots) == [
        "saturation",
        "information-plane",
        "information-xt",
        "information-ty",
        "binarisation",
        "weight-norm",
    ]
    for plot in plots.values():
        assert plot.title
        assert plot.caption
        if isinstance(plot, Curves):
            assert set(plot.quantities) <= set(records.names)
    drawing = plots["information-plane"]
    assert isinstance(drawing, Drawing)
    figure = Figure(figsize=(3.4, drawing.height), layout="constrained")
    drawing.draw(figure)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "2", "3"]


def test_titles_say_what_is_seen(tmp_path: Path) -> None:
    plots = {plot.name: plot for plot in Compression().figures(recorded(tmp_path, 20))}
    assert plots["saturation"].title.startswith("Layer 3 of 3 saturates most: ")
    assert plots["weight-norm"].title == "hidden.0.weight has the largest norm: 40"


def test_layers_come_in_their_order(tmp_path: Path) -> None:
    plots = {plot.name: plot for plot in Compression().figures(recorded(tmp_path, 2, layers=11))}
    curves = plots["saturation"]
    assert isinstance(curves, Curves)
    assert list(curves.quantities.values()) == [f"layer {i}" for i in range(1, 12)]
    assert curves.ordered


def test_figures_of_what_there_is(tmp_path: Path) -> None:
    records = recorded(tmp_path, 2, reference=False)
    names = [plot.name for plot in Compression().figures(records)]
    assert names == ["saturation", "information-xt", "binarisation", "weight-norm"]
    assert not list(Compression().figures(Records(tmp_path / "none.jsonl")))


def test_figures_of_a_run_that_went_astray(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    records = recorded(tmp_path, 3)
    lost = fake_view(
        {f"layer{i}": np.full((50, 4), math.nan) for i in (1, 2, 3)}, {"u": np.ones(50)}
    )
    measured = Compression().measure(lost)
    records.append(40, measured)
    assert [plot.name for plot in Compression().figures(records)] == ["weight-norm"]
    records.append(50, {**measured, "information_xt.layer2": 1.0, "information_ty.layer2": 0.5})
    plots = {plot.name: plot for plot in Compression().figures(records)}
    drawing = plots["information-plane"]
    assert isinstance(drawing, Drawing)
    drawing.draw(Figure(layout="constrained"))
