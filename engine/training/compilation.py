"""Whether a step is compiled, and how: traced to plain tensor operations, then by Inductor."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import compress
from typing import Any

import torch
import torch.fx
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from pinn.core.errors import PartError, Whence, out_of_memory
from pinn.core.tracebacks import first_line
from pinn.engine.training.constants import lifted
from pinn.engine.training.of_points import Kept, split

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
    if device.type == "mps":
        return "compiling is not tried on mps"
    if device.type == "cuda":
        return None if find_spec("triton") else "triton is not installed"
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler.split()[0]) or shutil.which("clang++")
    return None if found else "no C++ compiler was found"


POINTS = 1
"""The argument that may stay the same from call to call."""

Step = Callable[[Sequence[Tensor]], Any]


Took = Callable[[float, bool], None]
"""Is told of the seconds until a function was compiled, and whether an earlier run had compiled it."""


def _ignored(seconds: float, found: bool) -> None:
    """Nobody asks."""


def compile_lazily(
    function: Callable[..., Any], same_points: bool = False, took: Took = _ignored
) -> Callable[..., Any]:
    """`function` of tensors, traced and compiled at its first call for the shapes of that call.

    Tracing runs the Python code once, gradient included, so that equations may be any Python; what the
    compiler sees is one flat graph of tensor operations. With `same_points`, what depends on the second
    argument alone, the points, is computed once for as long as they are the same. The call raises
    PinnError where compiling fails.
    """
    ready: dict[tuple[Any, ...], Step] = {}

    def call(*arguments: Any) -> Any:
        tensors = tree_leaves(arguments)
        shapes = tuple((tuple(t.shape), t.dtype, t.device) for t in tensors)
        if shapes in ready:
            with torch.no_grad():
                return ready[shapes](tensors)
        begun, compiled_before = time.perf_counter(), _compiled_anew()
        compiled = _compiled(function, arguments, same_points)
        try:
            with torch.no_grad():
                found = compiled(tensors)  # the compiler works now
        except Exception as error:
            if out_of_memory(error):
                raise
            raise _cannot(error) from error
        ready[shapes] = compiled
        took(time.perf_counter() - begun, _compiled_anew() == compiled_before)
        return found

    return call


def _compiled_anew() -> int:
    """Graphs so far in this process that the compiler's cache on disk did not have."""
    # A second to import, which eager runs need not wait for.
    from torch._dynamo.utils import counters

    return counters["inductor"]["fxgraph_cache_miss"]


def _compiled(function: Callable[..., Any], arguments: Sequence[Any], same_points: bool) -> Step:
    """What to call instead of `function` with the tensors of arguments like these."""
    graph, form = _traced(function, arguments)
    graph, numbers = lifted(graph)
    if not same_points:
        whole = _by_inductor(graph)
        return lambda tensors: tree_unflatten(whole(*tensors, *numbers), form)
    fixed = [place == POINTS for place, given in enumerate(arguments) for _ in tree_leaves(given)]
    of_points, rest = split(graph, [*fixed, *(True for _ in numbers)])
    step = _by_inductor(rest)
    kept = Kept(of_points)

    def call(tensors: Sequence[Tensor]) -> Any:
        points = list(compress(tensors, fixed))
        given = [*tensors, *numbers]
        return tree_unflatten(step(*given, *kept(points, given)), form)

    return call


def _by_inductor(graph: torch.fx.GraphModule) -> Callable[..., Any]:
    """The flat graph, compiled at its first call for the shapes of that call.

    On a CPU without Dynamo, which would trace it once more and examine the arguments of every call.
    """
    compiled: Callable[..., Any] | None = None

    def call(*tensors: Tensor) -> Any:
        nonlocal compiled
        if compiled is None:
            compiled = _for_tensors_like(tensors, graph)
        return compiled(*tensors)

    return call


def _for_tensors_like(tensors: Sequence[Any], graph: torch.fx.GraphModule) -> Callable[..., Any]:
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return torch.compile(graph, fullgraph=True, dynamic=False)
    from torch._inductor import standalone_compile  # now: it takes a second to import

    return standalone_compile(graph, list(tensors), dynamic_shapes="from_example_inputs")


def _traced(
    function: Callable[..., Any], arguments: Sequence[Any]
) -> tuple[torch.fx.GraphModule, TreeSpec]:
    """The graph, of flat inputs and outputs, and the form of the outputs."""
    tensors, inputs = tree_flatten(tuple(arguments))
    form: TreeSpec | None = None

    def flat(*given: Tensor) -> tuple[Tensor, ...]:
        nonlocal form
        found, form = tree_flatten(function(*tree_unflatten(given, inputs)))
        return tuple(found)

    try:
        graph = make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)(*tensors)
    except Exception as error:
        function(*arguments)  # what fails uncompiled as well fails for a reason of its own
        raise _cannot(error) from error
    assert form is not None
    return graph, form


def _cannot(error: Exception) -> PartError:
    return PartError(
        f"the step cannot be compiled: {first_line(error)}",
        Whence(error=error),
        '; compile = "never" in [run] does without. PINN_TRACEBACK=1 shows the traceback',
    )
