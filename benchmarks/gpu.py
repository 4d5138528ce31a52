"""What a GPU makes of a step: checks, times, and the papers' set-up for 10,000 steps, in eight minutes.

    python -m benchmarks.gpu --output benchmarks/results/gpu.json

Needs no network; writes what it has after every part, and begins none after `--minutes`: the same call
again measures what is missing in the file, and what is there stays. Times are medians over rounds of
several steps, between two synchronisations; `--device cpu --points 256 --steps 20` tries the program
where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import tomli
import torch
from filelock import FileLock
from torch import Tensor

from benchmarks.machine import describe
from benchmarks.peers import matmuls, nested
from benchmarks.peers.setting import Step
from benchmarks.step import PROBLEMS
from pinn.core.errors import out_of_memory
from pinn.engine import Run, parse_config, train, train_seeds
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.launch import Launch
from pinn.engine.training.ready import prepare
from pinn.engine.training.state import initial_state

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "configs" / "papers" / "allen-cahn-rba.toml"
PARTS = ("checks", "small", "seeds", "paper", "processes", "steps")
POINTS = (4096, 25600, 262144)
ROUNDS = 7
END_OF_SEEDS = 600
SECONDS = 0.15
"""Of a round, about."""

ALONE = Path(tempfile.gettempdir()) / "pinn-gpu.lock"
"""Held while times are taken, so that several of these programs can compile at once."""

Steps = Callable[[int], Any]
"""Makes so many steps."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--points", nargs="+", type=int, default=POINTS)
    parser.add_argument("--only", nargs="+", default=[*MAKERS], help="of " + "; ".join(MAKERS))
    parser.add_argument("--steps", type=int, default=10_000, help="of the papers' Allen-Cahn, RBA")
    parser.add_argument("--minutes", type=float, default=8, help="after which no part is begun")
    asked = parser.parse_args()
    over = time.monotonic() + 60 * asked.minutes
    found: dict[str, Any] = {}
    if asked.output.exists():
        found = json.loads(asked.output.read_text(encoding="utf-8"))
    found["machine"] = {**describe(), "device": name_of(asked.device)}
    for part, measure in parts(asked).items():
        if part in found:
            continue
        if time.monotonic() > over:
            print(f"{part}: left for another call", flush=True)
            continue
        found[part] = measure()
        asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{part}: {found[part]}", flush=True)


def parts(asked: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """{what is measured: what measures it}, of the parts that are asked for."""
    device, steps = asked.device, asked.steps
    small = min(4096, *asked.points)
    of = {
        "checks": {"checks": checks},
        "small": {"4 x 64, 4,096 points, ms a step": partial(small_network, device, small)},
        "seeds": {
            "4 x 64, 1,024 points, seeds together, ms a step": partial(seeds_together, device)
        },
        "paper": {
            f"allen-cahn, RBA, as in the paper, {steps:,} steps": partial(paper, device, steps)
        },
        "processes": {"two processes": partial(two_processes, device)},
        "steps": {
            f"{problem}, {points:,} points, ms a step": partial(
                times, asked.only, problem, points, device
            )
            for points, problem in product(asked.points, asked.problems)
        },
    }
    return {name: measure for part in asked.parts for name, measure in of[part].items()}


def name_of(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def checks() -> str:
    """The last line of the tests marked gpu."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def times(makers: Sequence[str], problem: str, points: int, device: str) -> dict[str, float | None]:
    """Milliseconds of a step by what makes it; None where memory ran out."""
    return {
        name: milliseconds(partial(MAKERS[name], problem, points, device), device)
        for name in makers
    }


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


def of_peer(make_step: Callable[..., Step], problem: str, points: int, device: str) -> Steps:
    return repeated(make_step(problem, points, device=device))


def own_products(problem: str, points: int, device: str) -> Steps:
    """Those of as many numbers a neuron as `pinn` carries, which are fewer than all derivatives."""
    _, objective, _ = ready(problem, 16, "cpu", 4, 1)
    carried = len(objective.equations.jets.monomials)
    return of_peer(partial(matmuls.make_step, coefficients=carried), problem, points, device)


MAKERS: Mapping[str, Callable[[str, int, str], Steps]] = {
    "pinn": launched,
    "pinn, one by one": one_by_one,
    "nested": partial(of_peer, nested.make_step),
    "nested, compiled": partial(of_peer, partial(nested.make_step, compiled=True)),
    "matrix products": partial(of_peer, matmuls.make_step),
    "its own products": own_products,
}


def small_network(device: str, points: int) -> dict[str, float | None]:
    return {
        problem: milliseconds(partial(launched, problem, points, device, 64, 4), device)
        for problem in PROBLEMS
    }


def seeds_together(device: str, counts: Sequence[int] = (1, 2, 8)) -> dict[int, float]:
    """Of a step of Burgers under residual-based attention, of so many seeds in one batch."""
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            table = {
                "run": {"directory": folder, "device": device, "compile": "always", "seeds": count},
                "problem": {"name": "burgers"},
                "network": {"name": "mlp", "width": 64, "depth": 4},
                "points": {"interior": 1024, "conditions": 64},
                "weighting": {"name": "rba"},
                "optimizers": [{"name": "adam", "steps": END_OF_SEEDS}],
            }
            config = parse_config(table)
            runs = train_seeds(config, report=False) if count > 1 else [train(config, report=False)]
            found[count] = sum(map(step_of, runs))
    return found


def two_processes(device: str) -> dict[str, float] | str:
    """Milliseconds of a step of one process and of two, a GPU each, and how far their errors differ."""
    if device.startswith("cuda") and torch.cuda.device_count() < 2:
        return "one GPU"
    found, errors = {}, []
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            table = {
                "run": {"directory": folder, "device": device, "processes": count},
                "problem": {"name": "burgers"},
                "network": {"name": "mlp", "width": 64, "depth": 4},
                "points": {"interior": 1024, "conditions": 64},
                "weighting": {"name": "rba"},
                "optimizers": [{"name": "adam", "steps": END_OF_SEEDS}],
                "analyzers": [{"name": "error", "every": 100}],
            }
            run = train(parse_config(table), report=False)
            errors.append(run.metrics()["rel_l2"][1][-1])
            found[f"{count}"] = step_of(run)
    return found | {"relative difference of the errors": abs(errors[1] / errors[0] - 1)}


def step_of(run: Run) -> float:
    """Milliseconds of a step behind the first hundred."""
    steps, seconds = run.metrics()["seconds"]
    passed = dict(zip(steps.tolist(), seconds.tolist(), strict=True))
    return 1e3 * (passed[END_OF_SEEDS] - passed[100]) / (END_OF_SEEDS - 100)


def milliseconds(make: Callable[[], Steps], device: str) -> float | None:
    """Median over rounds of the time of a step."""
    try:
        steps = make()
        with FileLock(ALONE):
            count = 1
            while timed(steps, count, device) < SECONDS and count < 1000:
                count *= 2
            return statistics.median(
                1e3 * timed(steps, count, device) / count for _ in range(ROUNDS)
            )
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
