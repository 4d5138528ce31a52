"""Compile a training step: traced to plain tensor operations, then given to torch.compile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

STEPS_THAT_PAY = 1000
STEPS_THAT_PAY_FOR_BATCHES = 20_000
"""Batch gradients are computed once in many steps, so compiling them pays later."""


def wanted(option: str, steps: int, device: torch.device) -> tuple[bool, str]:
    """Whether to compile, and the reason, as one line for the user.

    It depends on the configuration and the machine alone, so that a resumed run decides the same.
    """
    if option == "never":
        return False, "eager (compile = never)"
    missing = _missing_compiler(device)
    if missing:
        return False, f"eager ({missing})"
    if option == "auto" and steps < STEPS_THAT_PAY:
        return False, f"eager ({steps} steps are too few to pay for compiling)"
    return True, "compiled"


def _missing_compiler(device: torch.device) -> str | None:
    if device.type == "cuda":
        return None if find_spec("triton") else "triton is not installed"
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler.split()[0]) or shutil.which("clang++")
    return None if found else "no C++ compiler was found"


def compile_lazily(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of tensors, traced and compiled at its first call for the shapes of that call.

    Tracing runs the Python code once, gradient included, so that equations may be any Python; what the
    compiler sees is one flat graph of tensor operations.
    """
    ready: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        tensors = tree_leaves(arguments)
        shapes = tuple((tuple(t.shape), t.dtype, t.device) for t in tensors)
        if shapes not in ready:
            graph = make_fx(lambda *inputs: function(*inputs))(*arguments)
            ready[shapes] = torch.compile(graph, fullgraph=True, dynamic=False)
        with torch.no_grad():
            return ready[shapes](*arguments)

    return call
