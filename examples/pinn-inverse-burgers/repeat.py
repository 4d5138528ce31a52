"""How far off the coefficients are for other measurements, and how far the noise lets them be.

`python repeat.py FOLDER [COUNT]` trains pinn.toml on COUNT sets of measurements with other places and
other noise. The bound is that of Cramér and Rao for whoever knows that the measurements are of a
travelling front, and fits its five numbers. The network does not know that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from make_measurements import NOISE, places, write
from numpy.typing import NDArray
from pinn_inverse_burgers import FRONT, TRUE, front

from pinn.engine import load_config, train

CONFIG = Path(__file__).with_name("pinn.toml")


def bound(seed: int) -> NDArray[np.float64]:
    """Smallest standard deviation of unbiased estimates of λ and ν, relative: √diag((JᵀJ)⁻¹) σ."""
    x, t = places(seed)
    known = torch.tensor([*TRUE.values(), *FRONT.values()], dtype=torch.float64)
    jacobian = torch.func.jacfwd(lambda numbers: front(x, t, *numbers))(known)
    sigma = NOISE * front(x, t, *known).std()
    deviations = torch.linalg.inv(jacobian.T @ jacobian).diagonal().sqrt() * sigma
    return (deviations / known).numpy()[: len(TRUE)]


def found(seed: int, folder: Path) -> NDArray[np.float64]:
    """How far off λ and ν are, relative to what they are, after training on these measurements."""
    data, directory = folder / f"{seed}.csv", folder / f"run-{seed}"
    write(data, seed)
    run = train(load_config(CONFIG, [f"problem.data={data}", f"run.directory={directory}"]))
    values = [run.metrics()[f"unknown.{name}"][1][-1] for name in TRUE]
    return np.array(values) / list(TRUE.values()) - 1


if __name__ == "__main__":
    name, *count = sys.argv[1:]
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(int(*count) if count else 5)
    errors = []
    for seed in seeds:
        errors.append(found(seed, folder))
        print(f"measurements {seed}: λ {errors[-1][0]:+.2%}, ν {errors[-1][1]:+.2%}")
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    bounds = np.mean([bound(seed) for seed in seeds], axis=0)
    print(f"root mean square: λ {rms[0]:.2%}, ν {rms[1]:.2%}")
    print(f"Cramér-Rao bound: λ {bounds[0]:.2%}, ν {bounds[1]:.2%}")
