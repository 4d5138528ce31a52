"""Whether a step is compiled, and how: traced to plain tensor operations, then torch.compile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
import torch.fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_leaves

from pinn.core.errors import PartError, Whence, out_of_memory
from pinn.core.tracebacks import first_line

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
    compiler sees is one flat graph of tensor operations. The call raises PinnError where that fails.
    """
    ready: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        tensors = tree_leaves(arguments)
        shapes = tuple((tuple(t.shape), t.dtype, t.device) for t in tensors)
        if shapes in ready:
            with torch.no_grad():
                return ready[shapes](*arguments)
        graph = _traced(function, arguments)
        compiled = torch.compile(graph, fullgraph=True, dynamic=False)
        try:
            with torch.no_grad():
                found = compiled(*arguments)  # the compiler works now
        except Exception as error:
            if out_of_memory(error):
                raise
            raise _cannot(error) from error
        ready[shapes] = compiled
        return found

    return call


def _traced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> torch.fx.GraphModule:
    try:
        return make_fx(lambda *inputs: function(*inputs))(*arguments)
    except Exception as error:
        function(*arguments)  # what fails uncompiled as well fails for a reason of its own
        raise _cannot(error) from error


def _cannot(error: Exception) -> PartError:
    return PartError(
        f"the step cannot be compiled: {first_line(error)}",
        Whence(error=error),
        '; compile = "never" in [run] does without. PINN_TRACEBACK=1 shows the traceback',
    )
