"""What a sweep costs beside the runs that it trains.

    python -m benchmarks.sweep --output benchmarks/results/sweep.json

Many runs of some seconds each, by as many processes as there are cores. Beside the time of all runs,
from the file that a run writes when its training begins to the one that it writes at its end, stands
that of the whole command, times the processes: importing, checking, building, handing out, looking,
the page at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import tomli_w

from benchmarks.machine import describe
from pinn.engine import sweep

TABLE = {
    "problem": {"name": "burgers"},
    "network": {"name": "mlp", "width": 32, "depth": 3},
    "points": {"interior": 1000, "conditions": 100},
    "analyzers": [{"name": "error"}],
}


def seconds_of(run: Path) -> float:
    """From the begin of its training to its end."""
    begin, end = (run / name for name in ("environment.json", "summary.json"))
    return end.stat().st_mtime - begin.stat().st_mtime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=900, help="of each run")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = {
            **TABLE,
            "optimizers": [{"name": "adam", "steps": asked.steps}],
            "sweep": {
                "directory": str(Path(folder) / "runs"),
                "processes": asked.processes,
                "grid": {"run.seed": list(range(asked.runs))},
            },
        }
        file = Path(folder) / "sweep.toml"
        file.write_text(tomli_w.dumps(table), encoding="utf-8")
        begun = time.perf_counter()
        states = sweep(file)
        clock = time.perf_counter() - begun
        trained = sum(seconds_of(end.parent) for end in Path(folder).rglob("summary.json"))
    found = {
        "machine": describe(),
        "runs": asked.runs,
        "done": sum(state.what == "done" for state in states),
        "processes": asked.processes,
        "seconds_a_run": trained / asked.runs,
        "clock": clock,
        "overhead": clock * asked.processes / trained - 1,
    }
    asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    main()
