"""Errors against the reference solution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Analyzer

if TYPE_CHECKING:
    from pinn.core import View


def relative_l2(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    """‖u − u_ref‖₂ / ‖u_ref‖₂ over all grid points; the absolute norm where the reference is zero."""
    scale = float(np.linalg.norm(reference))
    return float(np.linalg.norm(predicted - reference)) / (scale or 1.0)


def maximum(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    """max |u − u_ref|, in the units of the field."""
    return float(np.max(np.abs(predicted - reference)))


@frozen
class Error(Analyzer):
    """Relative L2 and L∞ error of every observable on the evaluation grid."""

    name = "error"
    shows = "rel_l2"

    def measure(self, view: View) -> Mapping[str, Any]:
        if view.reference is None:
            return {}
        found: dict[str, Any] = {}
        for name, reference in view.reference.fields.items():
            if name in view.prediction:
                predicted = view.prediction[name]
                found[f"rel_l2.{name}"] = relative_l2(predicted, reference)
                found[f"linf.{name}"] = maximum(predicted, reference)
        headline = next((n for n in view.prediction if f"rel_l2.{n}" in found), None)
        return found if headline is None else {"rel_l2": found[f"rel_l2.{headline}"], **found}
