"""What the step of a second-order optimizer did: how far, at what cost, or in vain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.analyzers.recent import average, fall, lately, rate, recent
from pinn.core import Analyzer, Conclusion, Curves
from pinn.core.lazy import torch

if TYPE_CHECKING:
    from pinn.core import Plot, Records, View

KEPT = ("damping", "gain_ratio", "step_length", "evaluations", "refused", "made", "resets")
"""What a step may leave in the optimizer's first group, beside the options that stand there."""
REFUSED = 0.1
"""A share of steps in vain from which the others hardly matter."""
ANEW = 0.01
"""Beginnings of the matrix a step: each costs the curvature of a hundred steps or more."""
COSTLY = 5.0
"""Evaluations a step: line searches need one to four, tried dampings one or two."""
RISING, STILL = 0.25, 1.2
"""A share of rises of the loss, and a fall of it, from which its changes are noise."""
DAMPED = "Marquardt 1963; Nocedal & Wright 2006, sections 4.1 and 10.3"


def noted(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The numbers of KEPT that this optimizer has, by name; none, where it keeps none, as Adam does.

    An option of the same name is none of them: it does not say what a step did. Of torch's L-BFGS it is
    the step length of the last iteration, which stands in its state.
    """
    group, options = optimizer.param_groups[0], optimizer.defaults
    found = {name: group.get(name) for name in KEPT if name not in options}
    if isinstance(optimizer, torch.optim.LBFGS):
        found["step_length"] = optimizer.state.get(group["params"][0], {}).get("t")
    numbers = {name: _number(value) for name, value in found.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _number(value: Any) -> float | None:
    """None of words, arrays and what is not there."""
    single = torch.is_tensor(value) and value.numel() == 1
    return float(value) if single or isinstance(value, int | float) else None


def rises(values: NDArray[np.float64]) -> float:
    """The share of positive numbers (n,) that are a hundredth or more above the one before; 0 of one.

    Less is rounding in single precision.
    """
    return float((np.diff(np.log(values)) >= math.log(1.01)).mean()) if len(values) > 1 else 0.0


@frozen
class Search(Analyzer):
    """What the optimizer's step did, as far as the optimizer notes it; of others, such as Adam, nothing.

    `search.damping` is the μ of the next step, `search.gain_ratio` the actual over the predicted
    decrease of the loss, `search.step_length`, `search.evaluations` of the loss or the residuals beside
    the first. Counted since the stage began are `search.refused`, steps that moved nothing, and
    `search.resets`, how often a dense matrix began anew; `search.made` are the steps since. Nothing is
    computed again. An optimizer of one's own joins in with numbers of these names in `param_groups[0]`.

    Nocedal & Wright, *Numerical Optimization*, 2006, chapters 3, 4, 6 and 10.
    """

    name = "search"

    def measure(self, view: View) -> Mapping[str, Any]:
        return {f"search.{name}": value for name, value in noted(view.optimizer).items()}

    def figures(self, records: Records) -> Iterable[Plot]:
        for curves in FIGURES:
            if any(records.series(name)[1].any() for name in curves.quantities):
                yield curves

    def conclusions(self, records: Records) -> Iterable[Conclusion]:
        yield from _refused(records)
        yield from _begun_anew(records)
        yield from _costly(records)
        yield from _noise(records)


FIGURES = (
    Curves(
        name="search-step",
        title="How far does a step go?",
        quantities={"search.step_length": "step length", "search.damping": "damping μ"},
        ylabel="step length, damping",
        caption="The norm of the step where steps are damped, the multiple α of the quasi-Newton step "
        "in a line search; and the damping of the next step (Nocedal & Wright 2006, sections 3.1 and "
        "10.3).",
        noisy=True,
    ),
    Curves(
        name="search-gain",
        title="Does the loss fall as the linearised residuals predict?",
        quantities={"search.gain_ratio": "actual over predicted decrease"},
        ylabel="gain ratio",
        caption="Near 1 the residuals are all but linear along the step, and the damping falls; below ¼ "
        "it grows; at 0 the step was refused (Nocedal & Wright 2006, section 4.1).",
        log=False,
        limits=(0, 1.5),
        noisy=True,
    ),
    Curves(
        name="search-evaluations",
        title="What does a step cost?",
        quantities={"search.evaluations": "evaluations"},
        ylabel="evaluations a step",
        caption="Of the loss in the line search, or of the residuals for the dampings that were tried.",
        log=False,
        noisy=True,
    ),
    Curves(
        name="search-in-vain",
        title="Steps in vain",
        quantities={
            "search.refused": "steps that moved nothing",
            "search.resets": "matrices that began anew",
        },
        ylabel="count since the stage began",
        caption="A step is refused where the loss falls at no damping; a matrix begins anew where it "
        "is no longer positive definite, or the line search finds nothing lower.",
        log=False,
    ),
)


def _refused(records: Records) -> Iterable[Conclusion]:
    share, damping = rate(records, "search.refused"), lately(records, "search.damping")
    if share is not None and share > REFUSED:
        at = "" if damping is None else f", half the time at a damping of {damping:.2g} or more"
        yield Conclusion(
            f"{share:.0%} of the steps were refused over the last half decade of steps{at}: the loss "
            "falls at no damping, or the system is singular.",
            '[run] precision = "float64", whose floor is lower. In double precision, the loss is as low '
            "as points and network allow, or an equation does not depend on the network: end the stage "
            "earlier (until), or go on with ss-broyden",
            DAMPED,
        )


def _begun_anew(records: Records) -> Iterable[Conclusion]:
    often, made = rate(records, "search.resets"), recent(records, "search.made")[1]
    vain = float((made == 0).mean()) if len(made) else 0.0
    if often is not None and (often > ANEW or vain > REFUSED):
        yield Conclusion(
            f"The inverse Hessian began anew {100 * often:.2g} times in 100 steps over the last half "
            f"decade of steps, and had made none behind {vain:.0%} of them: it does not stay positive "
            "definite, or the line search finds nothing lower.",
            '[run] precision = "float64"; points that stay longer ([points] redraw); a smaller check. '
            "In double precision, the loss may be at its floor, and the stage may end (until)",
            "Nocedal & Wright 2006, section 6.1",
        )


def _costly(records: Records) -> Iterable[Conclusion]:
    cost = average(records, "search.evaluations")
    if cost is not None and cost > COSTLY:
        yield Conclusion(
            f"A step evaluates the loss {cost:.2g} times beside the first, on average over the last "
            "half decade of steps: what it knows of the curvature does not hold where it goes.",
            '[run] precision = "float64"; points that stay longer ([points] redraw); a stage of Adam '
            "before this one, so that it begins nearer",
            "Nocedal & Wright 2006, chapter 3",
        )


def _noise(records: Records) -> Iterable[Conclusion]:
    """Each step lowers the loss at its own points and weights: it rises where these change between."""
    steps, _ = recent(records, "search.step_length")
    at, losses = recent(records, "loss.unweighted")
    if not len(steps) or not len(at) or steps[-1] != at[-1]:
        return  # another optimizer made the last steps
    positive = losses[np.isin(at, steps) & (losses > 0)]
    share, fallen = rises(positive), fall(records, "loss.unweighted")
    if fallen is not None and share > RISING and fallen < STILL:
        yield Conclusion(
            f"From one measurement to the next the loss rose in {share:.0%} of cases, and over the "
            f"last half decade of steps it fell by a factor of {fallen:.2g} only, though each step "
            "lowers it: points or weights that change from step to step are noise to the steps.",
            "points that stay longer ([points] redraw), more of them, or weights that move more slowly",
            "Bottou, Curtis & Nocedal 2018, SIAM Review 60, section 6",
        )
