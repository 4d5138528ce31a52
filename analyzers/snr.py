"""Gradient signal-to-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.core import Analyzer, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import View


def moments(gradients: Tensor) -> tuple[float, float]:
    """‖μ‖₂ and ‖σ‖₂ of batch gradients (batches, …), in float64.

    μ is the mean over the batches and σ the population standard deviation, elementwise. σ is taken from
    the differences to μ: ‖σ‖² = mean‖g‖² − ‖μ‖² would cancel where the ratio is large.
    """
    flat = gradients.reshape(len(gradients), -1).double()
    mean = flat.mean(0)
    return float(mean.norm()), float((flat - mean).norm()) / math.sqrt(len(flat))


def snr(gradients: Tensor) -> float:
    """SNR = ‖μ‖₂ / ‖σ‖₂ of batch gradients (batches, …); infinite where all batches agree.

    Anagnostopoulos et al., arXiv 2403.18494, eq. for the batch-wise SNR.
    """
    return ratio(*moments(gradients))


def ratio(mean: float, deviation: float) -> float:
    if deviation == 0:
        return math.inf if mean > 0 else math.nan
    return mean / deviation


def gradient_order(ratio: float) -> float:
    """φ_g = ‖μ‖ / ‖rms_b g_b‖ = SNR / √(1 + SNR²), between 0 and 1."""
    return 1.0 if math.isinf(ratio) else ratio / math.hypot(1.0, ratio)


def adam_snr(
    first: Sequence[Tensor], second: Sequence[Tensor], eps: float = 1e-8
) -> tuple[float, float]:
    """‖m̂‖₂ / ‖√v̂ + ε‖₂ and mean |m̂ / (√v̂ + ε)| of bias-corrected moments of all parameters."""
    m = torch.cat([t.reshape(-1).double() for t in first])
    denominator = torch.cat([t.reshape(-1).double() for t in second]).sqrt() + eps
    return float(m.norm() / denominator.norm()), float((m / denominator).abs().mean())


def adam_moments(optimizer: torch.optim.Optimizer) -> tuple[list[Tensor], list[Tensor]]:
    """Bias-corrected moments of an optimizer that keeps them; empty for one that does not."""
    first, second = [], []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if {"exp_avg", "exp_avg_sq", "step"} <= state.keys() and "betas" in group:
                beta1, beta2 = group["betas"]
                steps = float(state["step"])
                first.append(state["exp_avg"] / (1 - beta1**steps))
                second.append(state["exp_avg_sq"] / (1 - beta2**steps))
    return first, second


@frozen
class SignalToNoise(Analyzer):
    """Gradient SNR over batches of the points: whole network, PDE part, per layer; Adam SNR.

    Over weight matrices, biases excluded. The batches are contiguous blocks of the interior points;
    every batch has the full condition losses, so that σ is that of the PDE part alone.
    """

    name = "snr"
    shows = "snr"

    batches: int = option(100, "blocks that the interior points are cut into", at_least(2))

    def measure(self, view: View) -> Mapping[str, Any]:
        count = min(self.batches, len(view.points.interior))
        gradients = view.batch_gradients(count)
        pde, whole, squared = 0.0, 0.0, 0.0
        found: dict[str, Any] = {}
        for name, own, shared in zip(
            gradients.names, gradients.pde, gradients.conditions, strict=True
        ):
            if own.ndim < 3:
                continue
            pde_mean, deviation = moments(own)
            mean = float((own.double().mean(0) + shared.double()).norm())
            found[f"snr.{name}"] = ratio(mean, deviation)
            pde, whole, squared = pde + pde_mean**2, whole + mean**2, squared + deviation**2
        deviation = math.sqrt(squared)
        batch_snr = ratio(math.sqrt(whole), deviation)
        pde_snr = ratio(math.sqrt(pde), deviation)
        return {
            "snr": batch_snr,
            "snr.pde": pde_snr,
            "gradient_order": gradient_order(batch_snr),
            "gradient_order.pde": gradient_order(pde_snr),
            "gradient_mean_norm": math.sqrt(whole),
            "gradient_std_norm": deviation,
            **found,
            **self._adam(view.optimizer),
        }

    @staticmethod
    def _adam(optimizer: torch.optim.Optimizer) -> dict[str, float]:
        first, second = adam_moments(optimizer)
        if not first:
            return {}
        total, mean = adam_snr(first, second, optimizer.param_groups[0].get("eps", 1e-8))
        return {"adam_snr": total, "adam_snr.mean": mean}
