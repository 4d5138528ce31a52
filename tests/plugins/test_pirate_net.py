"""Residual blocks that begin as nothing, factorised weights, frequencies that are trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from pinn.core import Box
from pinn.plugins.networks.layers import FactorisedLinear, linear_layer
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.pirate_net import PirateNet
from pinn.testing import check_network

BOX = Box(x=(-1, 2), t=(0, 5))


def build(part: Any, seed: int = 0) -> Any:
    return part.build(BOX, ("u",), torch.Generator().manual_seed(seed)).double()


def places(count: int = 20) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_it_begins_linear_in_its_embedding(depth: int, seed: int) -> None:
    """However deep: the best start is a least-squares problem."""
    network = build(PirateNet(width=7, depth=depth, periodic=["x"], modes=2), seed)
    x = places()
    expected = network.output(network.embedding(x))
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_its_blocks_are_what_the_formula_says() -> None:
    network = build(PirateNet(width=5, depth=2, fourier_features=3, alpha=0.3))
    x = network.embedding(places())
    u, v = (torch.tanh(encoder(x)) for encoder in network.encoders)
    for block in network.hidden:
        f = torch.tanh(block.first(x))
        z = f * u + (1 - f) * v
        g = torch.tanh(block.second(z))
        w = g * u + (1 - g) * v
        x = 0.3 * torch.tanh(block.third(w)) + 0.7 * x
    torch.testing.assert_close(network(places()), network.output(x), rtol=1e-7, atol=1e-7)


def test_the_shortcut_is_learnt() -> None:
    """Every block has a gradient from the first step on."""
    network = build(PirateNet(width=6, depth=3, fourier_features=4))
    network(places()).square().sum().backward()
    assert all(block.alpha.grad.abs() > 0 for block in network.hidden)


@pytest.mark.parametrize(
    "part",
    [
        PirateNet(width=9, depth=2, fourier_features=5, normalise=True),
        PirateNet(width=6, depth=2, factorised=True, alpha=0.5),
        MLP(width=8, depth=2, factorised=True, periodic=["x"]),
        MLP(width=8, depth=2, fourier_features=4, fourier_trained=True),
    ],
    ids=["pirate", "factorised-pirate", "factorised", "frequencies"],
)
def test_it_keeps_its_contract(part: Any) -> None:
    check_network(part)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 100))
def test_factors_leave_the_matrix_as_it_was_drawn(inputs: int, outputs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = linear_layer(inputs, outputs, "xavier-normal", "uniform", generator)
    factorised = FactorisedLinear(layer, generator)
    x = torch.rand(5, inputs)
    torch.testing.assert_close(factorised(x), layer(x), rtol=1e-5, atol=1e-5)
    named = dict(factorised.named_parameters())
    assert {*named} == {"s", "weight", "bias"}


def test_the_factors_are_drawn_around_a_half() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = FactorisedLinear(linear_layer(2, 4000, "he-normal", "zero", generator), generator)
    assert float(layer.s.mean()) == pytest.approx(0.5, abs=5 * 0.1 / 4000**0.5)
    assert float(layer.s.std()) == pytest.approx(0.1, rel=0.06)


@pytest.mark.parametrize("trained", [True, False])
def test_frequencies_are_trained_where_it_is_said(trained: bool) -> None:
    network = build(MLP(width=4, depth=1, fourier_features=3, fourier_trained=trained))
    names = [name for name, _ in network.named_parameters() if "projection" in name]
    assert len(names) == trained
    same = build(MLP(width=4, depth=1, fourier_features=3))
    x = places()
    assert isinstance(network, nn.Sequential)
    torch.testing.assert_close(network(x), same(x))
