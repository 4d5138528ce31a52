"""What the phases of training look like where every step is one of Gauss-Newton.

    python -m benchmarks.dynamics        # half an hour of one core; continues where it stopped

Set-ups of `configs/fast/` with 20 neurons a layer on 2,000 points, drawn anew every ten of 300 steps.
Writes medians over stretches of steps to `results/dynamics.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli

from benchmarks.accuracy import CONFIGS
from benchmarks.machine import describe
from pinn.engine import Run, parse_config, train

RESULTS = Path(__file__).with_name("results") / "dynamics.json"
PROBLEMS = ("helmholtz-1-4", "allen-cahn", "burgers")
STRETCHES = ((1, 3), (4, 10), (11, 30), (31, 100), (101, 300))
QUANTITIES = (
    "rel_l2",
    "snr",
    "residual_order.residuals.neighbours",
    "search.damping",
    "search.step_length",
    "ntk.effective_rank",
    "residual_gap",
)
ANALYZERS: Mapping[str, Mapping[str, int]] = {
    "error": {"every": 1},
    "search": {"every": 1},
    "snr": {"every": 2, "early_every": 1},
    "homogeneity": {"every": 2, "early_every": 1},
    "phases": {"every": 2, "early_every": 1},
    "compression": {"every": 10, "points": 4096},
    "spectrum": {"every": 20},
    "balance": {"every": 10},
    "fresh": {"every": 5},
}


def table(problem: str, seed: int, directory: Path) -> dict[str, Any]:
    found = tomli.loads((CONFIGS / f"{problem}.toml").read_text(encoding="utf-8"))
    found["run"] |= {"directory": str(directory), "seed": seed, "record": 1}
    found["network"]["width"] = 20
    found["points"]["interior"] = 2000
    found["optimizers"] = [{"name": "gauss-newton", "steps": STRETCHES[-1][1], "redraw": 10}]
    found["analyzers"] = [{"name": name, **options} for name, options in ANALYZERS.items()]
    return found


def of_stretches(run: Run) -> dict[str, Any]:
    """{quantity: its median over each stretch, None where it was not measured}, and what phases came."""
    metrics = run.metrics()
    medians = {}
    for name in QUANTITIES:
        steps, values = metrics[name]
        inside = [values[(steps >= begin) & (steps <= end)] for begin, end in STRETCHES]
        medians[name] = [float(f"{np.median(v):.3g}") if len(v) else None for v in inside]
    snr = metrics["snr"][1]
    return medians | {
        "share of steps with snr > 1": round(float((snr > 1).mean()), 3),
        "phases": [*dict.fromkeys(map(str, metrics["phase"][1]))],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs/dynamics"))
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    for seed in range(asked.seeds):
        for problem in PROBLEMS:
            directory = asked.runs / f"{problem}-{seed}"
            run = train(parse_config(table(problem, seed, directory)), report=False)
            found.setdefault(problem, {})[seed] = of_stretches(run)
            document = {"machine": describe(), "steps": STRETCHES, "runs": found}
            RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            print(f"{problem}, seed {seed}: {found[problem][seed]}", flush=True)


if __name__ == "__main__":
    main()
