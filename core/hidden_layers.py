"""What the hidden layers of a network put out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Any]


def hidden_layers(
    module: nn.Module, inputs: Tensor, forward: Forward | None = None
) -> dict[str, Tensor]:
    """{"layer1": (n, width), …} at inputs (n, dimension), from the input on.

    A hidden layer is what a later `torch.nn.Linear` takes in: its activations, gates included. What the
    first one takes in is the embedding of the coordinates, not a hidden layer. A network that has no
    `torch.nn.Linear` has none that can be seen.

    Args:
        forward: calls the module on the inputs, where that takes more than `module(inputs)`.
    """
    seen: list[Tensor] = []

    def look(_: nn.Module, positional: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        taken = positional[0] if positional else named["input"]
        if not any(taken is before for before in seen):
            seen.append(taken)

    linear = [m for m in module.modules() if isinstance(m, nn.Linear)]
    handles = [m.register_forward_pre_hook(look, with_kwargs=True) for m in linear]
    try:
        with torch.no_grad():
            (forward or module)(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {f"layer{i}": values for i, values in enumerate(seen[1:], 1)}
