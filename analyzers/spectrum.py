"""Eigenvalues of the neural tangent kernel of the residuals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.spectrum_jacobian import ResidualFunction, jacobian
from pinn.analyzers.spectrum_lanczos import EPS, Array, Product, estimate
from pinn.core import (
    Analyzer,
    Curves,
    Drawing,
    Plot,
    Schedule,
    at_least,
    between,
    option,
    ordered_colour,
)
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from pinn.core import Records, View

SOURCE = (
    "Jacot, Gabriel & Hongler, NeurIPS 2018; Wang, Yu & Perdikaris, J. Comput. Phys. 449, 2022; "
    "effective rank: Roy & Vetterli, EUSIPCO 2007."
)
POINTS = 4096  # points that a product with a vector takes at once


def kernel(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> Array:
    """K = J Jᵀ in float64, (rows, rows) as in `jacobian`; all of J is held in memory."""
    blocks = zip(*jacobian(residual_function, parameters, points), strict=True)
    columns = (torch.cat(block).double() for block in blocks)
    total = torch.stack([j @ j.T for j in columns]).sum(0)
    return np.asarray(total.cpu())


def kernel_trace(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> float:
    """tr K = Σ J², with one piece of J in memory."""
    pieces = jacobian(residual_function, parameters, points)
    return math.fsum(float(j.double().square().sum()) for piece in pieces for j in piece)


def kernel_product(
    residual_function: ResidualFunction, parameters: Sequence[Tensor], points: Tensor
) -> Product:
    """v → J (Jᵀ v), without J: one backward and one forward derivative; rows are (equations, points)."""
    own = tuple(parameters)
    pieces = points.split(POINTS)

    def product(vector: Array) -> Array:
        weights = torch.as_tensor(vector).to(own[0]).reshape(-1, len(points)).split(POINTS, 1)
        backward = [
            torch.func.vjp(lambda p, x=x: residual_function(p, x), own)[1](w)[0]
            for x, w in zip(pieces, weights, strict=True)
        ]
        direction = tuple(map(sum, zip(*backward, strict=True)))
        forward = [
            torch.func.jvp(lambda p, x=x: residual_function(p, x), (own,), (direction,))[1]
            for x in pieces
        ]
        return torch.cat(forward, 1).detach().double().cpu().numpy().ravel()

    return product


def effective_rank(eigenvalues: Array, multiplicities: Array | None = None) -> float:
    """exp(−Σ p ln p), p = λ / Σ λ: between 1 and n, and n where all are equal; NaN where all are 0.

    Args:
        eigenvalues: λ; negative ones, which are rounding, count as 0.
        multiplicities: how often each λ counts; once if left out.

    Roy & Vetterli, EUSIPCO 2007.
    """
    largest = eigenvalues.max()
    if not largest > 0:
        return math.nan
    scaled = eigenvalues / largest
    counts = np.ones_like(scaled) if multiplicities is None else multiplicities
    counts, scaled = counts[scaled > 0], scaled[scaled > 0]
    total = float(counts @ scaled)
    # −Σ p ln p = ln Σλ − Σ λ ln λ / Σλ: p itself may round to 0.
    rank = total * math.exp(-float((counts * scaled) @ np.log(scaled)) / total)
    return max(min(rank, float(counts.sum())), 1.0)


def interdependence(kernel: Array, equations: int = 1) -> dict[str, float]:
    """How far samples depend on each other: to first order a step along ∇r_j changes r_i by K_ij.

    - ntk.off_diagonal: Σ_{i≠j} |K_ij| / Σ_ij |K_ij|, i and j points: the share of K that belongs to
      different ones. 0 if their gradients are orthogonal, 1 − 1/n if all n are the same. It grows with
      n: gradients of one length with mean |cosine| c have (n − 1) c / (1 + (n − 1) c).
    - ntk.cosine: mean of |K_ij| / √(K_ii K_jj) over pairs of different points, between 0 and 1, whatever
      the scale of each row: √(2 / (π p)) for random gradients in p parameters, 0.003 at p = 83,000. Rows
      without a gradient are left out.

    NaN where K is not finite or zero, and of a single point.

    Args:
        kernel: K = J Jᵀ, (rows, rows); rows are points, and for each point its equations.
        equations: per point. Pairs of equations at one point do not count as different points.

    Anagnostopoulos et al., arXiv 2403.18494, for the interdependence of samples through the PDE; the
    mean cosine is the stiffness of Fort et al., arXiv 1901.09491, without its sign, which is that of r.
    """
    sizes, scale = np.abs(kernel), float(np.abs(kernel).max())
    point = np.arange(len(kernel)) // equations
    different = point[:, None] != point
    if not (different.any() and 0 < scale < math.inf):
        return {"ntk.off_diagonal": math.nan, "ntk.cosine": math.nan}
    lengths = np.sqrt(np.diag(sizes))
    pairs = different & np.outer(lengths > 0, lengths > 0)
    cosines = (sizes[pairs] / np.outer(lengths, lengths)[pairs]).clip(max=1)
    return {
        "ntk.off_diagonal": float((sizes[different] / scale).sum() / (sizes / scale).sum()),
        "ntk.cosine": float(cosines.mean()) if pairs.any() else math.nan,
    }


def eigenvalue_measures(
    values: Array, multiplicities: Array, trace: float, resolution: float
) -> dict[str, float]:
    """The numbers of a spectrum; NaN where a value is.

    Args:
        values: eigenvalues.
        multiplicities: how often each counts.
        trace: the sum of all eigenvalues.
        resolution: eigenvalues up to this share of the largest cannot be told from 0. The condition
            number is infinite where the smallest is one of them; the numerical rank counts the others.
    """
    largest, smallest = float(values.max()), max(float(values.min()), 0.0)
    if math.isnan(smallest):
        condition = rank = math.nan
    else:
        condition = largest / smallest if smallest > resolution * largest else math.inf
        rank = float(multiplicities[values > resolution * largest].sum())
    return {
        "ntk.trace": trace,
        "ntk.largest": largest,
        "ntk.smallest": smallest,
        "ntk.condition_number": condition,
        "ntk.effective_rank": effective_rank(values, multiplicities),
        "ntk.numerical_rank": rank,
    }


@frozen
class Spectrum(Analyzer):
    """Eigenvalues of the neural tangent kernel K = J Jᵀ of the residuals, J = ∂r/∂θ.

    Rows of J are the unweighted residuals of all equations at evenly spaced interior points, columns
    all parameters; the conditions are left out. `ntk.eigenvalues` holds the eigenvalues, descending.
    What K has off its diagonal, where all of K is known, says how far samples depend on each other.

    Up to `exact` rows from all of K, with memory for J, rows x parameters. In gradients of the loss over
    the chosen points, a network of 6 x 128 on a CPU costs 40 at 256 rows, 150 at 1024. Above, by Lanczos
    quadrature, with the memory of a few gradients: about 3 (1 + `vectors`) `steps` + 20 of them. There
    the trace and the leading eigenvalues are exact, the ranks estimates, the smallest an upper bound,
    and `ntk.eigenvalues` is null behind those that converged.

    Jacot, Gabriel & Hongler, NeurIPS 2018; Wang, Yu & Perdikaris, J. Comput. Phys. 449, 2022.
    """

    name = "spectrum"
    schedule = Schedule(every=1000, early_every=50)

    points: int = option(256, "interior points, evenly spaced in their order; 0: all", at_least(0))
    exact: int = option(1024, "most rows, equations times points, of a full kernel", at_least(0))
    steps: int = option(20, "Lanczos steps per vector, above `exact` rows", between(1, 10_000))
    vectors: int = option(
        4, "random vectors that estimate the tail of the spectrum", between(1, 10_000)
    )

    def measure(self, view: View) -> Mapping[str, Any]:
        parameters, interior = tuple(view.parameters.values()), view.points.interior
        points = interior[evenly_spaced(interior, self.points)]
        equations = len(view.residual_function(parameters, points[:1]))
        rows = equations * len(points)
        number = torch.finfo(points.dtype)
        network = view.residual_function, parameters, points
        if rows <= self.exact:
            # The rounding of J, δ, moves its singular values by δ, so their squares from 0 by δ².
            return _exact(kernel(*network), equations, max(rows * EPS, number.eps**2))
        trace = kernel_trace(*network)
        if not trace * math.sqrt(rows) < number.max:  # NaN, or products that overflow
            return _unknown(self.steps)
        signs = torch.randint(2, (1 + self.vectors, rows), generator=view.generator(self.name))
        starts = (2.0 * signs - 1).double().numpy()
        resolution = max(rows * EPS, number.eps)
        found = estimate(kernel_product(*network), starts, self.steps, trace, resolution)
        leading = np.full(self.steps, math.nan)
        leading[: len(found.leading)] = found.leading
        numbers = eigenvalue_measures(found.values, found.multiplicities, trace, resolution)
        rank = min(numbers["ntk.numerical_rank"], float(rows))
        return {**numbers, "ntk.numerical_rank": rank, "ntk.eigenvalues": leading}

    def figures(self, records: Records) -> Iterator[Plot]:
        rank = _known(records, "ntk.effective_rank")
        if not len(rank):
            return
        yield Drawing(
            name="ntk-spectrum",
            title=f"Effective rank of the tangent kernel: {rank[0]:.1f} → {rank[-1]:.1f}",
            draw=lambda figure: draw_spectra(figure, records),
            caption="Eigenvalues λ of K = J Jᵀ, J the derivative of the residuals by the parameters, as "
            "far as they can be told from 0. Gradient descent reduces the part of the residual along an "
            f"eigenvector at the rate λ: a steep spectrum learns a few directions only. {SOURCE}",
        )
        yield Curves(
            name="ntk-rank",
            title=f"Directions the residuals learn in: {rank[-1]:.1f} at the end",
            quantities={
                "ntk.effective_rank": "effective rank",
                "ntk.numerical_rank": "numerical rank",
            },
            ylabel="rank",
            caption="Effective rank exp(−Σ p ln p), p = λ / Σ λ, and the number of eigenvalues that can "
            f"be told from 0. {SOURCE}",
        )
        yield Curves(
            name="ntk-largest",
            title="Largest eigenvalue and trace of the tangent kernel",
            quantities={"ntk.largest": "largest eigenvalue", "ntk.trace": "trace"},
            ylabel="eigenvalue",
            caption="The trace is the sum of all eigenvalues: where both agree, one direction has all. "
            + SOURCE,
        )
        if len(_known(records, "ntk.condition_number")):
            yield Curves(
                name="ntk-condition",
                title="Condition number of the tangent kernel",
                quantities={"ntk.condition_number": "condition number"},
                ylabel="λ_max / λ_min",
                caption="Infinite, and left out, where the smallest eigenvalue cannot be told from 0. "
                + SOURCE,
            )
        if len(_known(records, "ntk.cosine")):
            yield Curves(
                name="ntk-interdependence",
                title="How far samples depend on each other",
                quantities={
                    "ntk.cosine": "mean |cosine| of two gradients",
                    "ntk.off_diagonal": "share of Σ |K| off the diagonal",
                },
                ylabel="cosine, share",
                caption="A step along the gradient of one residual changes another by K_ij. Mean of "
                "|K_ij| / √(K_ii K_jj) over pairs of points: 1 if all are one sample, next to 0 for "
                "random gradients; and Σ_{i≠j} |K_ij| / Σ_ij |K_ij|, which is near 1 for many points "
                "already where the cosine is small. Anagnostopoulos et al., arXiv 2403.18494; Fort et "
                "al., arXiv 1901.09491.",
                log=False,
                limits=(0, 1.02),
            )


def _known(records: Records, name: str) -> Array:
    """What was recorded of it and is a number."""
    values: Array = records.series(name)[1]
    return values[~np.isnan(values)]


def _exact(kernel: Array, equations: int, resolution: float) -> dict[str, Any]:
    shared = interdependence(kernel, equations)
    if not np.isfinite(kernel).all():
        return _unknown(len(kernel)) | shared
    values = np.linalg.eigvalsh(kernel)[::-1].astype(np.float64)
    numbers = eigenvalue_measures(values, np.ones_like(values), float(np.trace(kernel)), resolution)
    return {**numbers, "ntk.eigenvalues": values, **shared}


def _unknown(count: int) -> dict[str, Any]:
    """What is recorded where a residual or a derivative is not finite."""
    values = np.full(count, math.nan)
    return {**eigenvalue_measures(values, values, math.nan, 0.0), "ntk.eigenvalues": values}


def draw_spectra(figure: Figure, records: Records) -> None:
    """Eigenvalues over their number, for up to five steps that are spread evenly over the measured."""
    ranks = dict(zip(*records.series("ntk.numerical_rank"), strict=True))
    rows = [
        (int(step), values[: int(ranks[step])])
        for step, values in zip(*records.series("ntk.eigenvalues"), strict=True)
        if ranks.get(step, 0) > 0
    ]
    shown = np.unique(np.geomspace(1, len(rows), 5).round().astype(int)) - 1
    axis = figure.subplots()
    for place, chosen in enumerate(shown):
        step, values = rows[chosen]
        colour, label = ordered_colour(place, len(shown)), f"{step:,}"
        axis.loglog(np.arange(1, len(values) + 1), values, ".-", color=colour, label=label)
    axis.set_xlabel("number of the eigenvalue")
    axis.set_ylabel("eigenvalue λ")
    figure.legend(
        loc="outside upper left",
        title="step",
        alignment="left",
        ncols=len(shown),
        handlelength=1,
        columnspacing=0.8,
    )
