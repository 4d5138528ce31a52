"""Whether a training step can be compiled: traced once, then run with other numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state
from pinn.testing.small_runs import small_config
from pinn.testing.trial import Trial

CODE = {
    "problem": "a method of the problem",
    "network": "forward",
    "weighting": "update or contributions",
}
"""What a training step calls of a part, by its kind."""

CLOSE = 1e-9


def traced(function: Callable[..., Any], same_points: bool = False) -> Callable[..., Any]:
    """`function` of tensors as what its first call did with them, as compiling sees it."""
    graphs: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        if not graphs:
            graphs.append(make_fx(lambda *inputs: function(*inputs))(*arguments))
        return graphs[0](*arguments)

    return call


def its_training_step_can_be_compiled(trial: Trial) -> None:
    """The step as it was traced gives what the step gives, for other parameters and weights, too."""
    config = small_config(trial, run={"precision": "float64"})
    module, eager, _ = prepare(config)
    state = initial_state(config, module, len(eager.equations.names))
    _, compiled, _ = prepare(config)
    compiled.compiled(traced)
    rule = (
        f"a run of 1,000 steps and more is compiled, so {CODE[trial.kind]} must not look at numbers "
        "(float(x), x.item(), `if x > 0`, x.numpy()): use torch.where, torch.clamp and the like"
    )
    parameters: tuple[Tensor, ...] = eager.parameters
    try:
        compiled.evaluate(parameters, state.points, state.weights)
    except Exception as error:
        raise AssertionError(
            f"the training step cannot be traced ({type(error).__name__}: {_line(error)}): {rule}"
        ) from error
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        noise = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        parameters = tuple(
            (p.detach() + 0.3 * n).requires_grad_() for p, n in zip(parameters, noise, strict=True)
        )
        weights = torch.rand(state.weights.shape, generator=generator, dtype=state.weights.dtype)
        expected = eager.evaluate(parameters, state.points, weights)
        found = compiled.evaluate(parameters, state.points, weights)
        for name in ("residuals", "weights", "terms"):
            one, other = getattr(expected, name), getattr(found, name)
            if not one.numel():  # no equations
                continue
            off = float((one - other).abs().max())
            assert off <= CLOSE * float(one.abs().max()), (
                f"traced at one place and run at another, the training step has {name} that are "
                f"off by {off:.2g}: something was computed once and kept; {rule}"
            )


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
