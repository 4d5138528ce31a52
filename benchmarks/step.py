"""Time of one training step against peers, alternated in one process.

    python -m benchmarks.step --output benchmarks/results/step.json

Every round times each candidate once, after a step of its own that is not timed: thread pools of the
one before go on spinning for a while. A ratio is the median over rounds of the ratio within a round, so
that a slow moment of the machine meets both sides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.peers.setting import Step

PROBLEMS = ("allen-cahn", "burgers", "helmholtz", "cavity")
OURS = "pinn"


def candidates(problem: str, points: int) -> dict[str, Callable[[], Step]]:
    """Makers of the steps by name; what cannot be imported is left out."""
    from benchmarks.peers import matmuls, nested, taylor

    makers: dict[str, Callable[[], Step]] = {
        OURS: lambda: taylor.make_step(problem, points),
        "pinn, eager": lambda: taylor.make_step(problem, points, compiled=False),
        "nested": lambda: nested.make_step(problem, points),
        "matrix products": lambda: matmuls.make_step(problem, points),
    }
    if problem == "cavity":
        makers["nested, usual"] = lambda: nested.make_step(problem, points, usual=True)
    try:
        from benchmarks.peers import deepxde

        makers["DeepXDE"] = lambda: deepxde.make_step(problem, points)
    except ImportError:
        pass
    try:
        from benchmarks.peers import jax_nested

        makers["JAX"] = lambda: jax_nested.make_step(problem, points)
    except ImportError:
        pass
    return makers


def measure(problem: str, points: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round, by candidate."""
    steps = {name: make() for name, make in candidates(problem, points).items()}
    losses = {name: step() for name, step in steps.items() if name != "matrix products"}
    first = losses["nested"]
    for name, loss in losses.items():
        if abs(loss - first) > 1e-3 * abs(first):
            raise RuntimeError(f"{problem}: {name} has loss {loss}, nested has {first}")
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()
            begin = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - begin) / step.iterations_per_call)
    return times


def ratio(other: list[float], ours: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(other, ours, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--points", nargs="+", type=int, default=[4096, 25600])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = []
    for points in options.points:
        for problem in options.problems:
            times = measure(problem, points, options.rounds)
            row = {
                "problem": problem,
                "points": points,
                "median_ms": {n: round(statistics.median(t), 1) for n, t in times.items()},
                "minimum_ms": {n: round(min(t), 1) for n, t in times.items()},
                "ratio_to_pinn": {n: round(ratio(t, times[OURS]), 2) for n, t in times.items()},
            }
            results.append(row)
            print(json.dumps(row), flush=True)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": describe(), "rounds": options.rounds, "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
