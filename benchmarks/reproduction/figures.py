"""Pictures of the runs: error, gradient order and residual order over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.reproduction.facts import Facts
from benchmarks.reproduction.plan import PROBLEMS, WEIGHTINGS

COLOURS = {"vanilla": "#0072B2", "rba": "#D55E00"}  # Okabe & Ito 2008, for colour-blind readers
LABELS = {"vanilla": "vanilla", "rba": "RBA"}
PANELS = {
    "relative L2 error": ("rel_l2",),
    "gradient order φ_g": ("gradient_order",),
    "residual order": ("residual_order.rba.neighbours", "residual_order"),
}
"""What is drawn: the first of these quantities that was recorded."""
SMOOTH = 9
"""Measurements of the running median of φ_g, which is spiky."""
NAMES = {
    "helmholtz": "Helmholtz (6, 6)",
    "allen-cahn": "Allen-Cahn",
    "burgers": "Burgers",
    "cavity": "Lid-driven cavity",
}


def draw_all(runs: Sequence[Facts], folder: Path, prefix: str) -> dict[str, str]:
    """{problem: name of the figure}, of the problems that have runs."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for problem in PROBLEMS:
        own = [facts for facts in runs if facts.evidence.problem == problem]
        if own:
            found[problem] = f"{prefix}-{problem}.png"
            draw(folder / found[problem], problem, own)
    return found


def draw(path: Path, problem: str, runs: Sequence[Facts]) -> None:
    """One line a run; a vertical line where its total diffusion begins."""
    style = {"font.size": 8, "axes.spines.right": False, "axes.spines.top": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(3.4, 4.8), layout="constrained")
        axes: Sequence[Axes] = figure.subplots(len(PANELS), sharex=True)
        for axis, (label, quantities) in zip(axes, PANELS.items(), strict=True):
            for facts in runs:
                series = (facts.series(quantity) for quantity in quantities)
                steps, values = next(filter(lambda pair: len(pair[0]), series), facts.series(""))
                if quantities == ("gradient_order",):
                    steps, values = running_median(steps, values)
                axis.semilogx(
                    steps, values, color=COLOURS[facts.evidence.weighting], linewidth=0.9, alpha=0.8
                )
                if facts.total_diffusion is not None:
                    axis.axvline(
                        facts.total_diffusion,
                        color=COLOURS[facts.evidence.weighting],
                        linestyle="--",
                        linewidth=0.6,
                    )
            axis.set_ylabel(label)
            axis.grid(alpha=0.25)
        axes[0].set_yscale("log")
        present = {facts.evidence.weighting for facts in runs}
        for weighting in (w for w in WEIGHTINGS if w in present):
            axes[0].plot([], [], color=COLOURS[weighting], label=LABELS[weighting])
        axes[0].legend(loc="lower left", frameon=False)
        axes[0].set_title(NAMES[problem], loc="left", fontweight="bold")
        axes[-1].set_xlabel("step")
        figure.savefig(path, dpi=200)


def running_median(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(values) < SMOOTH:
        return steps, values
    windows = np.lib.stride_tricks.sliding_window_view(values, SMOOTH)
    return steps[SMOOTH // 2 : -(SMOOTH // 2)], np.median(windows, axis=1)
