"""Curvature of the loss over the parameters, and of the network over the points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from pinn.analyzers.adam_snr import adam_scales
from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.spectrum_lanczos import Array, Product, Ritz, lanczos
from pinn.core import Analyzer, Curves, Plot, Schedule, at_least, between, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Records, View

AT_ONCE = 4096
"""Points whose graph is held in memory."""
MEASURED = (
    "hessian.largest", "hessian.largest.error", "hessian.trace", "hessian.trace.error",
    "hessian.share", "hessian.stability",
)  # fmt: skip
EDGE = "Cohen et al., ICLR 2021, arXiv 2103.00065; of Adam: Cohen et al. 2022, arXiv 2207.14484."
COMPLEXITY = "Dherin, Munn, Rosca & Barrett, NeurIPS 2022, arXiv 2209.13083."


def hessian_product(
    losses: Sequence[Callable[[], Tensor]], parameters: Sequence[Tensor]
) -> Product:
    """v → H v, H the second derivatives by all parameters of a loss that is the sum of `losses`.

    Two backward derivatives (Pearlmutter 1994), one summand at a time, so that memory is that of one.

    Raises:
        FloatingPointError: of the product, if it is not finite.
    """
    own = list(parameters)

    def slope(loss: Callable[[], Tensor]) -> Tensor:
        found = torch.autograd.grad(loss(), own, create_graph=True, materialize_grads=True)
        return torch.cat([part.flatten() for part in found])

    kept = [slope(losses[0])] if len(losses) == 1 else []  # one graph serves every product

    def product(vector: Array) -> Array:
        direction = torch.as_tensor(vector).to(own[0])
        total = np.zeros(len(vector))
        for gradient in kept or map(slope, losses):
            if gradient.requires_grad:  # not that of a loss that is linear
                found = torch.autograd.grad(
                    gradient @ direction, own, retain_graph=bool(kept), materialize_grads=True
                )
                total += torch.cat([part.flatten() for part in found]).double().cpu().numpy()
        if not np.isfinite(total).all():
            raise FloatingPointError("the second derivatives of the loss are not finite")
        return total

    return product


def trace(product: Product, known: Ritz, signs: Array) -> tuple[float, float]:
    """The trace of a symmetric A, and the standard error of it.

    tr A = Σ θ + mean zᵀ A z, over the Ritz values θ and over random signs z (Hutchinson 1989) made
    orthogonal to the Ritz vectors: what is known exactly has no noise (Hutch++, Meyer, Musco, Musco &
    Woodruff, SOSA 2021).

    Args:
        signs: (probes, n), at least two.
    """
    rest = signs - signs @ known.vectors.T @ known.vectors
    tails = np.array([z @ product(z) for z in rest])
    error = float(tails.std(ddof=1)) / math.sqrt(len(tails))
    return float(known.values.sum() + tails.mean()), error


def step_sizes(optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> Array | None:
    """a of each number, (parameters,): the step is unstable where an eigenvalue of √a H √a is above 1.

    Adam: lr / (√v̂ + ε) · (1 − β₁) / (2 + 2 β₁), which is 38 for β₁ = 0.9, were v̂ to stand still. SGD
    with momentum μ: lr / (2 + 2 μ), by Nesterov's rule lr (1 + 2 μ) / (2 + 2 μ). None of any other.
    """
    own = {p: group for group in optimizer.param_groups for p in group["params"]}
    if any(p not in own for p in parameters):
        return None
    if isinstance(optimizer, torch.optim.Adam):
        scales = adam_scales(optimizer)
        if any(p not in scales or own[p]["amsgrad"] for p in parameters):
            return None
        beta = own[parameters[0]]["betas"][0]
        parts = [own[p]["lr"] * scales[p].nan_to_num(0.0) for p in parameters]
        return _flat(parts) * (1 - beta) / (2 + 2 * beta)
    if isinstance(optimizer, torch.optim.SGD):
        return _flat(
            [torch.full_like(p, _of_momentum(own[p]), dtype=torch.float64) for p in parameters]
        )
    return None


def _of_momentum(group: Mapping[str, Any]) -> float:
    momentum = group["momentum"]
    ahead = 1 + 2 * momentum if group["nesterov"] else 1.0
    return float(group["lr"]) * (1 - group["dampening"]) * ahead / (2 + 2 * momentum)


def _flat(parts: Sequence[Tensor]) -> Array:
    return torch.cat([part.detach().flatten() for part in parts]).double().cpu().numpy()


def geometric_complexity(network: Callable[[Tensor], Any], points: Tensor) -> float:
    """mean_i ‖∂u/∂x (x_i)‖²_F over points (n, dimension), u what the network returns, (n, fields).

    The discrete Dirichlet energy of Dherin, Munn, Rosca & Barrett, NeurIPS 2022, arXiv 2209.13083.
    """
    leaf = points.detach().clone().requires_grad_()
    with torch.enable_grad():
        fields = network(leaf).reshape(len(leaf), -1).sum(0)
    slopes = [
        torch.autograd.grad(field, leaf, retain_graph=True, materialize_grads=True)[0]
        for field in fields
    ]
    return sum(float(slope.double().square().sum()) for slope in slopes) / len(leaf)


@frozen
class Curvature(Analyzer):
    """Largest eigenvalue of the Hessian of the loss, its share of the trace, and the edge of stability.

    Of the loss as training weighs it, the weights of the points held fixed, at evenly spaced interior
    points and all of the conditions, by all parameters. The largest eigenvalue λ comes from Lanczos'
    method, with the residual ‖H y − λ y‖ and rounding as its error; the trace from random signs, with
    its standard error. `hessian.stability` is how near a step is to instability, 1 at the edge: lr λ / 2
    of gradient descent, of momentum accordingly, and of Adam with β₁ = 0.9 lr / 38 times the largest
    eigenvalue of P^(−1/2) H P^(−1/2), P = √v̂ + ε (Cohen et al. 2022, arXiv 2207.14484). No other
    optimizer has it.

    `geometric_complexity` is the mean over the points of ‖∂u/∂x‖² of what the network returns, in the
    units of the coordinates (Dherin et al., NeurIPS 2022, arXiv 2209.13083).

    It costs 2 `steps` + `probes` products with H, each about two gradients over the chosen points: at
    2,048 of 25,600 points 10 to 20 training steps in all.
    """

    name = "curvature"
    schedule = Schedule(every=1000, early_every=50)

    points: int = option(2048, "interior points, evenly spaced in their order; 0: all", at_least(0))
    steps: int = option(20, "Lanczos steps for an eigenvalue", between(1, 10_000))
    probes: int = option(10, "random vectors that estimate the trace", between(2, 10_000))

    def measure(self, view: View) -> Mapping[str, Any]:
        own = [view.module.get_parameter(name) for name in view.parameters]
        chosen = evenly_spaced(view.points.interior, self.points)
        product = hessian_product(_losses(view, chosen), own)
        shape = 1 + self.probes, sum(p.numel() for p in own)
        random = torch.randint(2, shape, generator=view.generator(self.name))
        start, *signs = (2.0 * random - 1).double().numpy()
        rounding = torch.finfo(own[0].dtype).eps  # of a product, at least
        try:
            top = lanczos(product, start, self.steps)
            total, error = trace(product, top, np.array(signs))
            found = {
                "hessian.largest": float(top.values[0]),
                "hessian.largest.error": float(top.residuals[0] + rounding * abs(top.values[0])),
                "hessian.trace": total,
                "hessian.trace.error": error,
                "hessian.share": float(top.values[0]) / total if total > 0 else math.nan,
            }
            sizes = step_sizes(view.optimizer, own)
            if sizes is not None:
                root = np.sqrt(sizes)
                stepped = lanczos(lambda v: root * product(root * v), start, self.steps)
                found["hessian.stability"] = float(stepped.values[0])
        except FloatingPointError:
            found = dict.fromkeys(MEASURED, math.nan)
        network = view.forward or view.module
        smooth = geometric_complexity(network, view.points.interior[chosen])
        return {**found, "geometric_complexity": smooth}

    def figures(self, records: Records) -> Iterator[Plot]:
        last = {name: records.last(name) for name in (*MEASURED, "geometric_complexity")}
        if last["hessian.largest"] is not None:
            yield Curves(
                name="hessian",
                title=_title(last["hessian.largest"], last["hessian.share"]),
                quantities={"hessian.largest": "largest eigenvalue", "hessian.trace": "trace"},
                ylabel="of the Hessian of the loss",
                caption="Largest eigenvalue by Lanczos' method, trace from random signs (Hutchinson "
                "1989). The trace is the sum of all eigenvalues: where both agree, the loss is curved "
                "in one direction only.",
            )
        if last["hessian.stability"] is not None:
            yield Curves(
                name="hessian-stability",
                title=f"The step is {last['hessian.stability']:.2g} of the largest stable one",
                quantities={"hessian.stability": "step over the largest stable one"},
                ylabel="1: edge of stability",
                caption="lr λ / 2 of gradient descent, λ the largest eigenvalue of the Hessian, and "
                "lr λ / 38 of Adam with β₁ = 0.9, the Hessian preconditioned with √v̂ + ε. At 1 training "
                f"is at the edge of stability, above it a step overshoots. {EDGE}",
            )
        if last["geometric_complexity"] is not None:
            yield Curves(
                name="geometric-complexity",
                title=f"Geometric complexity ends at {last['geometric_complexity']:.2g}",
                quantities={"geometric_complexity": "mean ‖∂u/∂x‖²"},
                ylabel="mean ‖∂u/∂x‖²",
                caption="Mean over interior points of the squared slopes of what the network returns, "
                f"summed over fields and coordinates. {COMPLEXITY}",
            )


def _losses(view: View, chosen: Tensor) -> list[Callable[[], Tensor]]:
    """The loss at these points, as a sum of parts; the conditions are in the first."""
    pieces = chosen.split(AT_ONCE)[: None if len(view.weights) else 1]

    def part(piece: Tensor, first: bool) -> Tensor:
        inside, outside = view.loss_terms(piece)
        shares = [term * (len(piece) / len(chosen)) for term in inside.values()]
        return torch.stack([*shares, *(outside.values() if first else ())]).sum()

    return [partial(part, piece, number == 0) for number, piece in enumerate(pieces)]


def _title(largest: float, share: float | None) -> str:
    if share is None:
        return f"The largest curvature of the loss ends at {largest:.2g}"
    return f"One direction has {100 * share:.0f} % of the curvature of the loss"
