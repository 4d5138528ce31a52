"""Whether blocks of points pay: what a point costs, against how many are worked on at once.

    python -m benchmarks.blocks --output benchmarks/results/blocks.json

Allen-Cahn with hard conditions, 6 x 128 tanh, float32: loss and gradient, compiled. Beside it the bare
matrix products of the same series, three numbers a neuron. Blocks that stay in a core's cache would
pay if a point cost less among few points than among many; their gradients would be added up besides.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.peers import matmuls
from benchmarks.peers.setting import DEPTH, WIDTH
from pinn.engine import parse_config
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state

PROBLEM = "allen-cahn"
CARRIED = 3
"""Numbers a neuron (`engine/derivatives/jets.py`)."""


def loss_and_gradient(points: int) -> Callable[[], object]:
    config = parse_config(
        {
            "run": {"device": "cpu"},
            "problem": {"name": PROBLEM, "hard": True},
            "network": {"name": "mlp", "width": WIDTH, "depth": DEPTH},
            "points": {"interior": points},
            "optimizers": [{"name": "adam", "steps": 1}],
        }
    )
    module, objective, _ = prepare(config)
    state = initial_state(config, module, len(objective.equations.names))
    objective.compiled(compile_lazily)
    return lambda: objective.evaluate(objective.parameters, state.points, state.weights)


def microseconds(function: Callable[[], object], points: int, calls: int) -> float:
    """A point, of the calls behind a first that is not timed."""
    function()
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    return 1e6 * (time.perf_counter() - begin) / (calls * points)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    sizes = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 25600]
    parser.add_argument("--points", nargs="+", type=int, default=sizes)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    of_size = {
        points: (
            loss_and_gradient(points),
            matmuls.make_step(PROBLEM, points, coefficients=CARRIED),
        )
        for points in asked.points
    }
    rounds = [
        {
            points: [microseconds(f, points, max(max(of_size) // points, 1)) for f in functions]
            for points, functions in of_size.items()
        }
        for _ in range(asked.rounds + 1)
    ][1:]  # the first compiles
    results = [
        {
            "points": points,
            "microseconds_a_point": statistics.median(each[points][0] for each in rounds),
            "products": statistics.median(each[points][1] for each in rounds),
            "over_products": statistics.median(
                each[points][0] / each[points][1] for each in rounds
            ),
            "over_most_points": statistics.median(
                each[points][0] / each[max(of_size)][0] for each in rounds
            ),
        }
        for points in of_size
    ]
    for row in results:
        print(row)
    document = {"machine": describe(), "rounds": asked.rounds, "results": results}
    asked.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
