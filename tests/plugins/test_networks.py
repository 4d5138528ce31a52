"""The contract of every registered network, and what the built-in ones promise beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from pinn.core import Box, PinnError
from pinn.core.discovery import registry
from pinn.engine.derivatives import coordinate
from pinn.engine.derivatives.jets import jets
from pinn.plugins.networks.feed_forward import ACTIVATIONS, INITIALISATIONS
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP
from pinn.plugins.networks.pirate_net import PirateNet
from pinn.testing import check_network

NETWORKS = [part.cls for part in registry().parts("network")]
BUILT_IN = [MLP, ModifiedMLP, PirateNet]
BOX = Box(x=(-1, 2), t=(0, 5))


def build(part: Any, box: Box = BOX, outputs: tuple[str, ...] = ("u",), seed: int = 0) -> Any:
    return part.build(box, outputs, torch.Generator().manual_seed(seed))


def places(count: int = 6) -> Tensor:
    unit = torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.tensor(BOX.lower) + unit * (torch.tensor(BOX.upper) - torch.tensor(BOX.lower))


def test_the_built_in_networks_are_registered() -> None:
    assert set(BUILT_IN) <= set(NETWORKS)


@pytest.mark.parametrize("cls", NETWORKS, ids=lambda cls: cls.name)
def test_every_network_keeps_its_contract(cls: type[Any]) -> None:
    check_network(cls)


@pytest.mark.parametrize("cls", BUILT_IN)
def test_networks_with_embeddings_keep_their_contract(cls: type[Any]) -> None:
    check_network(cls(width=9, depth=2, normalise=True, fourier_features=5, activation="gelu"))


@pytest.mark.parametrize("cls", NETWORKS, ids=lambda cls: cls.name)
def test_building_leaves_the_global_generator_alone(cls: type[Any]) -> None:
    before = torch.get_rng_state()
    build(cls())
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_parameter_counts(width: int, depth: int, outputs: int, dimension: int) -> None:
    box = Box(**{f"x{i}": (0, 1) for i in range(dimension)})
    names = tuple("abc"[:outputs])

    def count(part: Any) -> int:
        return sum(p.numel() for p in build(part, box, names).parameters())

    first, hidden = (dimension + 1) * width, (width + 1) * width
    last = (width + 1) * outputs
    assert count(MLP(width=width, depth=depth)) == first + (depth - 1) * hidden + last
    assert count(ModifiedMLP(width=width, depth=depth)) == 3 * first + (depth - 1) * hidden + last


@pytest.mark.parametrize("cls", BUILT_IN)
@pytest.mark.parametrize("scheme", INITIALISATIONS)
def test_initialisation(cls: type[Any], scheme: str) -> None:
    module = build(cls(width=120, depth=2, initialisation=scheme, bias="zero"))
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        inputs, outputs = layer.in_features, layer.out_features
        expected = {"xavier": 2 / (inputs + outputs), "he": 2 / inputs, "lecun": 1 / inputs}
        variance = expected[scheme.split("-")[0]]
        weight = layer.weight.detach().double()
        assert not layer.bias.any()
        # The variance of a sample variance of n normal numbers is 2/n; five deviations.
        tolerance = 5 * math.sqrt(2 / weight.numel())
        assert float((weight**2).mean()) == pytest.approx(variance, rel=tolerance)
        if scheme.endswith("uniform"):
            assert float(weight.abs().max()) <= math.sqrt(3 * variance) * (1 + 1e-6)
        elif weight.numel() > 1000:
            assert float(weight.abs().max()) > math.sqrt(3 * variance) * 1.2


@pytest.mark.parametrize("cls", BUILT_IN)
def test_uniform_biases_are_those_of_torch(cls: type[Any]) -> None:
    layers = [
        m for m in build(cls(width=900, depth=3, bias="uniform")).modules() if hasattr(m, "bias")
    ]
    for layer in layers:
        bound = 1 / math.sqrt(layer.in_features)
        bias = layer.bias.detach().double() / bound
        assert float(bias.abs().max()) <= 1
        if bias.numel() > 100:  # the mean square of a uniform number is 1/3 ± 0.3/√n
            assert float((bias**2).mean()) == pytest.approx(1 / 3, abs=5 * 0.3 / 30)


def test_a_tanh_network_without_biases_is_odd() -> None:
    x = places()
    odd, free = (build(MLP(bias=bias)).double() for bias in ("zero", "uniform"))
    torch.testing.assert_close(odd(-x), -odd(x))
    assert float((free(-x) + free(x)).detach().abs().max()) > 1e-3


ACTIVATION_VALUES: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "sin": math.sin,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "softplus": lambda z: math.log1p(math.exp(z)),
    "silu": lambda z: z / (1 + math.exp(-z)),
    "gelu": lambda z: 0.5 * z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_networks_are_what_their_formulas_say(name: str) -> None:
    def sigma(z: Tensor) -> Tensor:
        values = [ACTIVATION_VALUES[name](float(v)) for v in z.flatten()]
        return torch.tensor(values, dtype=torch.float64).reshape(z.shape)

    x = places()
    mlp = build(MLP(width=3, depth=2, activation=name)).double()
    linears = [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]
    w = [(layer.weight.detach(), layer.bias.detach()) for layer in linears]
    h = sigma(sigma(x @ w[0][0].T + w[0][1]) @ w[1][0].T + w[1][1]) @ w[2][0].T + w[2][1]
    torch.testing.assert_close(mlp(x).detach(), h, rtol=1e-10, atol=1e-12)

    gated = build(ModifiedMLP(width=3, depth=2, activation=name)).double()

    def dense(layer: Any, z: Tensor) -> Tensor:
        return (z @ layer.weight.T + layer.bias).detach()

    u, v = (sigma(dense(encoder, x)) for encoder in gated.encoders)
    h = x
    for layer in gated.hidden:
        z = sigma(dense(layer, h))
        h = (1 - z) * u + z * v
    torch.testing.assert_close(gated(x).detach(), dense(gated.output, h), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cls", BUILT_IN)
@pytest.mark.parametrize("features", [0, 7])
@pytest.mark.parametrize("periodic", [["x"], ["t"], ["x", "t"]])
def test_periodic_coordinates_are_periodic_with_all_derivatives(
    cls: type[Any], features: int, periodic: list[str]
) -> None:
    part = cls(width=12, depth=2, periodic=periodic, modes=3, fourier_features=features)
    module = build(part).double()
    wanted: list[dict[tuple[int, ...], float]] = [{(4, 0): 1.0}, {(0, 4): 1.0}, {(2, 2): 1.0}]
    found = jets(wanted)

    def at(x: Tensor) -> Any:
        columns: Any = [coordinate(x[:, i : i + 1], i, found) for i in range(2)]
        return module(torch.cat(columns, -1))

    for name in BOX.names:
        low, high = (places() for _ in range(2))
        axis = BOX.names.index(name)
        low[:, axis], high[:, axis] = BOX.lower[axis], BOX.upper[axis]
        left, right = at(low), at(high)
        for monomial in found.monomials:
            a, b = left.read({monomial: 1.0}).detach(), right.read({monomial: 1.0}).detach()
            scale = max(1.0, float(a.abs().max()))
            equal = torch.allclose(a, b, rtol=0, atol=1e-12 * scale)
            assert equal or name not in periodic, monomial
        if name not in periodic:
            assert not torch.allclose(left.value, right.value, atol=1e-4)


def test_normalised_coordinates_run_from_minus_one_to_one() -> None:
    embedding = build(MLP(normalise=True))[0].double()
    corners = torch.tensor([BOX.lower, BOX.upper], dtype=torch.float64)
    torch.testing.assert_close(
        embedding(corners), torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    )
    plain = build(MLP())[0].double()
    assert torch.equal(plain(corners), corners)


def test_fourier_features_are_sines_and_cosines_of_one_projection() -> None:
    embedding = build(MLP(fourier_features=400, fourier_scale=3.0))[0].double()
    x = places()
    sine, cosine = embedding(x).chunk(2, -1)
    torch.testing.assert_close(sine**2 + cosine**2, torch.ones_like(sine))
    torch.testing.assert_close(sine, torch.sin(x @ embedding.projection))
    assert embedding.projection.shape == (2, 400)
    assert float(embedding.projection.std()) == pytest.approx(3.0, rel=0.15)
    assert not any(True for _ in embedding.parameters())


@pytest.mark.parametrize("cls", BUILT_IN)
def test_periodic_in_an_unknown_coordinate_is_an_error(cls: type[Any]) -> None:
    with pytest.raises(PinnError, match=r"periodic: there is no coordinate 'y'.*has x, t"):
        build(cls(periodic=["y"]))


@pytest.mark.parametrize("cls", BUILT_IN)
def test_options_do_not_share_their_defaults(cls: type[Any]) -> None:
    assert cls().periodic == []
    assert cls().periodic is not cls().periodic
