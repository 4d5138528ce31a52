"""`check_network` finds what is wrong with a network, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor, nn

from pinn.core import Box, Network, option
from pinn.testing import Advice, check_network


@frozen
class Plain(Network):
    """One hidden layer, of a kind that a subclass chooses."""

    name = "plain"
    width: int = option(5, "neurons")

    def layer(self, inputs: Box, outputs: int, generator: torch.Generator) -> nn.Module:
        hidden = nn.Linear(inputs.dimension, self.width)
        return nn.Sequential(hidden, nn.Tanh(), nn.Linear(self.width, outputs))

    def build(self, inputs: Box, outputs: tuple[str, ...], generator: torch.Generator) -> nn.Module:
        module = self.layer(inputs, len(outputs), generator)
        for parameter in module.parameters():
            nn.init.normal_(parameter, 0, 0.5, generator=generator)
        return module


def wrong(**members: Any) -> Any:
    return frozen(type("Wrong", (Plain,), {"__doc__": "Wrong.", **members}))


def around(forward: Any, **attributes: Any) -> Any:
    """A network whose module does something else with a sound one's output, by `forward(self, x)`."""

    class Module(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner
            for name, value in attributes.items():
                setattr(self, name, value(self) if callable(value) else value)

    Module.forward = forward  # type: ignore[method-assign]
    return wrong(layer=lambda self, *args: Module(Plain().layer(*args)))


def fails(cls: Any, *messages: str) -> None:
    with pytest.raises(AssertionError, match="(?s)^network 'plain': .*" + ".*".join(messages)):
        check_network(cls)


def test_a_sound_network_passes() -> None:
    check_network(Plain)


def test_layers_that_initialise_themselves() -> None:
    cls = wrong(build=lambda self, inputs, outputs, g: self.layer(inputs, len(outputs), g))
    fails(cls, "two modules from the same generator differ", "torch's global generator", "nn.init")


def test_a_generator_that_is_not_used() -> None:
    def build(self: Any, inputs: Box, outputs: tuple[str, ...], generator: Any) -> nn.Module:
        return Plain.build(self, inputs, outputs, torch.Generator().manual_seed(0))

    fails(wrong(build=build), "two generators give the same initial values, so that no seed")


def test_a_parameter_without_effect() -> None:
    cls = around(lambda self, x: self.inner(x), dead=lambda self: nn.Parameter(torch.ones(3)))
    fails(cls, "no gradient reaches the parameter 'dead'", "leave it out")


def test_outputs_of_another_shape() -> None:
    fails(around(lambda self, x: self.inner(x)[:, 0]), r"returns shape \(6,\): return \(6, 1\)")


def test_rows_that_mix() -> None:
    def forward(self: Any, x: Any) -> Any:
        found = self.inner(x)
        return found - found.mean(0, keepdim=True)

    fails(
        around(forward), "the output at a point depends on the other points", "batch normalisation"
    )


def test_a_module_that_counts_its_calls() -> None:
    def forward(self: Any, x: Any) -> Any:
        self.calls += 1
        return self.inner(x) / self.calls

    fails(around(forward, calls=0), "returns something else when it is called again")


def test_numbers_that_no_checkpoint_saves() -> None:
    def build(self: Any, inputs: Box, outputs: tuple[str, ...], generator: Any) -> nn.Module:
        module = Plain.build(self, inputs, outputs, generator)
        shift = torch.rand(1, generator=generator)
        module.register_forward_hook(lambda module, _, found: found + shift.to(found.dtype))
        return module

    fails(wrong(build=build), "loads the state_dict of another differs", "register_buffer")


def test_derivatives_that_are_cut() -> None:
    cls = around(lambda self, x: self.inner(x) * torch.cos(x[:, :1]).detach())
    fails(cls, "the derivative u_x is .* by Taylor series and .* by nested autograd", "detach")


def test_numbers_of_a_fixed_precision() -> None:
    cls = around(lambda self, x: self.inner(x) * torch.ones(1, dtype=torch.float64))
    fails(cls, "for points of torch.float32 the module returns torch.float64", "buffers")


def test_tensors_on_a_fixed_device() -> None:
    def forward(self: Any, x: Any) -> Any:
        return self.inner(x) * torch.ones(len(x), 1, dtype=x.dtype)

    fails(around(forward), "forward: a tensor is made on the CPU", r"x.new_zeros")


def test_coordinates_far_from_unit_size() -> None:
    cls = around(lambda self, x: self.inner(x) * torch.exp(x[:, :1] ** 2))
    fails(cls, "its output or its gradient is not finite|map every coordinate to")


def test_a_module_that_looks_at_numbers() -> None:
    def forward(self: Any, x: Any) -> Any:
        found = self.inner(x)
        value: Tensor = found if isinstance(found, Tensor) else found.value
        return found * 2 if float(value.detach().abs().max()) > 100 else found

    fails(around(forward), "fail|vmap|traced", "do not look at numbers|must not look at numbers")


def test_a_network_that_does_not_bend_is_advised_against() -> None:
    def layer(self: Any, inputs: Box, outputs: int, generator: Any) -> nn.Module:
        hidden = nn.Linear(inputs.dimension, 16)
        return nn.Sequential(hidden, nn.ReLU(), nn.Linear(16, outputs))

    with pytest.warns(Advice, match="all its second derivatives are zero.*not ReLU"):
        check_network(wrong(layer=layer))
