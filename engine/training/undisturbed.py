"""Global generators and modules, left as they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

T = TypeVar("T")


def seed_everything(seed: int) -> None:
    """Seed the global generators, for parts that draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def global_state() -> dict[str, Any]:
    """The state of the global generators as plain values and tensors."""
    version, words, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [
            str(kind),
            torch.from_numpy(np.asarray(key).astype(np.int64)),
            position,
            has_gauss,
            cached,
        ],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def restore_global_state(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, key, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, key.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
    if state["mps"] and torch.backends.mps.is_available():
        torch.mps.set_rng_state(*state["mps"])


@contextmanager
def numbers_in(dtype: torch.dtype) -> Iterator[None]:
    """Tensors are made in this format where none is named."""
    with _set(torch.get_default_dtype, torch.set_default_dtype, dtype):
        yield


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Matrices of single precision are multiplied so: "highest", or "high", in TensorFloat-32."""
    now, put = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    with _set(now, put, precision):
        yield


@contextmanager
def _set(now: Callable[[], T], put: Callable[[T], None], value: T) -> Iterator[None]:
    before = now()
    put(value)
    try:
        yield
    finally:
        put(before)


@contextmanager
def apart(dtype: torch.dtype, tf32: bool = False) -> Iterator[None]:
    """Whatever is global in torch, NumPy and Python is ours inside, and afterwards as before.

    Args:
        dtype: the format of numbers where none is named.
        tf32: whether matrices may be multiplied in TensorFloat-32.
    """
    random = global_state()
    try:
        with torch.enable_grad(), numbers_in(dtype), products_in("high" if tf32 else "highest"):
            yield
    finally:
        restore_global_state(random)
        if torch.cuda.is_initialized() and not random["cuda"]:  # its seed was waiting for that
            torch.cuda.manual_seed_all(torch.initial_seed())


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
