"""Layers in ordinary torch operations, so that Taylor series pass through them."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Generator, Tensor, nn

from pinn.core import Box


class Sine(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.sin(z)


def activation(name: str) -> nn.Module:
    if name == "gelu":
        return nn.GELU(approximate="tanh")
    modules: dict[str, type[nn.Module]] = {
        "tanh": nn.Tanh,
        "sin": Sine,
        "silu": nn.SiLU,
        "softplus": nn.Softplus,
        "sigmoid": nn.Sigmoid,
    }
    return modules[name]()


def linear_layer(
    inputs: int, outputs: int, initialisation: str, bias: str, generator: Generator
) -> nn.Linear:
    """W x + b with W drawn as `initialisation` says (Glorot & Bengio 2010; He et al. 2015).

    b = 0, or uniform in ±1/√inputs, which is how `torch.nn.Linear` begins. With b = 0 a network of odd
    activations is exactly odd: f(−x) = −f(x).
    """
    layer = nn.Linear(inputs, outputs, device="meta")  # skip_init does this, but imports SymPy
    layer.weight = nn.Parameter(torch.empty(outputs, inputs))
    layer.bias = nn.Parameter(torch.zeros(outputs))
    scheme, _, shape = initialisation.partition("-")
    variance = {"xavier": 2 / (inputs + outputs), "he": 2 / inputs, "lecun": 1 / inputs}[scheme]
    with torch.no_grad():
        if shape == "normal":
            layer.weight.normal_(0, math.sqrt(variance), generator=generator)
        else:
            bound = math.sqrt(3 * variance)
            layer.weight.uniform_(-bound, bound, generator=generator)
        if bias == "uniform":
            bound = 1 / math.sqrt(inputs)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class FactorisedLinear(nn.Linear):
    """W x + b with W = diag(eˢ) V, which s and V train, s ~ N(0.5, 0.1²) at first, W as in `layer`.

    Wang, Wang, Seidman & Perdikaris 2022, arXiv 2210.01274 (random weight factorisation).
    """

    def __init__(self, layer: nn.Linear, generator: Generator) -> None:
        super().__init__(layer.in_features, layer.out_features, device="meta")
        s = torch.empty(layer.out_features).normal_(0.5, 0.1, generator=generator)
        self.s = nn.Parameter(s)
        self.weight = nn.Parameter(layer.weight.detach() / s.exp()[:, None])
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.s.exp()[:, None] * self.weight, self.bias)


class Embedding(nn.Module):
    """Coordinates (n, d) as the network sees them (n, `width`).

    A periodic coordinate x of period P becomes sin(2πkx/P), cos(2πkx/P), k = 1 … modes, so that the
    network is periodic with all derivatives (Dong & Ni 2021); where it is `even` about the middle m as
    well, cos(2πk(x − m)/P) alone. Random Fourier features are sin(Bx), cos(Bx) with B normal (Tancik et
    al. 2020).
    """

    slope: Tensor
    shift: Tensor
    frequencies: Tensor
    origin: Tensor
    projection: Tensor | None

    def __init__(
        self,
        inputs: Box,
        normalise: bool,
        periodic: Collection[str],
        even: Collection[str],
        modes: int,
        features: int,
        scale: float,
        generator: Generator,
        trained: bool = False,
    ) -> None:
        super().__init__()
        self.periodic = [name in periodic for name in inputs.names]
        self.even = [name in even for name in inputs.names]
        # In double precision, so that the periods are exact to rounding in whatever the module becomes.
        lower = torch.tensor(inputs.lower, dtype=torch.float64)
        extent = torch.tensor(inputs.upper, dtype=torch.float64) - lower
        self.register_buffer("slope", 2 / extent if normalise else torch.ones_like(extent))
        self.register_buffer("shift", -1 - 2 * lower / extent if normalise else 0 * lower)
        modes_of_period = torch.arange(1, modes + 1, dtype=torch.float64)
        self.register_buffer("frequencies", 2 * math.pi * modes_of_period / extent[:, None])
        self.register_buffer(
            "origin", (lower + extent / 2) * torch.tensor(self.even), persistent=False
        )
        waves = {name: modes if name in even else 2 * modes for name in periodic}
        width = sum(waves.get(name, 1) for name in inputs.names)
        self.plain = not features and not any(self.periodic)
        projection = scale * torch.randn(width, features, generator=generator) if features else None
        if trained and projection is not None:
            self.projection = nn.Parameter(projection)
        else:
            self.register_buffer("projection", projection)
        self.width = 2 * features or width

    def forward(self, x: Tensor) -> Tensor:
        scaled = x * self.slope.to(x.dtype) + self.shift.to(x.dtype)
        if self.plain:
            return scaled
        columns = []
        for i, (repeats, even) in enumerate(zip(self.periodic, self.even, strict=True)):
            if not repeats:
                columns.append(scaled[:, i : i + 1])
                continue
            since = x[:, i : i + 1] - self.origin[i].to(x.dtype)
            angle = since * self.frequencies[i].to(x.dtype)
            columns += [torch.cos(angle)] if even else [torch.sin(angle), torch.cos(angle)]
        z = torch.cat(columns, -1)
        if self.projection is None:
            return z
        angle = torch.matmul(z, self.projection)
        return torch.cat([torch.sin(angle), torch.cos(angle)], -1)
