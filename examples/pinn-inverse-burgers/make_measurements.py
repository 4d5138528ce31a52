"""Writes measurements of the travelling front: `python make_measurements.py FILE [SEED]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pinn_inverse_burgers import COLUMNS, FRONT, TRUE, InverseBurgers, front

COUNT = 200
NOISE = 0.01
"""Its standard deviation, in that of u."""


def places(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x and t, scattered uniformly over the domain."""
    box = InverseBurgers.domain
    drawn = np.random.default_rng(seed).uniform(box.lower, box.upper, size=(COUNT, 2))
    x, t = torch.from_numpy(drawn).T
    return x, t


def measurements(seed: int) -> NDArray[np.float64]:
    """x, t and u with noise, (COUNT, 3)."""
    x, t = places(seed)
    u = front(x, t, **TRUE, **FRONT).numpy()
    noise = np.random.default_rng([seed, 1]).normal(size=COUNT)
    return np.stack([x, t, u + NOISE * u.std() * noise], axis=1)


def write(file: Path, seed: int) -> None:
    header = ",".join(COLUMNS)
    np.savetxt(file, measurements(seed), "%.6f", delimiter=",", header=header, comments="")


if __name__ == "__main__":
    name, *seed = sys.argv[1:]
    write(Path(name), int(*seed))
