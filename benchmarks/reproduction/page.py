"""The page that says, finding by finding, whether the runs show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
from jinja2 import Template
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.findings import ORDER, Facts
from pinn.analyzers.phases_detection import DIFFUSION
from pinn.engine import Run

TEMPLATE = Path(__file__).with_name("reproduction.md.jinja")
COLOURS = {"vanilla": "#0072B2", "rba": "#D55E00"}  # Okabe & Ito 2008, for colour-blind readers
NAMES = {
    "allen-cahn": "Allen-Cahn",
    "cavity": "Lid-driven cavity",
    "helmholtz": "Helmholtz",
    "burgers": "Burgers",
}
Table = Mapping[str, Mapping[str, Facts]]


def draw(path: Path, problem: str, runs: Mapping[str, Run], facts: Mapping[str, Facts]) -> None:
    """Error, gradient order and residual order of both runs, with the transitions as vertical lines."""
    with matplotlib.rc_context(
        {"font.size": 8, "axes.spines.right": False, "axes.spines.top": False}
    ):
        figure = Figure(figsize=(3.4, 4.6), layout="constrained")
        error, gradients, residuals = figure.subplots(3, sharex=True)
        for weighting, run in runs.items():
            colour, metrics = COLOURS[weighting], run.metrics()
            error.loglog(*metrics["rel_l2"], color=colour, label=weighting, linewidth=1.2)
            steps, order = metrics["gradient_order"]
            gradients.semilogx(steps, order, ".", color=colour, markersize=1.5, alpha=0.5)
            residuals.semilogx(*metrics[ORDER], color=colour, linewidth=1.2)
            for transition in facts[weighting].phases.transitions:
                dashes = ":" if transition.to == DIFFUSION else "--"
                for axis in (error, gradients, residuals):
                    axis.axvline(transition.step, color=colour, linestyle=dashes, linewidth=0.8)
        _label(error, "relative L2 error")
        _label(gradients, "gradient order φ_g")
        _label(residuals, "residual order φ_r")
        error.legend(loc="lower left", frameon=False)
        error.set_title(NAMES[problem], loc="left", fontweight="bold")
        residuals.set_xlabel("step")
        figure.savefig(path, dpi=200)


def _label(axis: Axes, text: str) -> None:
    axis.set_ylabel(text)
    axis.grid(alpha=0.25)


def page(facts: Table, scale: str) -> str:
    template = Template(TEMPLATE.read_text(encoding="utf-8"), keep_trailing_newline=True)
    return template.render(
        scale=scale,
        verdicts={finding: judge(facts) for finding, judge in FINDINGS.items()},
        runs={f"{NAMES[p]}, {w}": found for p, both in facts.items() for w, found in both.items()},
        problems={problem: NAMES[problem] for problem in facts},
        step=_step,
    )


def _step(step: int | None) -> str:
    return "not seen" if step is None else f"{step:,}"


def _count(facts: Table, holds: Callable[[Facts], bool]) -> tuple[int, int, str]:
    """How many runs it holds for, of how many, and the names of the others."""
    all_runs = {f"{NAMES[p]} ({w})": f for p, both in facts.items() for w, f in both.items()}
    others = [name for name, found in all_runs.items() if not holds(found)]
    return len(all_runs) - len(others), len(all_runs), ", ".join(others)


def _verdict(number: int, of: int, others: str, remark: str = "") -> str:
    word = "**yes**" if number == of else "**no**" if number == 0 else "**in part**"
    rest = f"; not in {others}" if others and number else ""
    return f"{word}: in {number} of {of} runs{rest}{remark}"


def _three_phases(facts: Table) -> str:
    return _verdict(*_count(facts, lambda f: f.three_phases))


def _sooner(facts: Table) -> str:
    sooner, words = 0, []
    for problem, both in facts.items():
        vanilla, rba = both["vanilla"].total_diffusion, both["rba"].total_diffusion
        if rba is not None and (vanilla is None or rba < vanilla):
            sooner += 1
        words.append(f"{NAMES[problem]} {_step(vanilla)} / {_step(rba)}")
    word = "**yes**" if sooner == len(facts) else "**no**" if sooner == 0 else "**in part**"
    return f"{word}: on {sooner} of {len(facts)} problems (vanilla / RBA: {'; '.join(words)})"


def _generalises(facts: Table) -> str:
    better = [p for p, both in facts.items() if both["rba"].error < both["vanilla"].error]
    word = "**yes**" if len(better) == len(facts) else "**no**" if not better else "**in part**"
    words = [
        f"{NAMES[p]} {both['vanilla'].error:.1e} / {both['rba'].error:.1e}"
        for p, both in facts.items()
    ]
    return f"{word}: on {len(better)} of {len(facts)} problems (vanilla / RBA: {'; '.join(words)})"


def _fastest(facts: Table) -> str:
    reached = {p: {w: f for w, f in both.items() if f.three_phases} for p, both in facts.items()}
    if not any(reached.values()):
        return "cannot be said: no run reaches total diffusion"
    number, of, others = _count(reached, lambda f: f.steepest_phase == "total diffusion")
    return _verdict(number, of, others, " (of those that reach total diffusion)")


def _middle(facts: Table) -> str:
    return _verdict(*_count(facts, lambda f: 1 < f.most_saturated < len(f.saturation)))


def _information(facts: Table) -> str:
    least = min(f.information[-1] for both in facts.values() for f in both.values())
    kept = f" (the last layer keeps more than 95 % of log₂ N; the least is {100 * least:.1f} %)"
    return _verdict(*_count(facts, lambda f: f.information[-1] > 0.95), kept)


FINDINGS: dict[str, Callable[[Table], str]] = {
    "Three phases in every run": _three_phases,
    "RBA reaches total diffusion sooner": _sooner,
    "RBA generalises better": _generalises,
    "The error falls fastest once gradients and residuals are ordered": _fastest,
    "Middle layers saturate most": _middle,
    "Deep layers lose almost no information": _information,
}
