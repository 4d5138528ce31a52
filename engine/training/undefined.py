"""A loss or a gradient that is not finite: of which terms, and where to look."""

from __future__ import annotations

import torch
from torch import Tensor

from pinn.core.domain import PointSet
from pinn.engine.training.objective import Evaluation, Objective

VALUE = (
    "Look for divisions, roots, powers and logarithms in it that have no value somewhere; a field that "
    'is positive is made so in the ansatz, {"u": torch.exp(q.u)}'
)
SLOPE = (
    "Look for roots, powers and norms in it, which have no slope at 0, also in the side of torch.where "
    "that is not taken: torch.sqrt(torch.where(u > 0, u, 1.0)) is safe there, torch.sqrt(u**2 + 1e-12) "
    "anywhere"
)


def is_finite(evaluation: Evaluation) -> bool:
    norms = torch.stack(torch._foreach_norm(evaluation.gradient))  # type: ignore[arg-type]
    return bool(torch.isfinite(evaluation.terms).all() & torch.isfinite(norms).all())


def undefined(objective: Objective, evaluation: Evaluation, points: PointSet) -> tuple[str, str]:
    """What is not finite, and where to look for it."""

    def of(values: Tensor) -> list[str]:
        named = zip(objective.names, values.tolist(), strict=True)
        return [name for name, finite in named if not finite]

    losses = dict(zip(objective.names, evaluation.terms.tolist(), strict=True))
    if wrong := of(evaluation.terms.isfinite()):
        return "; ".join(f"the loss of {name!r} is {losses[name]}" for name in wrong), VALUE
    _, gradients = objective.gradients_of_terms(points, evaluation.weights)
    steep = " and ".join(map(repr, of(gradients.isfinite().all(1))))
    return f"the loss{f' of {steep}' * bool(steep)} is finite, its gradient is not", SLOPE
