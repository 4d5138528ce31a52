"""What a second process brings on a CPU: steps of one thread each, of one run.

    python -m benchmarks.processes --output benchmarks/results/processes.json

Runs of one and of two processes alternate, and two runs at once that know nothing of each other, on half
of the points each: what the machine has for two. Each compiles, or finds it compiled, before its steps
are timed. A ratio is of runs beside each other, the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe
from benchmarks.step import PROBLEMS
from pinn.engine import parse_config, train

BEGIN, END = 10, 30
"""The steps that are timed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--points", nargs="+", type=int, default=[25600])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that are begun, too
    torch.set_num_threads(1)
    results: list[dict[str, Any]] = []
    for problem in asked.problems:
        for points in asked.points:
            rounds = [
                (
                    milliseconds(problem, points, 1),
                    milliseconds(problem, points, asked.processes),
                    apart(problem, points, asked.processes),
                )
                for _ in range(asked.rounds + 1)
            ][1:]  # the first compiles
            results.append(
                {
                    "problem": problem,
                    "points": points,
                    "processes": asked.processes,
                    "rounds": asked.rounds,
                    "ms_of_one": statistics.median(one for one, _, _ in rounds),
                    "ms_of_all": statistics.median(several for _, several, _ in rounds),
                    "ms_apart": statistics.median(alone for _, _, alone in rounds),
                    "ratio": statistics.median(one / several for one, several, _ in rounds),
                    "ratio_apart": statistics.median(one / alone for one, _, alone in rounds),
                }
            )
            print(results[-1], flush=True)
            found = {"machine": describe(), "results": results}
            asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def apart(problem: str, points: int, count: int) -> float:
    """Of a step of so many runs at once, on a share of the points each; the mean over the runs."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        share = [points // count] * count
        return statistics.mean(pool.map(milliseconds, [problem] * count, share, [1] * count))


def milliseconds(problem: str, points: int, processes: int) -> float:
    """Of a step of Adam under residual-based attention, 6 x 128, float32."""
    with tempfile.TemporaryDirectory() as folder:
        config = parse_config(
            {
                "run": {
                    "directory": folder,
                    "device": "cpu",
                    "compile": "always",
                    "record": BEGIN,
                    "processes": processes,
                },
                "problem": {"name": problem},
                "network": {"name": "mlp", "width": 128, "depth": 6},
                "points": {"interior": points, "conditions": 512},
                "weighting": {"name": "rba"},
                "optimizers": [{"name": "adam", "steps": END}],
            }
        )
        steps, seconds = train(config, report=False).metrics()["seconds"]
        passed = dict(zip(steps.tolist(), seconds.tolist(), strict=True))
        return 1e3 * (passed[END] - passed[BEGIN]) / (END - BEGIN)


if __name__ == "__main__":
    main()
