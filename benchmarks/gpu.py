"""What a GPU makes of a step: checks, times, and the papers' set-up for 10,000 steps, in eight minutes.

    python -m benchmarks.gpu --output benchmarks/results/gpu.json

Needs no network; writes what it has after every part. Times are medians over rounds of several steps,
between two synchronisations; `--device cpu --points 256 --steps 20` tries the program where there is no
GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli
import torch
from torch import Tensor

from benchmarks.machine import describe
from benchmarks.peers import matmuls, nested
from benchmarks.step import PROBLEMS
from pinn.core.errors import out_of_memory
from pinn.engine import parse_config, train
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.launch import Launch
from pinn.engine.training.run import prepare
from pinn.engine.training.state import initial_state

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "configs" / "papers" / "allen-cahn-rba.toml"
POINTS = (4096, 25600, 262144)
ROUNDS = 7
SECONDS = 0.15
"""Of a round, about."""

Steps = Callable[[int], Any]
"""Makes so many steps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--points", nargs="+", type=int, default=POINTS)
    parser.add_argument("--steps", type=int, default=10_000, help="of the papers' Allen-Cahn, RBA")
    parser.add_argument(
        "--without-checks", action="store_true", help="leave the tests marked gpu out"
    )
    asked = parser.parse_args()
    found: dict[str, Any] = {"machine": {**describe(), "device": name_of(asked.device)}}

    def keep(part: str, value: Any) -> None:
        found[part] = value
        asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{part}: {value}", flush=True)

    if not asked.without_checks:
        keep("checks", checks())
    keep("4 x 64, 4,096 points, ms a step", small_network(asked.device, min(4096, *asked.points)))
    for problem in asked.problems:
        for points in asked.points:
            keep(f"{problem}, {points:,} points, ms a step", times(problem, points, asked.device))
    keep(
        f"allen-cahn, RBA, as in the paper, {asked.steps:,} steps", paper(asked.device, asked.steps)
    )


def name_of(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def checks() -> str:
    """The last line of the tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def times(problem: str, points: int, device: str) -> dict[str, float | None]:
    """Milliseconds of a step by what makes it; None where memory ran out."""
    makers: Mapping[str, Callable[[], Steps]] = {
        "pinn": lambda: launched(problem, points, device),
        "pinn, one by one": lambda: one_by_one(problem, points, device),
        "nested": lambda: repeated(nested.make_step(problem, points, device=device)),
        "nested, compiled": lambda: repeated(
            nested.make_step(problem, points, device=device, compiled=True)
        ),
        "matrix products": lambda: repeated(matmuls.make_step(problem, points, device=device)),
    }
    return {name: milliseconds(make, device) for name, make in makers.items()}


def repeated(step: Callable[[], Any]) -> Steps:
    def make(steps: int) -> None:
        for _ in range(steps):
            step()

    return make


def launched(problem: str, points: int, device: str, width: int = 128, depth: int = 6) -> Steps:
    """Adam's steps as `pinn run` makes them, many at a time."""
    state, objective, rate = ready(problem, points, device, width, depth)
    first(state, objective)
    return Launch(state, objective, {}, rate).make


def one_by_one(problem: str, points: int, device: str) -> Steps:
    state, objective, _ = ready(problem, points, device, 128, 6)
    return repeated(lambda: first(state, objective))


def ready(problem: str, points: int, device: str, width: int, depth: int) -> tuple[Any, Any, float]:
    config = parse_config(
        {
            "run": {"device": device},
            "problem": {"name": problem},
            "network": {"name": "mlp", "width": width, "depth": depth},
            "points": {"interior": points, "conditions": min(512, points)},
            "optimizers": [{"name": "adam", "steps": 1}],
        }
    )
    module, objective, _ = prepare(config)
    objective.compiled(compile_lazily)
    return initial_state(config, module, len(objective.equations.names)), objective, 1e-3


def first(state: Any, objective: Any) -> Tensor:
    found = objective.evaluate(objective.parameters, state.points, state.weights)
    for parameter, gradient in zip(objective.parameters, found.gradient, strict=True):
        parameter.grad = gradient
    state.optimizer.step()
    return found.loss.item()


def small_network(device: str, points: int) -> dict[str, float | None]:
    return {
        problem: milliseconds(lambda p=problem: launched(p, points, device, 64, 4), device)  # type: ignore[misc]
        for problem in PROBLEMS
    }


def milliseconds(make: Callable[[], Steps], device: str) -> float | None:
    """Median over rounds of the time of a step."""
    try:
        steps = make()
        count = 1
        while timed(steps, count, device) < SECONDS and count < 1000:
            count *= 2
        return statistics.median(1e3 * timed(steps, count, device) / count for _ in range(ROUNDS))
    except Exception as error:
        if not out_of_memory(error):
            raise
        return None
    finally:
        torch.cuda.empty_cache()


def timed(steps: Steps, count: int, device: str) -> float:
    synchronise(device)
    begin = time.perf_counter()
    steps(count)
    synchronise(device)
    return time.perf_counter() - begin


def synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def paper(device: str, steps: int) -> dict[str, Any]:
    """Seconds of training and of each analyzer, and the error."""
    table = tomli.loads(PAPER.read_text(encoding="utf-8"))
    table["optimizers"][0]["steps"] = steps
    with tempfile.TemporaryDirectory() as folder:
        table["run"] |= {"directory": folder, "device": device}
        begin = time.perf_counter()
        run = train(parse_config(table), report=False)
        whole = time.perf_counter() - begin
        seconds: Mapping[str, float] = run.summary["seconds"]
        error = run.metrics()["rel_l2"][1]
        return {
            "clock": round(whole, 2),
            "seconds": {name: round(spent, 2) for name, spent in seconds.items()},
            "rel_l2": float(error[-1]),
        }


if __name__ == "__main__":
    main()
