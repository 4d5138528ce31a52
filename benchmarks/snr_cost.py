"""What the SNR analyzer costs: one measurement of 100 batches against 100 training steps.

    python -m benchmarks.snr_cost --output benchmarks/results/snr_cost.json

Network 6 x 128 tanh, float32, compiled steps as `pinn run` takes them. Steps and measurements alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from pinn.analyzers.snr import SignalToNoise
from pinn.core.compilation import compile_lazily
from pinn.core.config import parse_config
from pinn.core.evaluation import Evaluator
from pinn.core.prepare import prepare
from pinn.core.progress import Silent
from pinn.core.records import Records
from pinn.core.rundir import RunDirectory
from pinn.core.state import initial_state
from pinn.core.training import Trainer

EVERY = 100


def measure(problem: str, points: int, rounds: int) -> dict[str, object]:
    config = parse_config(
        {
            "run": {"device": "cpu"},
            "problem": {"name": problem},
            "network": {"name": "mlp", "width": 128, "depth": 6},
            "points": {"interior": points},
            "weighting": {"name": "rba"},
            "optimizers": [{"name": "adam", "steps": 10**6}],
        }
    )
    module, objective, evaluator = prepare(config)
    state = initial_state(config, module, objective)
    objective.compiled(compile_lazily, batches=True)
    with tempfile.TemporaryDirectory() as room:
        trainer = _trainer(config, state, objective, evaluator, Path(room))
        analyzer = SignalToNoise(batches=100)
        trainer.step()
        analyzer.measure(trainer.view())
        steps, measurements = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            trainer.step()
            middle = time.perf_counter()
            analyzer.measure(trainer.view())
            steps.append(middle - begin)
            measurements.append(time.perf_counter() - middle)
    shares = [m / (EVERY * s) for m, s in zip(measurements, steps, strict=True)]
    return {
        "problem": problem,
        "points": points,
        "step_ms": round(1e3 * statistics.median(steps), 1),
        "measurement_ms": round(1e3 * statistics.median(measurements), 1),
        "share_of_training_percent": round(100 * statistics.median(shares), 2),
    }


def _trainer(config, state, objective, evaluator: Evaluator, room: Path) -> Trainer:  # type: ignore[no-untyped-def]
    directory = RunDirectory(room)
    records = Records(directory.metrics)
    return Trainer(config, state, objective, evaluator, directory, records, Silent())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=["allen-cahn", "helmholtz", "cavity"])
    parser.add_argument("--points", nargs="+", type=int, default=[4096, 25600])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    results = []
    for points in options.points:
        for problem in options.problems:
            results.append(measure(problem, points, options.rounds))
            print(json.dumps(results[-1]), flush=True)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": describe(), "every": EVERY, "batches": 100, "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
