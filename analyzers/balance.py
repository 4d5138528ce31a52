"""Whether the terms of the loss pull alike: norms of their gradients, and cosines between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.evenly_spaced import evenly_spaced
from pinn.analyzers.recent import fall, lately
from pinn.core import Analyzer, Conclusion, Curves, Plot, Unavailable, at_least, option
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Records, View

Vectors = Mapping[str, NDArray[np.float64]]

NORM, COSINE, EQUATIONS = "gradient_norm.", "gradient_cosine.", "equations"
PAIRED = 6
"""Terms of which every pair is compared; of more, each is compared with the sum of the equations."""
AT_ONCE = 4096
"""Points whose graph is held in memory."""
UNEQUAL = 100.0
"""A ratio of gradients from which, or from 1 / UNEQUAL down, one side is hardly learnt."""
OPPOSED, SLOW = -0.9, 1.1
"""A cosine below which, and a fall of the loss below which, terms hold each other in balance."""
SOURCE = (
    "Wang, Teng & Perdikaris, SIAM J. Sci. Comput. 43(5), 2021; "
    "Yu et al., NeurIPS 2020, arXiv 2001.06782."
)


def norm(vector: NDArray[np.float64]) -> float:
    """‖a‖₂ of (n,)."""
    return float(np.linalg.norm(vector))


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """a·b / (‖a‖ ‖b‖) of vectors (n,), between −1 and 1; NaN where one of them is zero."""
    lengths = norm(a), norm(b)
    if not min(lengths) > 0:
        return math.nan
    return float(np.clip((a / lengths[0]) @ (b / lengths[1]), -1, 1))


def balance(equations: Vectors, conditions: Vectors) -> dict[str, float]:
    """Norms and cosines of the gradients of the terms of a loss, and who pulls hardest.

    `gradient_norm.TERM`, and of several equations together `gradient_norm.equations`;
    `gradient_cosine.TERM.OTHER` of every pair of up to six terms, of more
    `gradient_cosine.equations.TERM`; and with conditions `balance`, the largest norm of theirs over that
    of the equations together, NaN where that is zero.

    Args:
        equations: {term: ∇_θ of its loss, (parameters,)}, at least one.
        conditions: the same of the conditions.
    """
    together = np.sum(list(equations.values()), 0)
    terms = {**equations, **conditions}
    found = {f"{NORM}{name}": norm(gradient) for name, gradient in terms.items()}
    if len(equations) > 1:
        found[f"{NORM}{EQUATIONS}"] = norm(together)
    pairs = list(combinations(terms.items(), 2))
    if len(terms) > PAIRED:
        pairs = [((EQUATIONS, together), term) for term in terms.items()]
    found |= {f"{COSINE}{one}.{other}": cosine(a, b) for (one, a), (other, b) in pairs}
    if conditions:
        largest = max(map(norm, conditions.values()))
        found["balance"] = largest / norm(together) if norm(together) else math.nan
    return found


@frozen
class Balance(Analyzer):
    """Norms of the gradients of the loss terms, and cosines between them, over all parameters.

    ‖∇_θ L_k‖ of every equation and condition as training weighs it, cos = ∇L_a · ∇L_b / (‖∇L_a‖ ‖∇L_b‖)
    of every pair of up to six terms, of more of each with the sum of the equations. `balance` is
    max_c ‖∇L_c‖ / ‖∇ Σ_k L_k‖, over the conditions c and the equations k: far from 1, one side is hardly
    learnt (Wang, Teng & Perdikaris, SIAM J. Sci. Comput. 43(5), 2021). Below 0, a cosine says that what
    helps one term harms the other (Yu et al., NeurIPS 2020). At a minimum of their sum, the gradients of
    equations and conditions cancel. A watched loop has one term of all its conditions.

    It costs an uncompiled training step, and a backward pass more for every equation behind the first.
    """

    name = "balance"

    points: int = option(0, "interior points, evenly spaced in their order; 0: all", at_least(0))

    def measure(self, view: View) -> Mapping[str, Any]:
        chosen = evenly_spaced(view.points.interior, self.points)
        equations: dict[str, NDArray[np.float64]] = {}
        conditions: dict[str, NDArray[np.float64]] = {}
        for piece in chosen.split(AT_ONCE):
            inside, outside = view.loss_terms(piece)
            for name, term in inside.items():
                part = _gradient(term, view) * (len(piece) / len(chosen))
                equations[name] = equations.get(name, 0.0) + part
            conditions = conditions or {n: _gradient(term, view) for n, term in outside.items()}
        if not equations:
            raise Unavailable("needs equations beside conditions, and this problem has none")
        return balance(equations, conditions)

    def figures(self, records: Records) -> Iterator[Plot]:
        norms = _named(records, NORM)
        if norms:
            last = records.last("balance")
            yield Curves(
                name="gradient-norms",
                title="How hard each term of the loss pulls"
                if last is None
                else f"The condition that pulls hardest ends at {last:.2g} of the equations",
                quantities=norms,
                ylabel="‖∇L‖ of the term",
                caption="Norm over all parameters of the gradient of each term of the loss, as training "
                f"weighs it. {SOURCE}",
                noisy=True,
            )
        cosines = _named(records, COSINE)
        if cosines:
            yield Curves(
                name="gradient-cosines",
                title="Do the terms of the loss pull the same way?",
                quantities=cosines,
                ylabel="cosine of the gradients",
                caption="∇L_a · ∇L_b / (‖∇L_a‖ ‖∇L_b‖). 1: what helps one term helps the other; −1: "
                f"they undo each other's work, as two terms do at a minimum of their sum. {SOURCE}",
                log=False,
                limits=(-1, 1),
                noisy=True,
            )

    def conclusions(self, records: Records) -> Iterator[Conclusion]:
        ratio = lately(records, "balance")
        if ratio is None:
            return
        if not 1 / UNEQUAL < ratio < UNEQUAL:
            stronger, weaker = ("a condition", "the equations")[:: 1 if ratio > 1 else -1]
            times = max(ratio, 1 / ratio) if ratio else math.inf
            yield Conclusion(
                f"The gradient of {stronger} is {times:.2g} times that of {weaker}, which are hardly "
                "learnt (median over the last half decade of steps).",
                f"fixed factors in [weighting.factors], to give {weaker} about {times:.1g} times the "
                "weight that they have beside the others",
                "Wang, Teng & Perdikaris 2021",
            )
        cosines = {name: lately(records, name) for name in _named(records, COSINE)}
        opposed = {name: c for name, c in cosines.items() if c is not None and c < OPPOSED}
        slowed = fall(records, "loss.unweighted")
        if opposed and slowed is not None and slowed < SLOW:
            name = min(opposed, key=lambda n: opposed[n])
            one, _, other = name.removeprefix(COSINE).partition(".")
            yield Conclusion(
                f"The gradients of {one} and {other} undo each other's work (median cosine "
                f"{opposed[name]:.2f}), and the loss has fallen by a factor of {slowed:.2g} only over "
                "the last half decade of steps: what is left is their balance.",
                "another balance of the two, with factors in [weighting.factors]; a stage of L-BFGS, "
                "which sees their curvature; or conditions that hold exactly (hard = true)",
                "Yu et al. 2020; Wang, Bhartari, Li & Perdikaris 2025",
            )


def _gradient(term: Tensor, view: View) -> NDArray[np.float64]:
    """By all trained parameters, (parameters,)."""
    wanted = [view.module.get_parameter(name) for name in view.parameters]
    if not term.requires_grad:
        return np.zeros(sum(parameter.numel() for parameter in wanted))
    found = torch.autograd.grad(term, wanted, retain_graph=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in found]).double().cpu().numpy()


def _named(records: Records, prefix: str) -> dict[str, str]:
    """{recorded quantity: label} of all that begin so, in the order in which they were recorded."""
    found = [name for name in records.rows.columns if name.startswith(prefix)]
    return {name: name.removeprefix(prefix).replace(".", " · ") for name in found}
