"""Step-wise signal-to-noise ratio, from the moments that an optimizer keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.core import Analyzer, Curves
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View

Named = dict[str, Any]


def adam_norms(
    first: Sequence[Tensor], second: Sequence[Tensor], eps: float = 1e-8
) -> tuple[float, float, float]:
    """‖m̂‖₂, ‖√v̂ + ε‖₂ and mean |m̂ / (√v̂ + ε)| of bias-corrected moments of all parameters."""
    m = torch.cat([t.reshape(-1).double() for t in first])
    denominator = torch.cat([t.reshape(-1).double() for t in second]).sqrt() + eps
    return float(m.norm()), float(denominator.norm()), float((m / denominator).abs().mean())


def adam_moments(optimizer: torch.optim.Optimizer) -> tuple[list[Tensor], list[Tensor]]:
    """Bias-corrected moments m̂, v̂ of an optimizer that keeps them; empty for one that does not."""
    first, second = [], []
    for _, group, state in adam_states(optimizer):
        beta1, beta2 = group["betas"]
        steps = float(state["step"])
        first.append(state["exp_avg"] / (1 - beta1**steps))
        second.append(state["exp_avg_sq"] / (1 - beta2**steps))
    return first, second


def adam_states(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Tensor, Named, Named]]:
    """Each parameter of which both moments are kept, the options of its group, and its state."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if {"exp_avg", "exp_avg_sq", "step"} <= state.keys() and "betas" in group:
                yield parameter, group, state


def adam_scales(optimizer: torch.optim.Optimizer) -> dict[Tensor, Tensor]:
    """1 / (√v̂ + ε) of each parameter of which both moments are kept, float64: the rate is lr times that.

    NaN where v̂ = 0: a number whose gradient was always zero has never moved, whatever its rate.
    """
    scales = {}
    moments = zip(adam_states(optimizer), adam_moments(optimizer)[1], strict=True)
    for (parameter, group, _), second in moments:
        root = second.double().sqrt()
        scales[parameter] = torch.where(root > 0, 1 / (root + group.get("eps", 1e-8)), torch.nan)
    return scales


@frozen
class AdamSignalToNoise(Analyzer):
    """SNR from one step to the next, from Adam's moments: ‖m̂‖ / ‖√v̂ + ε‖ over all parameters.

    Nothing is computed again, so every step can be measured (`every = 1`). It has nothing to say of an
    optimizer that does not keep both moments.
    """

    name = "adam-snr"

    def measure(self, view: View) -> Mapping[str, Any]:
        first, second = adam_moments(view.optimizer)
        if not first:
            return {}
        eps = view.optimizer.param_groups[0].get("eps", 1e-8)
        mean, root, each = adam_norms(first, second, eps)
        return {
            "adam_snr": mean / root,
            "adam_snr.mean": each,
            "adam_first_moment_norm": mean,
            "adam_second_moment_norm": root,
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        yield Curves(
            name="adam-snr",
            title="Do the gradients of successive steps agree?",
            quantities={"adam_snr": "‖m̂‖ / ‖√v̂ + ε‖", "adam_snr.mean": "mean |m̂ / (√v̂ + ε)|"},
            ylabel="step-wise SNR",
            caption="Adam's running mean of the gradient over the root of its running square: 1 when "
            "every step pulls the same way (arXiv 2403.18494).",
            noisy=True,
        )
