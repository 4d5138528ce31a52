"""The error that minutes buy with DeepXDE: Adam, then L-BFGS, on the same problems.

    python -m benchmarks.peers.deepxde_accuracy helmholtz-1-4 --minutes 10

The recipe of its own examples for these problems, with what also helps `configs/fast/`: float64, hard
conditions by an output transform, layers and activation as there and as many points, drawn anew while
Adam trains; initial weights are DeepXDE's Glorot normal. Adam, rate 1e-3, for 1,000 iterations
(`--adam`); then L-BFGS (100 corrections, no tolerances) until the time is over. The clock starts before
the network is built. Results stand in `results/accuracy.json` beside those of `pinn`, whose program
prints and draws them all.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
import torch
from attrs import frozen

from benchmarks.accuracy import CONFIGS, RESULTS, Curve, cpu, cpu_seconds, thinned
from pinn.engine import load_config, reference_solution

os.environ["DDE_BACKEND"] = "pytorch"  # read when DeepXDE is imported
import deepxde as dde

torch.set_default_device(None)  # DeepXDE moves the default to a GPU
PEER = "DeepXDE, L-BFGS"
SECONDS_BETWEEN = 2.0
NU = 0.01 / pi


@frozen
class Setting:
    """A problem in DeepXDE's words."""

    lower: tuple[float, float]
    upper: tuple[float, float]
    equation: Callable[[Any, Any], Any]
    transform: Callable[[Any, Any], Any]
    layers: list[int]
    activation: str
    points: int


def helmholtz(a1: int, a2: int) -> Callable[[Any, Any], Any]:
    def equation(x: Any, u: Any) -> Any:
        bump = torch.sin(a1 * pi * x[:, :1]) * torch.sin(a2 * pi * x[:, 1:])
        source = (1 - (a1 * pi) ** 2 - (a2 * pi) ** 2) * bump
        laplacian = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return laplacian + u - source

    return equation


def burgers(x: Any, u: Any) -> Any:
    u_x, u_t = dde.grad.jacobian(u, x, i=0, j=0), dde.grad.jacobian(u, x, i=0, j=1)
    return u_t + u * u_x - NU * dde.grad.hessian(u, x, i=0, j=0)


SETTINGS = {
    "helmholtz-1-4": Setting(
        (-1, -1), (1, 1), helmholtz(1, 4),
        lambda x, u: (1 - x[:, :1] ** 2) * (1 - x[:, 1:] ** 2) * u,
        [2, 30, 30, 30, 1], "sin", 3000,
    ),
    "helmholtz-6-6": Setting(
        (-1, -1), (1, 1), helmholtz(6, 6),
        lambda x, u: (1 - x[:, :1] ** 2) * (1 - x[:, 1:] ** 2) * u,
        [2, 30, 30, 30, 1], "sin", 5000,
    ),
    "burgers": Setting(
        (-1, 0), (1, 1), burgers,
        lambda x, u: -torch.sin(pi * x[:, :1]) + x[:, 1:] * (1 - x[:, :1] ** 2) * u,
        [2, 20, 20, 20, 20, 1], "tanh", 5000,
    ),
}  # fmt: skip


class Clock(dde.callbacks.Callback):
    """Measures the error every few seconds, against the reference of `pinn`, and ends the training."""

    def __init__(self, problem: str, limit: float) -> None:
        super().__init__()
        self.begun = time.perf_counter(), cpu_seconds()
        self.curve: Curve = []
        self.limit = limit
        config = load_config(CONFIGS / f"{problem}.toml", [])
        reference = reference_solution(config.problem)
        assert reference is not None
        grid = np.meshgrid(*reference.coordinates.values(), indexing="ij")
        self.places = np.stack([axis.ravel() for axis in grid], 1)
        self.exact = next(iter(reference.fields.values())).ravel()

    @property
    def wall(self) -> float:
        return time.perf_counter() - self.begun[0]

    @property
    def spent(self) -> float:
        return cpu_seconds() - self.begun[1]

    def on_batch_end(self) -> None:
        if self.curve and self.wall < self.curve[-1][0] + SECONDS_BETWEEN:
            return
        found = self.model.predict(self.places).ravel()
        error = float(np.linalg.norm(found - self.exact) / np.linalg.norm(self.exact))
        step = int(self.model.train_state.step)
        self.curve.append((round(self.wall, 2), round(self.spent, 2), step, error))
        if self.spent > self.limit:
            self.model.stop_training = True


def train(problem: str, adam: int, seed: int, minutes: float) -> Curve:
    setting, clock = SETTINGS[problem], Clock(problem, cpu(minutes))
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)
    box = dde.geometry.Rectangle(setting.lower, setting.upper)
    data = dde.data.PDE(box, setting.equation, [], num_domain=setting.points)
    network = dde.nn.FNN(setting.layers, setting.activation, "Glorot normal")
    network.apply_output_transform(setting.transform)
    model = dde.Model(data, network)
    anew = dde.callbacks.PDEPointResampler(period=100)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(adam, display_every=adam, callbacks=[clock, anew], verbose=0)
    dde.optimizers.set_LBFGS_options(maxcor=100, ftol=0, gtol=0, maxiter=10**7)
    dde.optimizers.config.LBFGS_options["iter_per_step"] = 50  # between looks at the clock
    while clock.spent < clock.limit:
        before = len(clock.curve)
        model.compile("L-BFGS", verbose=0)
        model.train(display_every=10**6, callbacks=[clock], verbose=0)
        if len(clock.curve) == before:
            break  # it ended by itself at once: nothing more comes
    return clock.curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=list(SETTINGS))
    parser.add_argument("--adam", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        curve = train(asked.problem, asked.adam, seed, asked.minutes)
        kept = json.loads(RESULTS.read_text())
        peers = kept.setdefault("peers", {}).setdefault(PEER, {})
        peers.setdefault(asked.problem, {})[str(seed)] = thinned(curve)
        RESULTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")
        wall, _, step, error = curve[-1]
        print(f"{asked.problem}, seed {seed}: {error:.2e} after {wall:,.0f} s, {step:,} steps")


if __name__ == "__main__":
    main()
