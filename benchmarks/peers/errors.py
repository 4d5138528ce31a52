"""What the accuracy of every peer is measured with: the problems' sizes, the clock, where it is kept."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from benchmarks.accuracy import CONFIGS, CORES, RESULTS, Curve, cpu, cpu_seconds, thinned
from pinn.engine import load_config, reference_solution

SECONDS_BETWEEN = 2.0
"""CPU seconds between two looks at the error."""


@frozen
class Size:
    """Of a problem, as in `configs/fast/`: the domain, the layers, and the points of the equation."""

    lower: tuple[float, float]
    upper: tuple[float, float]
    layers: tuple[int, ...]
    activation: str
    points: int


SIZES = {
    "helmholtz-1-4": Size((-1, -1), (1, 1), (2, 30, 30, 30, 1), "sin", 3000),
    "helmholtz-6-6": Size((-1, -1), (1, 1), (2, 30, 30, 30, 1), "sin", 5000),
    "burgers": Size((-1, 0), (1, 1), (2, 20, 20, 20, 20, 1), "tanh", 5000),
    "allen-cahn": Size((-1, 0), (1, 1), (2, 30, 30, 30, 1), "tanh", 8000),
}


@define
class Clock:
    """Measures the error every few seconds, on the grid of `pinn`'s reference, from when it is made."""

    problem: str
    minutes: float
    curve: Curve = field(factory=list)
    places: NDArray[np.float64] = field(init=False)
    exact: NDArray[np.float64] = field(init=False)
    _begun: tuple[float, float] = field(init=False)

    def __attrs_post_init__(self) -> None:
        config = load_config(CONFIGS / f"{self.problem}.toml", [])
        reference = reference_solution(config.problem)
        assert reference is not None
        grid = np.meshgrid(*reference.coordinates.values(), indexing="ij")
        self.places = np.stack([axis.ravel() for axis in grid], 1)
        self.exact = next(iter(reference.fields.values())).ravel()
        self._begun = time.perf_counter(), cpu_seconds()

    @property
    def spent(self) -> float:
        """CPU seconds."""
        return cpu_seconds() - self._begun[1]

    @property
    def over(self) -> bool:
        return self.spent > cpu(self.minutes)

    def look(self, step: int, predict: Callable[[NDArray[np.float64]], Any]) -> None:
        """Measure, unless it was only just done; `predict` takes the places, (n, 2), and gives u."""
        if self.curve and self.spent < self.curve[-1][1] + SECONDS_BETWEEN:
            return
        found = np.asarray(predict(self.places)).ravel()
        error = float(np.linalg.norm(found - self.exact) / np.linalg.norm(self.exact))
        wall = time.perf_counter() - self._begun[0]
        self.curve.append((round(wall, 2), round(self.spent, 2), step, error))


Train = Callable[[str, int, int, float], Curve]
"""(problem, iterations of Adam, seed, minutes of two cores) → the curve."""


def measure(peers: Mapping[str, Train], adam: int) -> None:
    """The command line of a program: train over seeds, and keep the curves beside those of `pinn`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("problems", nargs="+", choices=list(SIZES))
    parser.add_argument("--peers", nargs="+", choices=list(peers), default=list(peers))
    parser.add_argument("--adam", type=int, default=adam, help="iterations of Adam before")
    parser.add_argument("--minutes", type=float, default=60, help="of two cores")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    for seed, problem, peer in product(asked.seeds, asked.problems, asked.peers):
        curve = peers[peer](problem, asked.adam, seed, asked.minutes)
        kept = json.loads(RESULTS.read_text())
        of_peer = kept.setdefault("peers", {}).setdefault(peer, {})
        of_peer.setdefault(problem, {})[str(seed)] = thinned(curve)
        RESULTS.write_text(json.dumps(kept) + "\n", encoding="utf-8")
        _, spent, step, error = curve[-1]
        told = f"{error:.2e} after {spent / CORES:,.0f} s of two cores, {step:,} steps"
        print(f"{problem}, {peer}, seed {seed}: {told}", flush=True)
