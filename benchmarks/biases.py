"""Which biases to start with: zero, or uniform as torch has them; every problem, five seeds.

    python -m benchmarks.biases        # half an hour of one core; continues where it stopped

Small networks (4 x 64, 1,024 points, 3,000 Adam steps, RBA), each pair of runs with the same seed and so
the same weight matrices' distribution and points. Writes `results/biases.json`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from math import exp, log
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe
from pinn.engine import open_run, parse_config, train

RESULTS = Path(__file__).with_name("results") / "biases.json"
PROBLEMS: dict[str, dict[str, Any]] = {
    "allen-cahn": {},
    "burgers": {"viscosity": 0.02},
    "cavity": {"reynolds": 100.0},
    "helmholtz": {"a1": 3, "a2": 3},
}
BIASES = ("zero", "uniform")
SEEDS = range(5)


def configuration(problem: str, bias: str, seed: int, directory: Path) -> dict[str, Any]:
    return {
        "run": {"directory": str(directory), "seed": seed, "checkpoint": 500},
        "problem": {"name": problem, **PROBLEMS[problem]},
        "network": {"name": "mlp", "width": 64, "depth": 4, "bias": bias},
        "points": {"interior": 1024, "conditions": 256},
        "weighting": {"name": "rba"},
        "optimizers": [{"name": "adam", "steps": 3000, "lr": 1e-3}],
        "analyzers": [{"name": "error", "every": 500}],
    }


def error(task: tuple[str, str, int, Path]) -> float:
    """Relative L2 error at the end of one run, which is trained or continued."""
    problem, bias, seed, root = task
    directory = root / f"{problem}-{bias}-{seed}"
    if not (directory / "summary.json").exists():
        train(parse_config(configuration(problem, bias, seed, directory)))
    found = float(open_run(directory).metrics()["rel_l2"][1][-1])
    print(f"{problem}, {bias}, seed {seed}: {found:.3g}", flush=True)
    return found


def tasks(root: Path) -> Iterator[tuple[str, str, int, Path]]:
    for seed in SEEDS:
        for problem in PROBLEMS:
            for bias in BIASES:
                yield problem, bias, seed, root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/biases"))
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time, a core each")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.at_once, mp_context=get_context("spawn")) as pool:
        todo = list(tasks(options.runs))
        errors = dict(zip(todo, pool.map(error, todo), strict=True))
    found: dict[str, Any] = {
        p: {b: [errors[p, b, s, options.runs] for s in SEEDS] for b in BIASES} for p in PROBLEMS
    }
    ratios = [
        log(u / z)
        for both in found.values()
        for u, z in zip(both["uniform"], both["zero"], strict=True)
    ]
    document = {
        "machine": describe(),
        "command": "python -m benchmarks.biases",
        "rel_l2": found,
        "medians": {p: {b: median(e) for b, e in both.items()} for p, both in found.items()},
        "uniform_over_zero": exp(sum(ratios) / len(ratios)),
        "uniform_better": sum(ratio < 0 for ratio in ratios),
        "pairs": len(ratios),
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({k: document[k] for k in ("medians", "uniform_over_zero", "uniform_better")}))


if __name__ == "__main__":
    main()
