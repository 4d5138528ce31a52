"""Which parameters of a network a stage trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def train_only(module: torch.nn.Module, of: Sequence[str], beginning: str | None) -> None:
    """Train those of these parameters whose names begin so; None: all of them."""
    for name in of:
        module.get_parameter(name).requires_grad_(name.startswith(beginning or ""))


def trainable(module: torch.nn.Module) -> tuple[str, ...]:
    """The names of the parameters that are trained at present."""
    return tuple(name for name, p in module.named_parameters() if p.requires_grad)
