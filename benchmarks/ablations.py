"""What each scheme adds: the set-ups of `configs/ablations/`, each with one thing changed, over seeds.

    python -m benchmarks.ablations                      # all; some hours of one core
    python -m benchmarks.ablations weights --seeds 1    # and again: goes on where it stopped

Writes `results/ablations.json` and prints a table for each set-up. Every variant makes the same number
of steps; what they cost stands beside the error, as processor time, compiling left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field

from benchmarks.accuracy import cpu_seconds, middle_and_worst
from benchmarks.machine import describe
from pinn.engine import load_config
from pinn.engine.training.progress import Reporter
from pinn.engine.training.run import trained

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs" / "ablations"
RESULTS = Path(__file__).with_name("results") / "ablations.json"
COMPILED = 20
"""Steps after which everything is compiled that a step needs; the time is that of those behind."""

Changes = Sequence[str]

RBA = ("weighting.name=rba", "weighting.eta=0.01")
VRBA = ("weighting.name=vrba",)
EASY = ("optimizers.0.problem={a1=2, a2=2}", "optimizers.1.problem={a1=4, a2=4}")
ODD = 'network.odd=["x"]'
MOMENTA = 'optimizers.0.pseudo_time={momentum_x="u", momentum_y="v"}'

VARIANTS: Mapping[str, Mapping[str, Changes]] = {
    "weights": {
        "vanilla": (),
        "rba": RBA,
        "vrba, quadratic": (*VRBA, "weighting.potential=quadratic"),
        "vrba, power (p = 4)": (*VRBA, "weighting.potential=power"),
        "vrba, exponential": VRBA,
        "vrba, logarithmic": (*VRBA, "weighting.potential=logarithmic"),
        "self-adaptive": ("weighting.name=self-adaptive",),
        "causal, ε = 1": ("weighting.name=causal",),
        "causal, ε = 30": ("weighting.name=causal", "weighting.epsilon=30.0"),
    },
    "balance": {
        "none": (),
        "walls × 100": ("weighting.factors={walls=100.0}",),
        "by_size": ("weighting.by_size=true",),
        "gradient-norms, maximum": ("weighting.name=gradient-norms",),
        "gradient-norms, running": ("weighting.name=gradient-norms", "weighting.rule=running"),
        "gradient-norms, all": ("weighting.name=gradient-norms", "weighting.rule=all"),
        "ntk": ("weighting.name=ntk",),
        "relobralo": ("weighting.name=relobralo",),
        "augmented-lagrangian": ("weighting.name=augmented-lagrangian",),
        "rba": RBA,
        "rba, and ntk": (*RBA, 'weighting.balance={name="ntk"}'),
    },
    "samplers": {
        "lhs, kept": ("optimizers.0.redraw=0",),
        "lhs": (),
        "sobol": ("points.sampler=sobol",),
        "rad, c = 1": ("points.sampler=rad",),
        "rad, c = 0": ("points.sampler=rad", "points.c=0.0"),
        "r3": ("points.sampler=r3",),
        "pool, c = 0": ("points.sampler=pool",),
        "pool, c = 1": ("points.sampler=pool", "points.c=1.0"),
    },
    "attention": {
        "lhs": (),
        "rad, c = 1": ("points.sampler=rad",),
        "pool, c = 0": ("points.sampler=pool",),
        "vrba, quadratic": (*VRBA, "weighting.potential=quadratic"),
        "vrba, exponential": VRBA,
    },
    "parity": {
        "not told": (),
        "odd": (ODD,),
        "odd, half the points": (ODD, "points.interior=1000"),
    },
    "undo": {"undo = 100": (), "never": ("points.undo=0",)},
    "networks": {
        "mlp": (),
        "mlp, factorised": ("network.factorised=true",),
        "mlp, fourier": ("network.fourier_features=32",),
        "mlp, fourier trained": ("network.fourier_features=32", "network.fourier_trained=true"),
        "modified-mlp": ("network.name=modified-mlp",),
        "pirate-net": ("network.name=pirate-net",),
    },
    "pseudo-time": {
        "none": (),
        "measured τ, every 100": (MOMENTA,),
        "measured τ, every 500": (MOMENTA, "optimizers.0.renew=500"),
        "τ = 1, every 100": (MOMENTA, "optimizers.0.time_step=1.0"),
    },
    "curriculum": {"(6, 6) at once": (), "(2, 2), (4, 4), (6, 6)": EASY},
}


@define
class Watch(Reporter):
    """The last error, and the processor time of a step."""

    error: float = float("nan")
    _begun: tuple[int, float] | None = field(default=None, init=False)
    each: float = float("nan")

    def step(self, step: int, loss: float, shown: Mapping[str, float | str]) -> None:
        if self._begun is None and step >= COMPILED:
            self._begun = step, cpu_seconds()
        elif self._begun is not None and step > self._begun[0]:
            self.each = (cpu_seconds() - self._begun[1]) / (step - self._begun[0])
        error = shown.get("rel_l2")
        if isinstance(error, float):
            self.error = error


def run(set_up: str, label: str, seed: int, runs: Path) -> dict[str, float]:
    """The error of one variant and what a step cost; quickly, where it is known."""
    directory = runs / set_up / f"{label.replace(' ', '')}-{seed}"
    known = directory / "ablation.json"
    if known.exists():
        found: dict[str, float] = json.loads(known.read_text(encoding="utf-8"))
        return found
    where = [f"run.directory={directory}", f"run.seed={seed}"]
    config = load_config(CONFIGS / f"{set_up}.toml", [*VARIANTS[set_up][label], *where])
    watch = Watch()
    with trained(config, watch) as trainer:
        complete = trainer.done
    found = {"error": watch.error, "cpu_milliseconds": 1000 * watch.each, "steps": config.steps}
    if complete:
        known.write_text(json.dumps(found), encoding="utf-8")
    return found


def table(variants: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Median (worst) error over the seeds, and milliseconds a step."""
    lines = ["| | relative L2 error | CPU ms a step |", "|---|---|---|"]
    for label, seeds in variants.items():
        errors = middle_and_worst([each["error"] for each in seeds.values()])
        cost = median(each["cpu_milliseconds"] for each in seeds.values())
        lines.append(f"| {label} | {errors} | {cost:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("set_ups", nargs="*", choices=[*VARIANTS, []], help=", ".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "ablations")
    asked = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"errors": {}}
    for set_up in asked.set_ups or VARIANTS:
        for seed in range(asked.seeds):
            for label in VARIANTS[set_up]:
                found = run(set_up, label, seed, asked.runs)
                kept["errors"].setdefault(set_up, {}).setdefault(label, {})[str(seed)] = found
                kept.setdefault("machines", {})[set_up] = describe()
                RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
                print(f"{set_up}: {label}, seed {seed}: {found['error']:.2e}", flush=True)
        print(f"\n{set_up}\n\n{table(kept['errors'][set_up])}\n")


if __name__ == "__main__":
    main()
