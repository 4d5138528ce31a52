"""Whether an equation and its conditions pull the network the same way: an example of a metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Analyzer, Curves, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from pinn.core import Plot, Records, View


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    """a·b / (‖a‖ ‖b‖) of vectors (n,), between −1 and 1; NaN where one of them is zero."""
    if not a.any() or not b.any():
        return math.nan
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares would underflow
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


@frozen
class GradientConflict(Analyzer):
    """Cosine between the gradients of the PDE's and the conditions' loss, and ratio of their norms.

    cos = ∇L_pde · ∇L_c / (‖∇L_pde‖ ‖∇L_c‖) and ‖∇L_pde‖ / ‖∇L_c‖ over all parameters, of the losses as
    training weighs them. Far from 1, the ratio says that one of them is hardly learnt (Wang, Teng &
    Perdikaris 2021, SIAM J. Sci. Comput. 43, doi 10.1137/20M1318043); below 0, the cosine says that what
    helps one harms the other (Yu et al. 2020, arXiv 2001.06782). At a minimum of their sum the gradients
    cancel: cosine −1, ratio 1. Both are null without conditions.
    """

    name = "gradient-conflict"
    shows = "gradient_cosine"

    def measure(self, view: View) -> Mapping[str, float]:
        gradients = view.batch_gradients(1)
        pde, conditions = _vector(gradients.pde), _vector(gradients.conditions)
        longer, shorter = float(np.linalg.norm(pde)), float(np.linalg.norm(conditions))
        return {
            "gradient_cosine": cosine(pde, conditions),
            "gradient_ratio": longer / shorter if shorter else math.nan,
        }

    def figures(self, records: Records) -> Iterable[Plot]:
        yield Curves(
            name="gradient-cosine",
            title="Do the equation and the conditions pull the same way?",
            quantities={"gradient_cosine": "cosine"},
            ylabel="cosine of the gradients",
            caption="1: what helps one helps the other; 0: they do not mind each other; −1: they undo "
            "each other's work, as at a minimum of their sum, where the ratio is 1. Of the losses as "
            "training weighs them, over all parameters.",
            log=False,
            limits=(-1, 1),
            noisy=True,
        )
        yield Curves(
            name="gradient-ratio",
            title="Which of them pulls harder?",
            quantities={"gradient_ratio": "PDE over conditions"},
            ylabel="‖∇L_pde‖ / ‖∇L_c‖",
            caption="Far above 1 the conditions are hardly learnt, far below 1 the equation (Wang, "
            "Teng & Perdikaris 2021). [weighting.factors] shifts the balance.",
            noisy=True,
        )


def _vector(tensors: Sequence[Tensor]) -> NDArray[np.float64]:
    """All numbers of a gradient in a row, in double precision."""
    return np.concatenate([tensor.double().cpu().numpy().ravel() for tensor in tensors])


@hookimpl
def pinn_analyzers() -> list[type[Analyzer]]:
    return [GradientConflict]
