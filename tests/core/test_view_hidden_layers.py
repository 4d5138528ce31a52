"""What hidden layers put out: against a forward pass by hand, for the networks here and for others'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor, nn

from pinn.core import Box
from pinn.core.view import hidden_layers
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP

BOX = Box(x=(-1, 1), t=(0, 2))
EMBEDDINGS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"periodic": ["x"], "modes": 2}, {"fourier_features": 3}, {"normalise": True}]
)


def points(count: int = 7) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(0))


def built(network: Any) -> Any:
    return network.build(BOX, ("u", "v"), torch.Generator().manual_seed(1))


@given(st.integers(1, 4), st.integers(1, 6), EMBEDDINGS)
def test_an_mlp_has_its_depth_and_width(depth: int, width: int, embedding: dict[str, Any]) -> None:
    module = built(MLP(width=width, depth=depth, **embedding))
    h, expected = module[0](points()), {}
    for i in range(depth):
        h = torch.tanh(module[1 + 2 * i](h))
        expected[f"layer{i + 1}"] = h
    found = hidden_layers(module, points())
    assert list(found) == list(expected)
    for name, values in found.items():
        assert values.shape == (7, width)
        assert torch.equal(values, expected[name])


@given(st.integers(1, 4), st.integers(1, 6), EMBEDDINGS)
def test_a_modified_mlp_counts_its_gated_layers(
    depth: int, width: int, embedding: dict[str, Any]
) -> None:
    module = built(ModifiedMLP(width=width, depth=depth, **embedding))
    h, expected = module.embedding(points()), {}
    u, v = (torch.tanh(encoder(h)) for encoder in module.encoders)
    for i, layer in enumerate(module.hidden, 1):
        z = torch.tanh(layer(h))
        h = (1 - z) * u + z * v
        expected[f"layer{i}"] = h
    found = hidden_layers(module, points())
    assert list(found) == list(expected)
    for name, values in found.items():
        assert values.shape == (7, width)
        torch.testing.assert_close(values, expected[name])


class Residual(nn.Module):
    """A skip connection, an unused layer, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(9, 9)
        self.first = nn.Linear(2, 4)
        self.shared = nn.Linear(4, 4)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sin(self.first(x))
        for _ in range(2):
            h = h + torch.sin(self.shared(h))
        return self.last(h)


def test_a_network_of_ones_own() -> None:
    module = Residual()
    found = hidden_layers(module, points())
    first = torch.sin(module.first(points()))
    second = first + torch.sin(module.shared(first))
    third = second + torch.sin(module.shared(second))
    assert list(found) == ["layer1", "layer2", "layer3"]
    for values, expected in zip(found.values(), (first, second, third), strict=True):
        torch.testing.assert_close(values, expected.detach())


class Quadratic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.ones(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x**2 @ self.a


@pytest.mark.parametrize(
    "make", [Quadratic, lambda: nn.Linear(2, 1), lambda: nn.Sequential(nn.Tanh(), nn.Linear(2, 1))]
)
def test_a_network_without_hidden_layers_has_none(make: Callable[[], nn.Module]) -> None:
    assert hidden_layers(make(), points()) == {}


@pytest.mark.parametrize("network", [MLP(), ModifiedMLP()])
def test_looking_leaves_nothing_behind(network: Any) -> None:
    module = built(network)
    found = hidden_layers(module, points())
    assert not any(values.requires_grad for values in found.values())
    assert not any(m._forward_pre_hooks for m in module.modules())
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_a_forward_pass_that_fails_leaves_no_hooks_behind() -> None:
    module = built(MLP())
    with pytest.raises(RuntimeError):
        hidden_layers(module, torch.ones(3, 5))
    assert not any(m._forward_pre_hooks for m in module.modules())
