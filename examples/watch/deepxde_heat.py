"""DeepXDE, watched: its own loop trains, a callback tells of every step.

pip install 'pinn-dynamics[deepxde]'
DDE_BACKEND=pytorch python examples/watch/deepxde_heat.py
"""

import os
import sys
from itertools import pairwise

os.environ.setdefault("DDE_BACKEND", "pytorch")

import deepxde as dde
import numpy as np
import torch

from pinn.engine import watch

CONDUCTIVITY = 0.1


def heat(points, u):
    u_t = dde.grad.jacobian(u, points, i=0, j=1)
    u_xx = dde.grad.hessian(u, points, i=0, j=0)
    return u_t - CONDUCTIVITY * u_xx


def exact(points):
    x, t = points[:, 0], points[:, 1]
    return np.exp(-CONDUCTIVITY * (2 * np.pi) ** 2 * t) * np.sin(2 * np.pi * x)


class Tell(dde.callbacks.Callback):
    """Tells a watcher of every step, also of those of another optimizer."""

    def __init__(self, watcher):
        super().__init__()
        self.watcher = watcher

    def on_batch_end(self):
        self.watcher.optimizer = self.model.opt
        self.watcher.step()


def residuals(data, net):
    """Points → residuals (equations, n) of a `dde.data.PDE`; DeepXDE caches derivatives by tensor."""

    def at(points):
        dde.gradients.clear()
        found = data.pde(points, net(points))
        dde.gradients.clear()
        found = found if isinstance(found, list | tuple) else [found]
        return torch.stack([r[:, 0] for r in found])

    return at


def condition_loss(data, net):
    """→ the losses of the conditions, mean squares with weights of 1."""

    def loss():
        points = torch.as_tensor(data.train_x_bc).requires_grad_()
        u, ends = net(points), np.cumsum([0, *data.num_bcs])
        errors = [
            bc.error(data.train_x, points, u, begin, end)
            for bc, (begin, end) in zip(data.bcs, pairwise(ends), strict=True)
        ]
        dde.gradients.clear()
        return sum((error**2).mean() for error in errors)

    return loss


dde.config.set_random_seed(0)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
walls = dde.icbc.DirichletBC(domain, lambda points: 0, lambda _, on_boundary: on_boundary)
start = dde.icbc.IC(domain, lambda p: exact(p)[:, None], lambda _, on_initial: on_initial)
data = dde.data.TimePDE(
    domain, heat, [walls, start], num_domain=800, num_boundary=80, num_initial=80
)
net = dde.nn.FNN([2, 32, 32, 32, 1], "tanh", "Glorot normal")
model = dde.Model(data, net)
model.compile("adam", lr=1e-3)

with watch(
    "runs/deepxde-heat",
    net,
    model.opt,
    residuals=residuals(data, net),
    points=lambda: data.train_x_all,
    conditions=condition_loss(data, net),
    solution={"u": lambda points: exact(points.numpy())},
    bounds={"x": (0, 1), "t": (0, 1)},
    name="heat",
    framework="deepxde",
    overwrite=True,
) as watcher:
    model.train(iterations=steps, display_every=500, callbacks=[Tell(watcher)])
