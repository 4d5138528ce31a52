"""Errors against the reference solution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Analyzer, Conclusion, Curves

if TYPE_CHECKING:
    from pinn.core import Plot, Records, View

WRONG = 0.5
"""Relative error from which a solution is another one."""
FALLEN = 100.0
"""By what the loss of a run has fallen that seems to succeed."""


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

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        """A loss that is small beside an error that is not: another solution was found."""
        error, (_, losses) = records.last("rel_l2"), records.series("loss.unweighted")
        if error is None or len(losses) < 2 or not losses[-1] > 0:
            return
        fallen = float(losses[0] / losses[-1])
        if error > WRONG and fallen > FALLEN:
            yield Conclusion(
                f"The loss has fallen by a factor of {fallen:.2g}, but the error is {error:.2g} of the "
                "solution: the network satisfies the equation where it is asked to, and is another "
                "function.",
                "more points, redrawn while training ([points] redraw = 1000); larger factors of the "
                "conditions in [weighting.factors], or conditions that hold exactly (hard = true)",
                "Krishnapriyan et al. 2021; Daw et al. 2023",
            )
        elif error < WRONG:
            yield Conclusion(f"The relative L2 error is {error:.2g}.")
