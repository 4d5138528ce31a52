"""Equilibrium of the learning rates that Adam gives to each parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.adam_snr import adam_scales, adam_states
from pinn.core import Analyzer, Curves, Drawing, Plot, between, option, ordered_colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pinn.core import Records, View

Array = NDArray[np.float64]

DECILES = "learning_rates.deciles"
SOURCE = "Equilibrium of the learning rates: Anagnostopoulos et al., arXiv 2403.18494."


def spread(scales: Array) -> float:
    """Standard deviation of log10 of positive numbers (n,), in decades; NaN is left out."""
    return float(np.std(_logarithms(scales)))


def log_deciles(scales: Array) -> Array:
    """The nine deciles of log10 of positive numbers (n,), ascending; NaN is left out."""
    return np.quantile(_logarithms(scales), np.arange(1, 10) / 10)


def _logarithms(scales: Array) -> Array:
    """Of those that are numbers; one NaN if none is."""
    kept = scales[~np.isnan(scales)]
    return np.log10(kept) if len(kept) else np.array([math.nan])


def drift(before: Array, after: Array, decades: float) -> tuple[float, float]:
    """How fast quantiles of a distribution move: root mean square δ, and mean m.

    δ = √mean_k((q'_k − q_k)²) / `decades`, 0 in equilibrium. |m| ≤ δ: m is what the distribution moves
    as a whole, √(δ² − m²) what its shape does.
    """
    rates = (after - before) / decades
    mean = float(rates.mean())
    return max(float(np.sqrt((rates**2).mean())), abs(mean)), mean


@frozen
class Equilibrium(Analyzer):
    """Spread and drift of Adam's effective learning rates a_j = lr / (√v̂_j + ε), one a parameter j.

    v̂ is the bias-corrected second moment. Total diffusion is said to be an equilibrium of these rates
    (arXiv 2403.18494). The schedule of lr is divided out: spread is the standard deviation over the
    parameters of log10 (a_j / lr), drift how far its nine deciles moved, root mean square, in decades
    per decade of steps, since the newest record at least `across` decades of steps before.

    A drift of 0 says that the distribution of the rates stands still, not that each rate does: two
    parameters may change places unseen. As v̂ remembers 1 / (1 − β₂) steps, after so many a rate rises
    in Δ steps by no more than Δ (1 − β₂) / 2 ln 10 decades, whatever the gradients do. Parameters whose
    gradient was always zero are left out. An optimizer that does not keep both moments has no rates.
    """

    name = "equilibrium"

    across: float = option(
        0.1, "decades of steps that the drift is taken over, at least", between(1e-3, 10)
    )

    def measure(self, view: View) -> Mapping[str, Any]:
        scales = adam_scales(view.optimizer)
        if not scales:
            return {}
        every = np.concatenate([scale.cpu().numpy().ravel() for scale in scales.values()])
        groups = [group for _, group, _ in adam_states(view.optimizer)]
        sizes = [scale.numel() for scale in scales.values()]
        rates = np.repeat([float(group["lr"]) for group in groups], sizes) * every
        now = log_deciles(every)
        moved = ~np.isnan(rates)
        return {
            "learning_rates.median": float(np.median(rates[moved])) if moved.any() else math.nan,
            "learning_rates.spread": spread(every),
            DECILES: now,
            **self._drift(view, now),
        }

    def _drift(self, view: View, now: Array) -> Mapping[str, float]:
        """Nothing where no record is old enough, or none is as young as Adam's memory."""
        done = max(int(state["step"]) for _, _, state in adam_states(view.optimizer))
        latest = view.step / 10**self.across
        steps, deciles = view.records.series(DECILES)
        old_enough = np.flatnonzero((view.step - done < steps) & (steps <= latest))
        if not len(old_enough):
            return {}
        newest = old_enough[-1]
        before = np.asarray(deciles[newest], np.float64)
        moved, mean = drift(before, now, math.log10(view.step / steps[newest]))
        return {"learning_rates.drift": moved, "learning_rates.shift": mean}

    def figures(self, records: Records) -> Iterator[Plot]:
        steps, found = records.series(DECILES)
        if not len(steps):
            return
        yield Drawing(
            name="learning-rates",
            title=f"80 % of Adam's learning rates lie within {found[-1][-1] - found[-1][0]:.2g} decades",
            draw=lambda figure: draw_deciles(figure, records),
            caption="Deciles over the parameters of 1 / (√v̂ + ε), the effective learning rate without "
            f"the schedule of lr. In equilibrium they stand still. {SOURCE}",
            over_steps=True,
        )
        last = records.last("learning_rates.drift")
        if last is not None:
            yield Curves(
                name="learning-rate-drift",
                title=f"The learning rates drift by {last:.2g} decades per decade at the end",
                quantities={"learning_rates.drift": "drift", "learning_rates.spread": "spread"},
                ylabel="decades (per decade)",
                caption="Drift: root mean square over the nine deciles of log10 of 1 / (√v̂ + ε) of how "
                f"far they moved per decade of steps, over at least {self.across:g} decades; 0 is "
                f"equilibrium. Spread: standard deviation over the parameters, in decades. {SOURCE}",
            )


def draw_deciles(figure: Figure, records: Records) -> None:
    """The nine deciles over the steps, their colours in order."""
    steps, found = records.series(DECILES)
    axis = figure.subplots()
    for place, decile in enumerate(found.T):
        axis.semilogy(
            steps, 10**decile, color=ordered_colour(place, 9), label=f"{10 * place + 10} %"
        )
    axis.set_ylabel("1 / (√v̂ + ε)")
    figure.legend(loc="outside upper left", ncols=5, handlelength=1, columnspacing=0.8)
