"""Errors against the reference solution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Analyzer, Conclusion, Curves

if TYPE_CHECKING:
    from pinn.core import Plot, Records, View

WRONG, DIVERGED = 0.5, 1e3
"""Relative errors from which a solution is another one, and from which it is none."""
FALLEN = 100.0
"""By what the loss of a run has fallen that seems to succeed."""
MOST = 0.9
"""Share of the loss that one condition has where it alone is not met."""
LARGE_RATE = 0.02
"""Learning rates above it are seldom meant: 1e-3 is recommended (Wang et al. 2023, arXiv 2308.08468)."""


NEGLIGIBLE = 1e-14
"""A reference that is so much smaller than the largest of the others is rounding."""


def relative_l2(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    """‖u − u_ref‖₂ / ‖u_ref‖₂ over the points where u_ref is not NaN; NaN where it is zero at all."""
    known = ~np.isnan(reference)
    scale = float(np.linalg.norm(reference[known]))
    return float(np.linalg.norm(predicted[known] - reference[known])) / scale if scale else math.nan


def root_mean_square(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    """√(mean (u − u_ref)²) over the points where u_ref is not NaN, in the units of the field."""
    known = ~np.isnan(reference)
    return float(np.sqrt(np.mean((predicted[known] - reference[known]) ** 2)))


def maximum(predicted: NDArray[Any], reference: NDArray[Any]) -> float:
    """max |u − u_ref| over the points where u_ref is not NaN, in the units of the field."""
    known = ~np.isnan(reference)
    return float(np.max(np.abs(predicted[known] - reference[known])))


def zero_fields(reference: Mapping[str, NDArray[Any]]) -> set[str]:
    """The fields that are zero, or so small beside the largest that they are its rounding."""
    sizes = {name: float(np.nanmax(np.abs(values))) for name, values in reference.items()}
    largest = max(sizes.values(), default=0.0)
    return {name for name, size in sizes.items() if size <= NEGLIGIBLE * largest}


@frozen
class Error(Analyzer):
    """Relative L2 and L∞ error of every observable on the evaluation grid.

    Where the reference of an observable is zero, or mere rounding beside the other ones, the root mean
    square of the error in place of the relative one. Of points where the reference is not known nothing
    is counted.
    """

    name = "error"
    shows = "rel_l2"

    def measure(self, view: View) -> Mapping[str, Any]:
        if view.reference is None:
            return {}
        found: dict[str, Any] = {}
        compared = {n: f for n, f in view.reference.fields.items() if n in view.prediction}
        known = {name: field for name, field in compared.items() if not np.isnan(field).all()}
        zero = zero_fields(known)
        for name, reference in known.items():
            predicted = view.prediction[name]
            if name in zero:
                found[f"rms.{name}"] = root_mean_square(predicted, reference)
            else:
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
            caption="‖u − u_ref‖₂ / ‖u_ref‖₂ on the evaluation grid, where u_ref is known; 1 is as "
            "wrong as zero everywhere.",
        )
        zero = {n: n.removeprefix("rms.") for n in records.names if n.startswith("rms.")}
        if zero:
            yield Curves(
                name="error-of-zero",
                title=f"Error of {', '.join(zero.values())}, whose reference is zero",
                quantities=zero,
                ylabel="RMS error",
                caption="√(mean (u − u_ref)²) on the evaluation grid, in the units of the field: where "
                "the reference is zero, or rounding beside the other fields, no error is relative.",
            )

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        """What the worst error of a field and the course of the loss say together."""
        errors = _last_of(records, "rel_l2.")
        if not errors:
            return
        worst = max(errors, key=lambda field: errors[field])
        error, of = errors[worst], f" of {worst}" if len(errors) > 1 else ""
        if error > DIVERGED:
            yield Conclusion(
                f"The error{of} is {error:.2g} times the solution: the training has diverged.",
                "a smaller learning rate (lr in [[optimizers]]), or less of it at first (warmup)",
            )
        elif error > WRONG and (fallen := _fallen(records)) is not None:
            yield _unsolved(records, f"the error{of} is {error:.2g} of the solution", fallen)
        else:
            each = [f"{value:.2g} of {field}" for field, value in errors.items()]
            yield Conclusion(
                f"The relative L2 error is {', '.join(each) if of else f'{error:.2g}'}."
            )


def _fallen(records: Records) -> float | None:
    """By what the loss has fallen since it was first recorded; None where nobody can tell."""
    _, losses = records.series("loss.unweighted")
    return float(losses[0] / losses[-1]) if len(losses) > 1 and losses[-1] > 0 else None


def _unsolved(records: Records, error: str, fallen: float) -> Conclusion:
    """Of a run whose loss has fallen by this factor, and whose error is above `WRONG`."""
    name, misfit, share = _left_most(records)
    if share > MOST:
        return Conclusion(
            f"The condition {name!r} is not met: its misfit is {misfit:.2g} (root mean square), "
            f"{100 * share:.0f} % of the loss without weights and factors, and {error}.",
            f"a larger factor for it (factors = {{{name} = …}} in [weighting]), a balance of the terms, "
            "or conditions that hold exactly (hard = true)",
            "Wang et al. 2021",
        )
    if fallen > FALLEN:
        return Conclusion(
            f"The loss has fallen by a factor of {fallen:.2g}, but {error}: the network satisfies the "
            "equation where it is asked to, and is another function.",
            "more points, redrawn while training ([points] redraw = 1000); larger factors of the "
            "conditions in [weighting.factors], or conditions that hold exactly (hard = true); where "
            "neither helps, see whether equation and reference are of the same problem",
            "Krishnapriyan et al. 2021; Daw et al. 2023",
        )
    course = f"has fallen by a factor of {fallen:.2g} alone" if fallen > 1 else "has not fallen"
    _, rates = records.series("learning_rate")
    if len(rates) and rates[0] > LARGE_RATE:
        advice = (
            f"a smaller learning rate: it was {rates[0]:.2g} at first, and 1e-3 is usual with Adam"
        )
    else:
        advice = "more steps, another learning rate, or [network] normalise = true"
    return Conclusion(
        f"The loss {course}, and {error}: little was learnt.", advice, "Wang et al. 2023"
    )


def _left_most(records: Records) -> tuple[str, float, float]:
    """The condition whose misfit is the largest, that misfit, and its share of the unweighted loss."""
    total = records.last("loss.unweighted") or math.inf
    misfits = _last_of(records, "misfit.")
    name = max(misfits, key=lambda condition: misfits[condition], default="")
    misfit = misfits.get(name, 0.0)
    return name, misfit, misfit**2 / total


def _last_of(records: Records, prefix: str) -> dict[str, float]:
    """What was measured last of the quantities that begin so, by what follows in their names."""
    named = {n.removeprefix(prefix): records.last(n) for n in records.names if n.startswith(prefix)}
    return {name: value for name, value in named.items() if value is not None}
