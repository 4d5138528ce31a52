"""A plain PyTorch loop, watched: a front that travels through the viscous Burgers equation.

python examples/watch/bare.py && pinn phases runs/bare
"""

import sys

import torch
from torch import nn

from pinn.engine import watch

VISCOSITY = 0.02


def exact(points):
    """u = 1 / (1 + exp((x − t / 2) / (2 ν)))"""
    return torch.sigmoid((points[:, 1] / 2 - points[:, 0]) / (2 * VISCOSITY))


def residuals(points):
    """u_t + u u_x − ν u_xx at points (x, t)."""
    points.requires_grad_()
    u = model(points)[:, 0]
    u_x, u_t = torch.autograd.grad(u.sum(), points, create_graph=True)[0].T
    u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, 0]
    return u_t + u * u_x - VISCOSITY * u_xx


def boundary_loss():
    return ((model(border)[:, 0] - exact(border)) ** 2).mean()


torch.manual_seed(0)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
model = nn.Sequential(
    nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(),
    nn.Linear(32, 1),
)  # fmt: skip
low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 1.0])
points = low + (high - low) * torch.rand(1000, 2)
border = low + (high - low) * torch.rand(300, 2)
border[:100, 1], border[100:200, 0], border[200:, 0] = 0, -1, 1
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

with watch(
    "runs/bare", model, optimizer,
    residuals=residuals, points=points, conditions=boundary_loss, solution={"u": exact},
    bounds={"x": (-1, 1), "t": (0, 1)}, steps=steps, progress=True, overwrite=True,
) as watcher:  # fmt: skip
    for _ in range(steps):
        r = residuals(points)
        loss = (r**2).mean() + boundary_loss()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watcher.step(loss, residuals=r)
