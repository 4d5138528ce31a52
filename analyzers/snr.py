"""Gradient signal-to-noise ratio."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, frozen

from pinn.core import Analyzer, Curves, at_least, choice, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import BatchGradients, Plot, Records, View

SOURCE = "Anagnostopoulos et al., arXiv 2403.18494"


def moments(gradients: Tensor) -> tuple[float, float]:
    """‖μ‖₂ and ‖σ‖₂ of batch gradients (batches, …), in float64.

    μ is the mean over the batches and σ the population standard deviation, elementwise. σ is taken from
    the differences to μ: ‖σ‖² = mean‖g‖² − ‖μ‖² would cancel where the ratio is large.
    """
    running = Moments()
    running.add(gradients)
    return running.mean_norm(), running.deviation


@define
class Moments:
    """Mean and scatter of vectors that come piece by piece (Chan, Golub & LeVeque 1983)."""

    count: int = 0
    mean: Any = 0.0
    """(size,), float64"""
    scatter: float = 0.0
    """Σ_b ‖g_b − mean‖²"""

    def add(self, vectors: Tensor) -> None:
        """Further vectors (n, …)."""
        flat = vectors.reshape(len(vectors), -1).double()
        mean = flat.mean(0)
        scatter = float((flat - mean).square().sum())
        total = self.count + len(flat)
        shift = mean - self.mean
        if self.count:
            scatter += float(shift.square().sum()) * self.count * len(flat) / total
        self.mean = self.mean + shift * (len(flat) / total)
        self.scatter += scatter
        self.count = total

    @property
    def deviation(self) -> float:
        """‖σ‖₂"""
        return math.sqrt(self.scatter / self.count)

    def mean_norm(self, shared: Tensor | float = 0.0) -> float:
        """‖μ + shared‖₂"""
        return float((self.mean + shared).norm())


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


def directional_snr(gradients: Tensor) -> float:
    """SNR of the directions g_b / ‖g_b‖ of batch gradients (batches, …); batches without one left out.

    Every batch counts the same, however large its gradient.
    """
    unit = directions(gradients.reshape(len(gradients), -1).double())
    return snr(unit) if len(unit) else math.nan


def directions(vectors: Tensor) -> Tensor:
    """The rows of (n, size) divided by their norms, without those that are zero."""
    norms = vectors.norm(dim=1, keepdim=True)
    some = norms[:, 0] > 0
    return vectors[some] / norms[some]


def alignment(order: float) -> float:
    """2 ‖mean_b g_b / ‖g_b‖‖² − 1, from −1 to 1; `order` is the gradient order of the directions.

    The directions have length 1, so that their order φ is the length of their mean. Wang, Bhartari, Li
    & Perdikaris 2025, *Gradient alignment in physics-informed neural networks*, arXiv 2502.00604.
    """
    return 2 * order**2 - 1


@define
class _Tally:
    """Moments of batch gradients, matrix by matrix, and of their directions."""

    matrices: dict[str, Moments]
    directions: Moments

    @classmethod
    def of(cls, pieces: Iterable[BatchGradients]) -> tuple[_Tally, dict[str, Tensor]]:
        """And the gradients of the conditions, by the name of the matrix."""
        tally, shared = cls({}, Moments()), {}
        for piece in pieces:
            whole = []
            for name, own, same in zip(piece.names, piece.pde, piece.conditions, strict=True):
                if same.ndim < 2:
                    continue
                own, shared[name] = own.flatten(1).double(), same.flatten().double()
                tally.matrices.setdefault(name, Moments()).add(own)
                whole.append(own + shared[name])
            if whole and len(unit := directions(torch.cat(whole, 1))):
                tally.directions.add(unit)
        return tally, shared


@frozen
class SignalToNoise(Analyzer):
    """Gradient SNR over batches of the points: whole network, PDE part, per layer, of directions.

    Over weight matrices, biases excluded. Every batch has the full condition losses, so that σ is that
    of the PDE part alone.
    """

    name = "snr"
    shows = "snr"

    batches: int = option(100, "that the interior points are divided into", at_least(2))
    partition: str = option(
        "contiguous",
        "contiguous blocks, as the authors have it; random: drawn anew each time; "
        "points: every point a batch",
        choice("contiguous", "random", "points"),
    )

    def measure(self, view: View) -> Mapping[str, Any]:
        tally, shared = _Tally.of(self._pieces(view))
        means = {name: m.mean_norm(shared[name]) for name, m in tally.matrices.items()}
        deviations = {name: m.deviation for name, m in tally.matrices.items()}
        mean, deviation = math.hypot(*means.values()), math.hypot(*deviations.values())
        pde = ratio(math.hypot(*(m.mean_norm() for m in tally.matrices.values())), deviation)
        whole = ratio(mean, deviation)
        return {
            "snr": whole,
            "snr.pde": pde,
            "gradient_order": gradient_order(whole),
            "gradient_order.pde": gradient_order(pde),
            "gradient_mean_norm": mean,
            "gradient_std_norm": deviation,
            **{f"snr.{name}": ratio(means[name], deviations[name]) for name in means},
            **_directional(tally.directions),
        }

    def _pieces(self, view: View) -> Iterable[BatchGradients]:
        if self.partition == "points":
            return view.point_gradients()
        count = min(self.batches, len(view.points.interior))
        return [view.batch_gradients(count, shuffled=self.partition == "random")]

    def figures(self, records: Records) -> Iterable[Plot]:
        yield Curves(
            name="snr",
            title=_title(records),
            quantities={"snr": "loss", "snr.pde": "PDE part", "snr.directional": "directions"},
            ylabel="SNR = ‖μ‖ / ‖σ‖",
            caption="Mean over standard deviation of the gradients of batches of points. Above 1 the "
            f"batches agree on where to go, below 1 they pull apart ({SOURCE}).",
            noisy=True,
        )
        layers = [n for n in records.rows.columns if re.fullmatch(r"snr\..*weight", n)]
        yield Curves(
            name="snr-layers",
            title="The same ratio, weight matrix by weight matrix",
            quantities={name: f"layer {i}" for i, name in enumerate(_in_order(layers), 1)},
            ylabel="SNR of the layer",
            caption="Layers are numbered from the input on.",
            noisy=True,
            ordered=True,
        )


def _directional(tally: Moments) -> dict[str, float]:
    if not tally.count:
        return {"snr.directional": math.nan, "alignment": math.nan}
    found = ratio(tally.mean_norm(), tally.deviation)
    return {"snr.directional": found, "alignment": alignment(gradient_order(found))}


def _in_order(names: Collection[str]) -> list[str]:
    """As they come, which is the order of the network, and 2 before 10 where only numbers differ."""
    kinds = {name: re.sub(r"\d+", "", name) for name in names}
    first = list(dict.fromkeys(kinds.values()))

    def place(name: str) -> tuple[int, list[int]]:
        return first.index(kinds[name]), [int(number) for number in re.findall(r"\d+", name)]

    return sorted(names, key=place)


def _title(records: Records) -> str:
    last = records.last("snr")
    if last is None:
        return "Do the gradients of the points agree?"
    agree = "agree" if last > 1 else "disagree"
    return f"At the end the gradients of the points {agree}: SNR {last:.2g}"
