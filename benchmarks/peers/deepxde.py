"""DeepXDE with its PyTorch backend, through its public interface.

Measured: `model.train_step` on the fixed arrays of `model.data.train_next_batch()`. That is all the
work of one iteration inside `model.train`, without the callbacks and the evaluation of training and
test loss with which `train` begins and ends; those would weigh on a short call, so leaving them out
is the choice that favours DeepXDE. The loss is read where the optimizer receives it.

The derivatives are those of `dde.grad`, which computes each only once; the cavity is written with
the derivatives of the Laplacian of psi, as few as possible. Two costs are DeepXDE's design and stay
in: it evaluates the equations on the condition points too and drops those residuals, and its
backward pass reaches the points. The conditions stand on given points (`PointSetBC`), so nothing is
resampled. An operator condition that returns two columns is averaged over both, hence the loss
weight 2 in the cavity; one condition for each component would double the condition points.
"""

import os
from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
import torch

from .setting import (
    LEARNING_RATE,
    Array,
    Step,
    draw_parameters,
    draw_points,
    layer_sizes,
)

os.environ["DDE_BACKEND"] = "pytorch"  # read when DeepXDE is imported
import deepxde as dde

torch.set_default_device(None)  # DeepXDE moves the default to a GPU; the peers are timed on the CPU


def make_step(problem: str, points: int, seed: int = 0) -> Step:
    """One step of the problem on so many interior points."""
    interior, conditions = draw_points(problem, points, seed)
    data, loss_weights = _DATA[problem](interior, conditions)
    network = dde.nn.FNN(layer_sizes(problem), "tanh", "Glorot normal")
    with torch.no_grad():
        for linear, (weight, bias) in zip(
            network.linears, draw_parameters(problem, seed), strict=True
        ):
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
    model = dde.Model(data, network)
    model.compile("adam", lr=LEARNING_RATE, loss_weights=loss_weights, verbose=0)
    batch = data.train_next_batch()
    last_loss = _record_loss(model.opt)

    def step() -> float:
        model.train_step(*batch)
        return last_loss()

    return Step(step)


def _record_loss(optimizer: torch.optim.Optimizer) -> Callable[[], float]:
    """Have the optimizer keep the loss that DeepXDE's closure hands it; returns the reader."""
    latest = torch.tensor(float("nan"))

    def before(_: torch.optim.Optimizer, arguments: Any, keywords: Any) -> tuple[Any, Any]:
        itself: torch.optim.Optimizer
        closure: Callable[[], torch.Tensor]
        itself, closure = arguments

        def recorded() -> torch.Tensor:
            nonlocal latest
            latest = closure()
            return latest

        return (itself, recorded), keywords

    optimizer.register_step_pre_hook(before)
    return lambda: latest.item()


def _allen_cahn(interior: Array, conditions: dict[str, Array]) -> tuple[Any, list[float]]:
    def pde(x: Any, u: Any) -> Any:
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t - 1e-4 * u_xx + 5 * u**3 - 5 * u

    initial = conditions["initial"]
    x = initial[:, :1]
    start = dde.icbc.PointSetBC(initial, x**2 * np.cos(pi * x))
    return dde.data.TimePDE(_space_time(), pde, [start], anchors=interior), [1, 1]


def _burgers(interior: Array, conditions: dict[str, Array]) -> tuple[Any, list[float]]:
    def pde(x: Any, u: Any) -> Any:
        u_x = dde.grad.jacobian(u, x, i=0, j=0)
        u_t = dde.grad.jacobian(u, x, i=0, j=1)
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        return u_t + u * u_x - 0.01 / pi * u_xx

    initial = conditions["initial"]
    start = dde.icbc.PointSetBC(initial, -np.sin(pi * initial[:, :1]))
    walls = dde.icbc.PointSetBC(conditions["walls"], 0)
    return dde.data.TimePDE(_space_time(), pde, [start, walls], anchors=interior), [1, 1, 1]


def _helmholtz(interior: Array, conditions: dict[str, Array]) -> tuple[Any, list[float]]:
    def source(x: Any) -> Any:
        return (1 - 72 * pi**2) * np.sin(6 * pi * x[:, :1]) * np.sin(6 * pi * x[:, 1:])

    def pde(x: Any, u: Any, q: Any) -> Any:
        u_xx = dde.grad.hessian(u, x, i=0, j=0)
        u_yy = dde.grad.hessian(u, x, i=1, j=1)
        return u_xx + u_yy + u - q

    square = dde.geometry.Rectangle([-1, -1], [1, 1])
    boundary = dde.icbc.PointSetBC(conditions["boundary"], 0)
    data = dde.data.PDE(square, pde, boundary, anchors=interior, auxiliary_var_function=source)
    return data, [1, 1]


def _cavity(interior: Array, conditions: dict[str, Array]) -> tuple[Any, list[float]]:
    def pde(x: Any, y: Any) -> list[Any]:
        u = dde.grad.jacobian(y, x, i=0, j=1)
        v = -dde.grad.jacobian(y, x, i=0, j=0)
        p_x = dde.grad.jacobian(y, x, i=1, j=0)
        p_y = dde.grad.jacobian(y, x, i=1, j=1)
        psi_xx = dde.grad.hessian(y, x, component=0, i=0, j=0)
        psi_xy = dde.grad.hessian(y, x, component=0, i=1, j=0)
        psi_yy = dde.grad.hessian(y, x, component=0, i=1, j=1)
        laplacian = psi_xx + psi_yy
        laplacian_x = dde.grad.jacobian(laplacian, x, i=0, j=0)
        laplacian_y = dde.grad.jacobian(laplacian, x, i=0, j=1)
        return [
            u * psi_xy + v * psi_yy + p_x - laplacian_y / 1000,
            -u * psi_xx - v * psi_xy + p_y + laplacian_x / 1000,
        ]

    def velocity_error(lid: float) -> Callable[[Any, Any, Any], Any]:
        def error(x: Any, y: Any, _: Any) -> Any:
            psi_x = dde.grad.jacobian(y, x, i=0, j=0)
            psi_y = dde.grad.jacobian(y, x, i=0, j=1)
            return torch.cat([psi_y - lid, -psi_x], dim=1)

        return error

    square = dde.geometry.Rectangle([0, 0], [1, 1])
    walls = dde.icbc.PointSetOperatorBC(conditions["walls"], 0, velocity_error(0))
    lid = dde.icbc.PointSetOperatorBC(conditions["lid"], 0, velocity_error(1))
    return dde.data.PDE(square, pde, [walls, lid], anchors=interior), [1, 1, 2, 2]


def _space_time() -> dde.geometry.GeometryXTime:
    return dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))


_DATA: dict[str, Callable[[Array, dict[str, Array]], tuple[Any, list[float]]]] = {
    "allen-cahn": _allen_cahn,
    "burgers": _burgers,
    "helmholtz": _helmholtz,
    "cavity": _cavity,
}
