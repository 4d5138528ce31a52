"""Errors against the reference solution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Analyzer, Curves

if TYPE_CHECKING:
    from pinn.core import Plot, Records, View


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

    def figures(self, records: Records) -> Iterable[Plot]:
        fields = [name.removeprefix("rel_l2.") for name in records.names if "rel_l2." in name]
        last = records.last("rel_l2")
        fields.sort(key=lambda field: records.last(f"rel_l2.{field}") != last)  # headline first
        yield Curves(
            name="error",
            title="Error" if last is None else f"The error ends at {last:.2g} of the solution",
            quantities={f"rel_l2.{name}": name for name in fields},
            ylabel="relative L2 error",
            caption="‖u − u_ref‖₂ / ‖u_ref‖₂ on the evaluation grid; 1 is as wrong as zero everywhere.",
        )
