"""What observing costs: one measurement of every analyzer against 100 training steps.

    python -m benchmarks.analyzer_cost --output benchmarks/results/analyzer_cost.json

Network 6 x 128 tanh, float32, RBA, steps and batch gradients compiled as in a long run. Every analyzer
with its default options, and as often as the papers measure, also those that a run measures more
rarely. Steps and measurements alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.machine import describe
from pinn.core.blame import explained_closely
from pinn.core.discovery import registry
from pinn.core.records import Records
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.reader import parse_config
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.observing import Observing
from pinn.engine.training.progress import Reporter
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state
from pinn.engine.training.trainer import Trainer

EARLY, EVERY, STEPS = 300, 100, 300_000
"""The papers' cadence: every 2 steps up to EARLY, then every EVERY."""
ANALYZERS = [
    "error", "snr", "adam-snr", "equilibrium", "balance", "homogeneity", "phases", "compression",
    "spectrum", "curvature", "sensitivity", "stagnation", "fresh", "rounding", "symmetry", "search",
    "maps",
]  # fmt: skip


def trainer(problem: str, points: int, room: Path) -> Trainer:
    config = parse_config(
        {
            "run": {"device": "cpu"},
            "problem": {"name": problem},
            "network": {"name": "mlp", "width": 128, "depth": 6},
            "points": {"interior": points},
            "weighting": {"name": "rba"},
            "optimizers": [{"name": "adam", "steps": STEPS}],
            "analyzers": [{"name": name} for name in ANALYZERS],
        }
    )
    module, objective, evaluator = prepare(config)
    state = initial_state(config, module, len(objective.equations.names))
    objective.compiled(compile_lazily, batches=True)
    directory = RunDirectory(room)
    records = Records(directory.metrics)
    observing = Observing(
        config.observers, records, Reporter(), explained_closely, state.memories, state.seconds
    )
    return Trainer(config, state, objective, evaluator, directory, observing)


def measure(problem: str, points: int, rounds: int) -> dict[str, object]:
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as room:
        training = trainer(problem, points, Path(room))
        for _ in range(rounds + 1):
            begin = time.perf_counter()
            evaluation = training.step()
            seconds["step"].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            training.observing.follow(evaluation.residuals)
            seconds["follow"].append(time.perf_counter() - begin)
            view = training.view()
            for observer in training.config.observers:
                begin = time.perf_counter()
                training.observing.observe(view, {}, [observer])
                seconds[observer.analyzer.name].append(time.perf_counter() - begin)
            training.records.write()
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    step, follow = medians.pop("step"), medians.pop("follow")
    measurements = EARLY // 2 + (STEPS - EARLY) // EVERY
    observing = measurements * sum(medians.values()) + STEPS * follow
    return {
        "problem": problem,
        "points": points,
        "step_ms": round(1e3 * step, 1),
        "measurement_ms": {name: round(1e3 * median, 1) for name, median in medians.items()},
        "each_step_ms": round(1e3 * follow, 2),
        "share_of_training_percent": round(100 * observing / (STEPS * step), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="+", default=["allen-cahn", "helmholtz", "cavity"])
    parser.add_argument("--points", nargs="+", type=int, default=[25600])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    missing = {part.name for part in registry().parts("analyzer")} - set(ANALYZERS)
    assert not missing, f"not measured: {missing}"
    results = []
    for points in options.points:
        for problem in options.problems:
            results.append(measure(problem, points, options.rounds))
            print(json.dumps(results[-1]), flush=True)
    if options.output:
        document = {"machine": describe(), "every": EVERY, "steps": STEPS, "results": results}
        options.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
