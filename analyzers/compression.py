"""Compression and saturation of the hidden layers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.compression_binning import (
    Array,
    entropy,
    mutual_information,
    positions,
    symbols,
)
from pinn.analyzers.phases_transition import around
from pinn.analyzers.recent import lately
from pinn.core import (
    Analyzer,
    Conclusion,
    Curves,
    Drawing,
    Plot,
    Schedule,
    above,
    at_least,
    between,
    option,
    ordered_colour,
)
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from pinn.core import Records, Shape, View

SOURCE = "Anagnostopoulos et al., arXiv 2403.18494."
BIT = 0.5  # bits that an axis spans at least: less is rounding of the bins
STUCK = 0.8  # share of binary activations from which a layer hardly passes gradients on
EVERYWHERE = slice(None)
TRAJECTORY = 100  # points of one line of the information plane: more would hide one another


def saturation(positions: Array) -> float:
    """Percentage of activations within one bin width of their neuron's lowest or highest value.

    The mean over the neurons, from `binning.positions` (points, neurons). A neuron whose range is less
    than three bins counts as 0: all that it does lies near an end, and it moves too little to saturate.
    NaN where a position is.
    """
    distances = np.abs(positions)
    ends = distances.max(0)
    if np.isnan(ends).any():
        return math.nan
    near_end = np.where(2 * ends >= 3, ends - 1, math.inf)
    return 100 * float(np.mean(distances >= near_end))


def binarisation(activations: Array, threshold: float) -> float:
    """Share, 0 to 1, of activations with |a| ≥ threshold: of tanh, those that are nearly ±1."""
    return float(np.mean(np.abs(activations) >= threshold))


def layer_measures(
    activations: Array,
    target: NDArray[np.int64] | None,
    bins: int,
    threshold: float,
    known: NDArray[np.bool_] | slice = EVERYWHERE,
) -> dict[str, float]:
    """I(X; T) and I(T; Y) in bits, saturation in percent, binarisation: of one layer (points, neurons).

    T is a function of X, so that I(X; T) = H(T), of which the share kept is H(T) / log₂ N, NaN of one
    point. `target` holds the symbols of Y at the points that are `known`, where I(T; Y) is taken; None:
    no reference. All are NaN where an activation is not finite.
    """
    names = ["information_xt", "information_kept", "saturation", "binarisation"]
    if target is not None:
        names.append("information_ty")
    placed = positions(activations, bins)
    if not np.isfinite(placed).all():
        return dict.fromkeys(names, math.nan)
    layer = symbols(placed)
    told = entropy(layer)
    kept = told / math.log2(len(layer)) if len(layer) > 1 else math.nan
    found = [told, kept, saturation(placed), binarisation(activations, threshold)]
    if target is not None:
        found.append(mutual_information(layer[known], target))
    return dict(zip(names, found, strict=True))


def uniform_points(count: int, domain: Shape) -> Array:
    """Points of the domain, (count, dimension), always the same ones."""
    return domain.uniform(count, np.random.default_rng(0))


@frozen
class Compression(Analyzer):
    """What the hidden layers keep of the points, their saturation, and the norms of the weights.

    Per layer: I(X; T) and I(T; Y) in bits by relative binning of N points, Y the reference solution
    there, taken where it is known; saturation in percent; binarisation. Frobenius norms of the weight
    matrices.
    I(X; T) is at most `information_x` = log₂ N, I(T; Y) at most `information_y` = H(Y).

    Where points are few, every one has a T of its own, in an untrained network too, and "loses nothing"
    says little: with `points` so many are drawn in the domain, the same at every step and in every run.
    Step 1 is measured too: the network before training but for one step, in which Adam moves every
    parameter by its learning rate at most. What is lost since then, training has lost.
    """

    name = "compression"
    schedule = Schedule(at=(1,))

    points: int = option(
        0, "points drawn uniformly in the domain; 0: the interior points", at_least(0)
    )
    bins: int = option(30, "bins in the mean range of a layer's neurons", between(1, 1_000_000))
    binary_above: float = option(0.9, "an activation of at least this size is binary", above(0))

    def measure(self, view: View) -> Mapping[str, Any]:
        found = {
            f"weight_norm.{name}": float(weight.double().norm())
            for name, weight in view.parameters.items()
            if weight.ndim >= 2
        }
        hidden, fields = self._seen(view)
        if not hidden:
            return found
        found["information_x"] = math.log2(self.points or len(view.points.interior))
        known, target = self._target(fields or {})
        if target is not None:
            found["information_y"] = entropy(target)
        for layer, activations in hidden.items():
            values = activations.cpu().numpy()
            measures = layer_measures(values, target, self.bins, self.binary_above, known)
            found |= {f"{name}.{layer}": value for name, value in measures.items()}
        return found

    def _seen(self, view: View) -> tuple[Mapping[str, Tensor], Mapping[str, Array] | None]:
        """The hidden layers and the reference solution, at the points of this analyzer."""
        if not self.points:
            return view.activations, view.reference_at_points
        points = uniform_points(self.points, view.problem.domain)
        hidden = view.activations_at(torch.as_tensor(points).to(view.points.interior))
        return hidden, view.reference.at(points) if view.reference else None

    def _target(
        self, fields: Mapping[str, Array]
    ) -> tuple[NDArray[np.bool_] | slice, NDArray[np.int64] | None]:
        """The points where the reference solution is known, and the symbols of Y there, if any."""
        if not fields:
            return EVERYWHERE, None
        known: NDArray[np.bool_] = np.all(np.isfinite([*fields.values()]), axis=0)
        if not known.any():
            return EVERYWHERE, None
        placed = [positions(field[known, None], self.bins) for field in fields.values()]
        return known, symbols(np.hstack(placed)) if np.isfinite(placed).all() else None

    def figures(self, records: Records) -> Iterator[Plot]:
        yield from per_layer(
            records,
            "saturation",
            "{layer} saturates most: {value:.0f} % of its activations",
            "saturation (%)",
            "Mean over a layer's neurons of the share of points within one bin width of the neuron's "
            "lowest or highest value. The bin width is the mean range of the layer's neurons over "
            f"{self.bins}; a neuron of less than three bins counts as 0. {SOURCE}",
        )
        yield from plane(records)
        bits = "{value:.2f} of {bound:.2f} bits"
        yield from per_layer(
            records,
            "information_xt",
            "{layer} keeps least of the points: " + bits,
            "I(X; T) (bits)",
            "I(X; T) = H(T) = −Σ p log₂ p over the distinct rows of binned activations of a layer, at "
            "most log₂ N for N points. A fall is compression: points that the layer no longer tells "
            f"apart. Where N is small, untrained networks tell nearly all apart as well. {SOURCE}",
            choose=min,
            bound="information_x",
        )
        yield from per_layer(
            records,
            "information_ty",
            "{layer} says least about the solution: " + bits,
            "I(T; Y) (bits)",
            "I(T; Y) = H(T) + H(Y) − H(T, Y), Y the binned reference solution at the points; at most "
            f"H(Y). {SOURCE}",
            choose=min,
            bound="information_y",
        )
        yield from per_layer(
            records,
            "binarisation",
            "{layer} is the most binary: a share of {value:.2g}",
            "share of activations",
            f"Share of a layer's activations of at least {self.binary_above:g} in absolute value: of "
            f"tanh, those that are nearly −1 or 1. {SOURCE}",
        )
        yield from per_layer(
            records,
            "weight_norm",
            "{layer} has the largest norm: {value:.3g}",
            "Frobenius norm",
            "‖W‖ = √(Σ w²) of each weight matrix.",
            log=True,
        )

    def conclusions(self, records: Records) -> Iterator[Conclusion]:
        begun = records.last("total_diffusion")
        changes = [] if begun is None else list(at_transition(records, begun))
        if changes:
            yield Conclusion(
                f"When total diffusion began, {', '.join(changes)} (means over the layers, medians of "
                "half a decade before and after).",
                source=SOURCE.rstrip("."),
            )
        shares = {
            label: lately(records, name) for name, label in layers(records, "binarisation").items()
        }
        stuck = {
            label: share for label, share in shares.items() if share is not None and share > STUCK
        }
        if stuck:
            worst = max(stuck, key=lambda label: stuck[label])
            yield Conclusion(
                f"{stuck[worst]:.0%} of the activations of {worst} lie beyond ±{self.binary_above:g}: "
                "the layer is saturated, and its gradients vanish.",
                "a smaller learning rate from the beginning, coordinates mapped to [−1, 1] ([network] "
                'normalise = true), or activation = "sin"',
                "Glorot & Bengio 2010",
            )


def at_transition(records: Records, step: int) -> Iterator[str]:
    """What changes across this step, in words; nothing of what was not measured on both sides."""
    forms = {
        "saturation": "saturation went from {:.0f} to {:.0f} %",
        "binarisation": "the share of binary activations from {:.2f} to {:.2f}",
        "weight_norm": "the norm of the weights from {:.3g} to {:.3g}",
    }
    for quantity, form in forms.items():
        changes = [around(*records.series(name), step) for name in layers(records, quantity)]
        sides = [(change.before, change.after) for change in changes]
        if sides and np.isfinite(sides).all():
            yield form.format(*np.mean(sides, axis=0))


def per_layer(
    records: Records,
    quantity: str,
    title: str,
    ylabel: str,
    caption: str,
    choose: Callable[..., str] = max,
    bound: str = "",
    log: bool = False,
) -> Iterator[Curves]:
    """A quantity of every layer over the steps; nothing where it was not recorded.

    The title is about the layer whose last value `choose` picks, and the last value of `bound`.
    """
    shown = layers(records, quantity)
    ends = {label: records.last(name) for name, label in shown.items()}
    last = {label: value for label, value in ends.items() if value is not None}
    if not last:
        return
    chosen = choose(last, key=last.__getitem__)
    least = float(np.nanmin(np.concatenate([records.series(name)[1] for name in shown])))
    most = records.last(bound)
    place = f"Layer {chosen[6:]} of {len(shown)}" if chosen.startswith("layer ") else chosen
    yield Curves(
        name=quantity.replace("_", "-"),
        title=title.format(layer=place, value=last[chosen], bound=most or 0.0),
        quantities=shown,
        ylabel=ylabel,
        caption=caption,
        log=log,
        limits=None if most is None else (min(least, most - BIT), most),
        ordered=True,
    )


def layers(records: Records, quantity: str) -> dict[str, str]:
    """{recorded name: label} of a quantity of every layer, in the order in which they were recorded."""
    names = (name for name in records.rows.columns if name.startswith(f"{quantity}."))
    return {name: re.sub(r"^layer(?=\d)", "layer ", name.split(".", 1)[1]) for name in names}


def plane(records: Records) -> Iterator[Drawing]:
    """The information plane; nothing where there is no reference solution."""
    ends = (records.last(name) for name in layers(records, "information_ty"))
    told = [value for value in ends if value is not None]
    if not told:
        return
    bound = records.last("information_y")
    yield Drawing(
        name="information-plane",
        title=f"Every layer holds at least {min(told):.2f} of the solution's {bound:.2f} bits",
        draw=lambda figure: draw_plane(figure, records),
        caption="Information plane, one line a layer: what it keeps of the points, against what it says "
        "about the solution. Open circles are the first measurement, filled ones the last. A layer that "
        "compresses moves to the left, one that learns moves up. Dashed: H(Y), all that there is to "
        f"say. {SOURCE}",
        height=2.8,
    )


def draw_plane(figure: Figure, records: Records) -> None:
    """I(X; T) against I(T; Y), one line a layer."""
    axis = figure.subplots()
    names = layers(records, "information_xt")
    for place, (name, label) in enumerate(names.items()):
        pair = name, name.replace("xt", "ty", 1)
        path = np.array([records.rows.aligned(n) for n in pair])
        path = path[:, np.isfinite(path).all(0)]
        if path.size:
            kept = np.unique(np.geomspace(1, path.shape[1], TRAJECTORY).astype(int)) - 1
            x, y = path[:, kept]
            colour = ordered_colour(place, len(names))
            axis.plot(x, y, color=colour, linewidth=0.8, alpha=0.6)
            axis.plot(x[0], y[0], "o", markersize=5, color=colour, markerfacecolor="none")
            axis.plot(
                x[-1], y[-1], "o", markersize=5, color=colour, label=label.removeprefix("layer ")
            )
    axis.axhline(
        records.last("information_y"), color="grey", linewidth=0.8, linestyle="--", zorder=0
    )
    for low, high, widen in ((*axis.get_xlim(), axis.set_xlim), (*axis.get_ylim(), axis.set_ylim)):
        span = max(high - low, BIT)
        widen(high - span, high + 0.04 * span)
    axis.set_xlabel("I(X; T) (bits)")
    axis.set_ylabel("I(T; Y) (bits)")
    figure.legend(
        loc="outside upper left",
        title="layer",
        alignment="left",
        ncols=min(len(names), 8),
        handlelength=1,
    )
