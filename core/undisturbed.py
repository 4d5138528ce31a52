"""Looking at a network without leaving a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from pinn.core.randomness import global_state, restore_global_state


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Whatever is called inside: modes, flags, buffers and random generators are afterwards as before.

    A residual function may call `module.eval()`; normalisation counts every evaluation in buffers;
    dropout draws random numbers.
    """
    random = global_state()
    modes = [(part, part.training) for part in module.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        restore_global_state(random)
