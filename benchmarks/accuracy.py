"""The error that an hour buys: the set-ups of `configs/fast/`, each from nothing, over seeds.

    python -m benchmarks.accuracy                           # all, 3 seeds, an hour a run
    python -m benchmarks.accuracy burgers --minutes 15      # and again: goes on where it stopped
    python -m benchmarks.accuracy --seeds 0                 # the tables of what is kept

Writes `results/accuracy.json` and `docs/accuracy.png`, and prints the table. Time is the processor's, in
minutes of two cores, 120 CPU seconds each, which other work on the machine changes little. It starts
before the network is built, compiling and measuring the error included. The clock stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field

from benchmarks.machine import describe
from pinn.engine import load_config, prepare, train
from pinn.engine.training.progress import Reporter

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs" / "fast"
RESULTS = Path(__file__).with_name("results") / "accuracy.json"
FIGURE = ROOT / "docs" / "accuracy.png"
MINUTES = (1, 3, 15, 20, 60)
ERRORS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
NAMES = {
    "burgers": "Burgers, ν = 0.01/π",
    "helmholtz-1-4": "Helmholtz (1, 4)",
    "helmholtz-6-6": "Helmholtz (6, 6)",
    "allen-cahn": "Allen-Cahn",
    "cavity-re100": "cavity, Re = 100, unit lid, speed",
    "cavity-re1000": "cavity, Re = 1000, unit lid, speed",
    "cavity-re3200": "cavity, Re = 3200, unit lid, speed",
}

CORES = 2
"""Of the machine whose minutes the table counts, whatever number of threads a run had."""

Curve = list[tuple[float, float, int, float]]
"""Seconds by the clock, seconds of the CPU, step, relative L2 error; growing in the first three."""


@define
class Clock(Reporter):
    """Notes when which error was measured, in a file; ends the run after `limit` CPU seconds."""

    file: Path
    limit: float
    _offset: tuple[float, float] = field(default=(0.0, 0.0), init=False)
    _begun: tuple[float, float] = field(init=False)
    _seen: float | str | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._begun = time.perf_counter(), cpu_seconds()

    def begin(self, done: int, total: int) -> None:
        """Forget what was measured behind the checkpoint that the run goes on from."""
        curve = [row for row in read(self.file) if row[2] <= done]
        self.file.write_text("".join(json.dumps(row) + "\n" for row in curve), encoding="utf-8")
        if curve:
            self._offset = curve[-1][:2]

    def step(self, step: int, loss: float, shown: Mapping[str, float | str]) -> None:
        wall = self._offset[0] + time.perf_counter() - self._begun[0]
        cpu = self._offset[1] + cpu_seconds() - self._begun[1]
        error = shown.get("rel_l2")
        if error is not None and error != self._seen:
            self._seen = error
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([round(wall, 2), round(cpu, 2), step, error]) + "\n")
        if cpu > self.limit:
            signal.raise_signal(signal.SIGTERM)  # SIGINT may be ignored, as behind `&` of a shell


def cpu_seconds() -> float:
    """Of this process and the compilers that it started."""
    return sum(os.times()[:4])


def cpu(minutes: float) -> float:
    """CPU seconds in minutes of the machine."""
    return 60 * CORES * minutes


def read(file: Path) -> Curve:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [tuple(json.loads(line)) for line in lines]


def run(problem: str, seed: int, minutes: float, runs: Path) -> Curve:
    """Train for so long, from the checkpoint that is there if one is; the whole curve."""
    directory = runs / f"{problem}-{seed}"
    file = runs / f"{problem}-{seed}.jsonl"
    runs.mkdir(parents=True, exist_ok=True)
    done = read(file)
    if not done or done[-1][1] < cpu(minutes):
        changes = [f"run.directory={directory}", f"run.seed={seed}"]
        config = load_config(CONFIGS / f"{problem}.toml", changes)
        train(config, Clock(file, cpu(minutes)))
    return [row for row in read(file) if row[1] <= cpu(minutes)]


def thinned(curve: Curve) -> Curve:
    """At most one row a few per cent of the time, as a figure shows it, and what the table needs."""
    needed = {row for m in MINUTES for row in [r for r in curve if r[1] <= cpu(m)][-1:]}
    kept: Curve = []
    for row in curve:
        if not kept or row[1] > 1.02 * kept[-1][1] or row is curve[-1] or row in needed:
            kept.append(row)
    return kept


def error_after(curve: Curve, minutes: float) -> float | None:
    """The error as it was measured last by then, not the lowest; None where the run was shorter."""
    by_then = [error for _, spent, _, error in curve if spent <= cpu(minutes)]
    long_enough = bool(curve) and curve[-1][1] > 0.97 * cpu(minutes)
    return by_then[-1] if by_then and long_enough else None


def seconds_to(curve: Curve, error: float) -> float | None:
    return next((spent / CORES for _, spent, _, reached in curve if reached <= error), None)


def middle_and_worst(values: Sequence[float]) -> str:
    return f"{short(median(values))} ({short(max(values))})"


def short(number: float) -> str:
    """ "1.4e-6" """
    return f"{number:.1e}".replace("e-0", "e-")


def cell(curves: Mapping[str, Curve], minutes: float) -> str:
    """Median and worst; the values with their seeds where not all runs were as long; empty for none.

    Where all ended between this column and the one before, what they had come to when the first did.
    """
    reached = {seed: error_after(curve, minutes) for seed, curve in curves.items()}
    known = {seed: error for seed, error in reached.items() if error is not None}
    if len(known) == len(curves):
        return middle_and_worst([*known.values()])
    if known:
        seeds = f"seed{'s' * (len(known) > 1)} {', '.join(known)}"
        return f"{', '.join(map(short, known.values()))} ({seeds})"
    before = max([m for m in MINUTES if m < minutes], default=0)
    shortest = min(curve[-1][1] for curve in curves.values())
    if shortest < 1.5 * cpu(before):
        return ""
    then = [[error for _, spent, _, error in c if spent <= shortest][-1] for c in curves.values()]
    return f"{middle_and_worst(then)} after {shortest / cpu(1):.1f} min"


def seconds_cell(values: Sequence[float | None]) -> str:
    """The median, of which a run that never arrived is above."""
    known = sorted(value if value is not None else float("inf") for value in values)
    found = known[len(known) // 2] if known else float("inf")
    return f"{found:,.0f} s" if found < float("inf") else ""


def sizes(problem: str) -> str:
    """Parameters, and the points of the stages, each number once."""
    config = load_config(CONFIGS / f"{problem}.toml", [])
    module, _, _ = prepare(config)
    points = dict.fromkeys(f"{stage.points.interior:,}" for stage in config.stages)
    return f"{sum(p.numel() for p in module.parameters()):,}, {', then '.join(points)}"


def short_table(found: Mapping[str, Mapping[str, Curve]]) -> str:
    """Errors alone, as README has them."""
    columns = [m for m in MINUTES if any(cell(curves, m) for curves in found.values())]
    lines = [
        "| " + " | ".join(["relative L2 error after", *(f"{m} min" for m in columns)]) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for problem, name in NAMES.items():
        cells = [name, *(cell(found[problem], m) for m in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(found: Mapping[str, Mapping[str, Curve]]) -> str:
    """Also seconds of two cores until an error, steps in three minutes, and the share of the clock."""
    minutes = [m for m in MINUTES if any(cell(curves, m) for curves in found.values())]
    headings = ["problem", "parameters, points", "seeds", *(f"{m} min" for m in minutes)]
    headings += [*(f"to {error:.0e}".replace("e-0", "e-") for error in ERRORS), "steps in 3 min"]
    lines = ["| " + " | ".join([*headings, "CPU / clock"]) + " |"]
    lines += ["|---" * (1 + len(headings)) + "|"]
    for problem, name in NAMES.items():
        curves = found[problem]
        of = [*curves.values()]
        times = [seconds_cell([seconds_to(c, e) for c in of]) for e in ERRORS]
        steps = median(max(row[2] for row in c if row[1] <= cpu(3)) for c in of)
        share = median(c[-1][1] / c[-1][0] for c in of)
        cells = [name, sizes(problem), str(len(of)), *(cell(curves, m) for m in minutes)]
        cells += [*times, f"{steps:,.0f}", f"{share:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_peers(kept: Mapping[str, Any]) -> dict[str, Mapping[str, Curve]]:
    """Curves by problem, those of other programs as "problem, program" (`benchmarks.peers`)."""
    found = dict(kept["curves"])
    for peer, problems in kept.get("peers", {}).items():
        found |= {f"{problem}, {peer}": curves for problem, curves in problems.items()}
    return found


def draw(found: Mapping[str, Mapping[str, Curve]], file: Path) -> None:
    """Error against time, every seed a line, a colour a problem, dashed for other programs."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    colours: dict[str, str] = {}
    for name, curves in found.items():
        problem, _, peer = name.partition(", ")
        colour = colours.setdefault(problem, f"C{len(colours)}")
        for place, curve in enumerate(curves.values()):
            _, spent, _, error = zip(*curve, strict=True)
            seconds = [each / CORES for each in spent]
            label = None if peer or place else NAMES[problem].removesuffix(", unit lid, speed")
            style = {"ls": "--", "lw": 0.6} if peer else {"ls": "-", "lw": 1}
            axes.loglog(seconds, error, color=colour, label=label, **style)
    longest = max(curve[-1][1] for curves in found.values() for curve in curves.values()) / CORES
    axes.set_xlim(1, 1.3 * longest)
    for minutes in [m for m in MINUTES if 60 * m < 1.2 * longest]:
        axes.axvline(60 * minutes, color="0.85", lw=0.8, zorder=0)
        unit = "" if minutes in (15, 20) else " min"  # they stand close together
        axes.annotate(f"{minutes}{unit}", (60 * minutes, 1.01), xycoords=("data", "axes fraction"),
                      fontsize=8, ha="center")  # fmt: skip
    axes.set(xlabel="seconds of two cores, from nothing", ylabel="relative $L_2$ error")
    axes.plot([], [], "--", color="0.4", lw=0.6, label="other programs")
    axes.legend(fontsize=7.5, frameon=False, loc="lower left")
    figure.savefig(file, dpi=160)


def main() -> None:
    known = sorted(path.stem for path in CONFIGS.glob("*.toml"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problems", nargs="*", choices=[*known, []], help="; ".join(known))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "accuracy")
    asked = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"curves": {}}
    for seed in range(asked.seeds):
        for problem in asked.problems or known:
            curve = run(problem, seed, asked.minutes, asked.runs)
            kept["curves"].setdefault(problem, {})[str(seed)] = thinned(curve)
            kept |= {"machine": describe(), "columns": ["seconds", "cpu_seconds", "step", "rel_l2"]}
            RESULTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")
            print(
                f"{problem}, seed {seed}: {curve[-1][3]:.2e} after {curve[-1][1] / CORES:,.0f} s",
                flush=True,
            )
    print(f"{short_table(kept['curves'])}\n\n{table(kept['curves'])}")
    draw(with_peers(kept), FIGURE)


if __name__ == "__main__":
    main()
