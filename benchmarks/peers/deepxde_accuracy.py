"""The error that minutes buy with DeepXDE: Adam, then L-BFGS or NNCG, on the same problems.

    python -m benchmarks.peers.deepxde_accuracy helmholtz-1-4 burgers --minutes 3

The recipe of its own examples for these problems, with what also helps `configs/fast/`: float64, hard
conditions by an output transform, layers and activation as there and as many points, drawn anew while
Adam trains; initial weights are DeepXDE's Glorot normal. Adam, rate 1e-3, for 1,000 iterations
(`--adam`); then L-BFGS (100 corrections, no tolerances) until the time is over, or for half of it and
then NNCG as it comes (rank 50, mu 0.1, a preconditioner every 20), the order of its example
`examples/pinn_forward/Burgers_NNCG.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import pi
from typing import Any

import torch

from benchmarks.accuracy import Curve, cpu
from benchmarks.peers.errors import SIZES, Clock, measure

os.environ["DDE_BACKEND"] = "pytorch"  # read when DeepXDE is imported
import deepxde as dde

torch.set_default_device(None)  # DeepXDE moves the default to a GPU
NU, DIFFUSION = 0.01 / pi, 1e-4
BETWEEN = 50
"""Iterations of L-BFGS between looks at the clock."""


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


def allen_cahn(x: Any, u: Any) -> Any:
    u_t, u_xx = dde.grad.jacobian(u, x, i=0, j=1), dde.grad.hessian(u, x, i=0, j=0)
    return u_t - DIFFUSION * u_xx - 5 * (u - u**3)


def zero_at_the_edges(x: Any, u: Any) -> Any:
    return (1 - x[:, :1] ** 2) * (1 - x[:, 1:] ** 2) * u


def from_a_sine(x: Any, u: Any) -> Any:
    return -torch.sin(pi * x[:, :1]) + x[:, 1:] * (1 - x[:, :1] ** 2) * u


def from_a_wave(x: Any, u: Any) -> Any:
    return x[:, :1] ** 2 * torch.cos(pi * x[:, :1]) + x[:, 1:] * (1 - x[:, :1] ** 2) * u


LAWS = {
    "helmholtz-1-4": (helmholtz(1, 4), zero_at_the_edges),
    "helmholtz-6-6": (helmholtz(6, 6), zero_at_the_edges),
    "burgers": (burgers, from_a_sine),
    "allen-cahn": (allen_cahn, from_a_wave),
}


class Looks(dde.callbacks.Callback):
    """Looks at the error, and ends the training when its time is over."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_batch_end(self) -> None:
        self.clock.look(int(self.model.train_state.step), self.model.predict)
        if self.clock.over:
            self.model.stop_training = True


def after_adam(problem: str, adam: int, seed: int, clock: Clock) -> tuple[Any, Looks]:
    """A model that has been trained by Adam."""
    size, (equation, transform) = SIZES[problem], LAWS[problem]
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)
    box = dde.geometry.Rectangle(size.lower, size.upper)
    data = dde.data.PDE(box, equation, [], num_domain=size.points)
    network = dde.nn.FNN([*size.layers], size.activation, "Glorot normal")
    network.apply_output_transform(transform)
    model, looks = dde.Model(data, network), Looks(clock)
    anew = dde.callbacks.PDEPointResampler(period=100)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(adam, display_every=adam, callbacks=[looks, anew], verbose=0)
    return model, looks


def by_lbfgs(model: Any, looks: Looks, minutes: float) -> None:
    """Until the clock shows so many."""
    clock = looks.clock
    dde.optimizers.set_LBFGS_options(maxcor=100, ftol=0, gtol=0, maxiter=10**7)
    dde.optimizers.config.LBFGS_options["iter_per_step"] = BETWEEN
    while clock.spent < cpu(minutes):
        before = len(clock.curve)
        model.compile("L-BFGS", verbose=0)
        model.train(display_every=10**6, callbacks=[looks], verbose=0)
        if len(clock.curve) == before:
            break  # it ended by itself at once: nothing more comes


def lbfgs(problem: str, adam: int, seed: int, minutes: float) -> Curve:
    clock = Clock(problem, minutes)
    model, looks = after_adam(problem, adam, seed, clock)
    by_lbfgs(model, looks, minutes)
    return clock.curve


def nncg(problem: str, adam: int, seed: int, minutes: float) -> Curve:
    clock = Clock(problem, minutes)
    model, looks = after_adam(problem, adam, seed, clock)
    by_lbfgs(model, looks, minutes / 2)
    dde.optimizers.set_NNCG_options(chunksz=16)
    model.compile("NNCG", verbose=0)
    model.train(10**6, display_every=10**6, callbacks=[looks], verbose=0)
    return clock.curve


if __name__ == "__main__":
    measure({"DeepXDE, L-BFGS": lbfgs, "DeepXDE, NNCG": nncg}, adam=1000)
