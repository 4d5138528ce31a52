"""What every built-in architecture lets one choose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import frozen

from pinn.core import Box, Network, PinnError, above, at_least, between, choice, option

if TYPE_CHECKING:
    from torch import Generator, nn

    from pinn.plugins.networks.layers import Embedding

ACTIVATIONS = ("tanh", "sin", "gelu", "silu", "softplus", "sigmoid")
INITIALISATIONS = ("xavier-normal", "xavier-uniform", "he-normal", "he-uniform", "lecun-normal")
BIASES = ("uniform", "zero")
ODD, EVEN = -1, 1


@frozen
class FeedForward(Network):
    """Size, activation, initialisation and input embedding."""

    width: int = option(64, "neurons of a hidden layer", at_least(1))
    depth: int = option(4, "hidden layers", between(1, 1000))
    activation: str = option("tanh", ", ".join(ACTIVATIONS), choice(*ACTIVATIONS))
    initialisation: str = option("xavier-normal", "of weight matrices", choice(*INITIALISATIONS))
    bias: str = option(
        "uniform",
        "biases at the start: uniform in ±1/√fan_in as torch has them, or zero",
        choice(*BIASES),
    )
    normalise: bool = option(False, "map every coordinate to [-1, 1] first")
    periodic: list[str] = option([], "coordinates in which the network is exactly periodic")
    modes: int = option(1, "sines and cosines of each periodic coordinate", between(1, 1000))
    odd: list[str] = option(
        [],
        'coordinates in which it is odd about the middle of the domain: "x", or "v.x" of one field',
    )
    even: list[str] = option([], "coordinates in which it is even about the middle")
    fourier_features: int = option(0, "random Fourier features of the input; 0: none", at_least(0))
    fourier_scale: float = option(1.0, "standard deviation of their frequencies", above(0))
    fourier_trained: bool = option(False, "train their frequencies, scale and all")
    factorised: bool = option(False, "train W = diag(eˢ) V by s and V: random weight factorisation")
    windows: int = option(1, "windows of time, with a network for each", between(1, 1000))
    time: str = option("t", "the coordinate that is time, of windows")

    @abstractmethod
    def build_one(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        """One such network."""

    def build(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        if self.windows == 1:
            return self._mirrored(inputs, outputs, generator)
        from pinn.plugins.networks.windows import Windows

        _check("time", "coordinate", self.time, "the domain has", inputs.names)
        if any(self.time in own for own in self.parities(inputs, outputs)):
            raise PinnError(
                f"[network] a window of {self.time} has no mirror image: with windows the network "
                f"cannot be odd or even in {self.time}"
            )
        low, high = inputs.intervals[self.time]
        edges = [low + (high - low) * k / self.windows for k in range(self.windows + 1)]
        networks = [
            self._mirrored(Box(**{**inputs.intervals, self.time: ends}), outputs, generator)
            for ends in pairwise(edges)
        ]
        return Windows(networks, edges, inputs.names.index(self.time))

    def _mirrored(self, inputs: Box, outputs: tuple[str, ...], generator: Generator) -> nn.Module:
        """One network, with the parities that its embedding does not have by itself."""
        parities = self.parities(inputs, outputs)
        network = self.build_one(inputs, outputs, generator)
        left = [{n: sign for n, sign in own.items() if n not in self._cosines} for own in parities]
        if not any(left):
            return network
        from pinn.plugins.networks.mirrored import Mirrored

        return Mirrored(network, inputs, left)

    def parities(self, inputs: Box, outputs: tuple[str, ...]) -> list[dict[str, int]]:
        """For each output {coordinate: −1 where it is odd about the middle, 1 where even}.

        Raises:
            PinnError: of what is not there, or both.
        """
        found: list[dict[str, int]] = [{} for _ in outputs]
        for option_name, parity in (("odd", ODD), ("even", EVEN)):
            for name in getattr(self, option_name):
                output, _, coordinate = name.rpartition(".")
                _check(option_name, "coordinate", coordinate, "the domain has", inputs.names)
                if output:
                    _check(option_name, "field", output, "the network puts out", outputs)
                for own, of in zip(found, outputs, strict=True):
                    if output in ("", of) and own.setdefault(coordinate, parity) != parity:
                        raise PinnError(
                            f"[network] {of} cannot be both odd and even in {coordinate}"
                        )
        return found

    @property
    def _cosines(self) -> set[str]:
        """Coordinates in which the embedding is even by itself."""
        return {*self.periodic} & {*self.even}

    def embedding(self, inputs: Box, generator: Generator) -> Embedding:
        """The first layer, without trainable parameters but for frequencies that are to be trained.

        Raises:
            PinnError: `periodic` names a coordinate that the domain does not have.
        """
        from pinn.plugins.networks.layers import Embedding

        for name in self.periodic:
            _check("periodic", "coordinate", name, "the domain has", inputs.names)
        return Embedding(
            inputs,
            self.normalise,
            self.periodic,
            self._cosines,
            self.modes,
            self.fourier_features,
            self.fourier_scale,
            generator,
            self.fourier_trained,
        )

    def linear(self, inputs: int, outputs: int, generator: Generator) -> nn.Linear:
        """W x + b with W and b drawn as `initialisation` and `bias` say."""
        from pinn.plugins.networks.layers import FactorisedLinear, linear_layer

        layer = linear_layer(inputs, outputs, self.initialisation, self.bias, generator)
        return FactorisedLinear(layer, generator) if self.factorised else layer


def _check(option_name: str, what: str, name: str, whose: str, known: Collection[str]) -> None:
    if name not in known:
        raise PinnError(
            f"[network] {option_name}: there is no {what} {name!r}; {whose} {', '.join(known)}"
        )
