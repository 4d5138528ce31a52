"""Whether stages that end on a phase pay: time to a given error, with `until` and with fixed steps.

    python -m benchmarks.until        # half an hour of one core; continues where it stopped

Adam, then L-BFGS. Adam makes a fixed number of steps, or ends with total diffusion, which the analyzers
`snr` and `phases` watch for; what they cost is in its time. Writes `results/until.json`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from math import inf
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import describe
from pinn.engine import open_run, parse_config, train

RESULTS = Path(__file__).with_name("results") / "until.json"
SEEDS = range(5)
STEPS = 4000
"""Of Adam, at most; and of L-BFGS behind it."""
PROBLEMS: Mapping[str, tuple[dict[str, Any], dict[str, Any], float]] = {
    "burgers": ({"viscosity": 0.02, "hard": True}, {"width": 40, "depth": 4}, 1e-3),
    "helmholtz": (
        {"a1": 3, "a2": 3, "hard": True},
        {"width": 40, "depth": 3, "activation": "sin"},
        1e-3,
    ),
}
"""Options, network and the error that is to be reached."""
PLANS: Mapping[str, dict[str, Any]] = {
    "until total diffusion": {"steps": STEPS, "until": "total_diffusion"},
    "500 steps": {"steps": 500},
    "1,500 steps": {"steps": 1500},
    "4,000 steps": {"steps": 4000},
}
WATCH = [
    {"name": "snr", "batches": 16, "every": 20, "early_every": 5},
    {"name": "phases", "every": 20, "early_every": 5},
]


def configuration(problem: str, plan: str, seed: int, directory: Path) -> dict[str, Any]:
    options, network, target = PROBLEMS[problem]
    adam = {"name": "adam", "lr": 2e-3, "decay_steps": 500, **PLANS[plan]}
    return {
        "run": {"directory": str(directory), "seed": seed, "record": 20},
        "problem": {"name": problem, **options},
        "network": {"name": "mlp", **network},
        "points": {"interior": 2048, "conditions": 128},
        "weighting": {"name": "rba"},
        "optimizers": [adam, {"name": "lbfgs", "steps": STEPS, "until": f"rel_l2 < {target}"}],
        "analyzers": [{"name": "error", "every": 20}, *(WATCH if "until" in PLANS[plan] else [])],
    }


def outcome(task: tuple[str, str, int, Path]) -> dict[str, float]:
    """Seconds until the error was reached, infinite if it was not, and where Adam ended."""
    problem, plan, seed, root = task
    directory = root / f"{problem}-{plan.replace(' ', '-').replace(',', '')}-{seed}"
    if not (directory / "summary.json").exists():
        train(parse_config(configuration(problem, plan, seed, directory)))
    run = open_run(directory)
    metrics = run.metrics()
    steps, errors = metrics["rel_l2"]
    reached = np.flatnonzero(errors < PROBLEMS[problem][2])
    seconds = np.interp(steps, *metrics["seconds"])
    watched = sum(run.summary["seconds"].get(entry["name"], 0.0) for entry in WATCH)
    rate_steps, rates = metrics["learning_rate"]
    adam = int(rate_steps[rates < 1.0][-1])
    print(f"{problem}, {plan}, seed {seed}: done", flush=True)
    return {
        "seconds": float(seconds[reached[0]]) + watched if len(reached) else inf,
        "adam_steps": adam,
        "error": float(errors[-1]),
    }


def without_infinity(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """None for what was not reached: JSON has no infinity."""
    return {name: number if number < inf else None for name, number in numbers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/until"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    todo = [(p, plan, s, options.runs) for s in SEEDS for p in PROBLEMS for plan in PLANS]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = dict(zip(todo, pool.map(outcome, todo), strict=True))
    table = {
        problem: {
            plan: [found[problem, plan, seed, options.runs] for seed in SEEDS] for plan in PLANS
        }
        for problem in PROBLEMS
    }
    medians = {
        problem: {plan: median(run["seconds"] for run in runs) for plan, runs in plans.items()}
        for problem, plans in table.items()
    }
    document = {
        "machine": describe(),
        "command": "python -m benchmarks.until",
        "targets": {problem: target for problem, (_, _, target) in PROBLEMS.items()},
        "runs": {
            problem: {plan: [*map(without_infinity, runs)] for plan, runs in plans.items()}
            for problem, plans in table.items()
        },
        "median_seconds": {p: without_infinity(plans) for p, plans in medians.items()},
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document["median_seconds"], indent=1))


if __name__ == "__main__":
    main()
