"""Plain PyTorch: nested reverse-mode automatic differentiation, eagerly.

Measured: the step as an expert writes it by hand. Every first derivative comes from one
`torch.autograd.grad(create_graph=True)` over all coordinates at once, nothing is differentiated
twice, constants are computed before the first step, and the backward pass visits the parameters
only, not the points. For the cavity the third derivatives need a single further pass, because the
Laplacians of u = psi_y and v = -psi_x are the derivatives of the Laplacian of psi. `usual=True` is
the cavity as papers' scripts have it: u_xx, u_yy, v_xx and v_yy each differentiated by itself.
"""

from collections.abc import Callable
from math import pi

import torch
from torch import Tensor

from pinn.engine.training.compilation import compile_lazily

from .setting import LEARNING_RATE, Step, draw_parameters, draw_points

Network = Callable[[Tensor], Tensor]
Loss = Callable[[Network], Tensor]


def make_step(
    problem: str,
    points: int,
    seed: int = 0,
    usual: bool = False,
    device: str = "cpu",
    compiled: bool = False,
) -> Step:
    """One step of the problem on so many interior points; `compiled`: traced, then torch.compile."""
    interior, conditions = draw_points(problem, points, seed)
    network = _network(problem, seed).to(device)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    loss_of = (_cavity_usual if usual and problem == "cavity" else _LOSSES[problem])(
        torch.from_numpy(interior).to(device).requires_grad_(),
        {name: torch.from_numpy(there).to(device) for name, there in conditions.items()},
    )
    names = [name for name, _ in network.named_parameters()]

    def loss_and_gradient(*values: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(names, values, strict=True))
        loss = loss_of(lambda x: torch.func.functional_call(network, named, (x,)))
        return loss.detach(), *torch.autograd.grad(loss, values)

    flat = compile_lazily(loss_and_gradient)

    def compiled_step() -> float:
        loss, *gradient = flat(*parameters)
        for parameter, slope in zip(parameters, gradient, strict=True):
            parameter.grad = slope
        optimizer.step()
        return float(loss)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(network)
        torch.autograd.backward(loss, inputs=parameters)
        optimizer.step()
        return loss.item()

    return Step(compiled_step if compiled else step)


def _network(problem: str, seed: int) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for weight, bias in draw_parameters(problem, seed):
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        modules += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*modules[:-1])


def _gradient(y: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """The derivatives of y, shape (N,), for each column of x, shape (N, 2)."""
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=True)[0].unbind(1)


def _allen_cahn(interior: Tensor, conditions: dict[str, Tensor]) -> Loss:
    initial = conditions["initial"]
    x = initial[:, 0]
    start = x**2 * torch.cos(pi * x)

    def loss(network: Network) -> Tensor:
        u = network(interior)[:, 0]
        u_x, u_t = _gradient(u, interior)
        u_xx, _ = _gradient(u_x, interior)
        residual = u_t - 1e-4 * u_xx + 5 * u**3 - 5 * u
        error = network(initial)[:, 0] - start
        return residual.square().mean() + error.square().mean()

    return loss


def _burgers(interior: Tensor, conditions: dict[str, Tensor]) -> Loss:
    initial, walls = conditions["initial"], conditions["walls"]
    start = -torch.sin(pi * initial[:, 0])

    def loss(network: Network) -> Tensor:
        u = network(interior)[:, 0]
        u_x, u_t = _gradient(u, interior)
        u_xx, _ = _gradient(u_x, interior)
        residual = u_t + u * u_x - 0.01 / pi * u_xx
        at_start = network(initial)[:, 0] - start
        at_walls = network(walls)[:, 0]
        return residual.square().mean() + at_start.square().mean() + at_walls.square().mean()

    return loss


def _helmholtz(interior: Tensor, conditions: dict[str, Tensor]) -> Loss:
    boundary = conditions["boundary"]
    x, y = interior.detach().unbind(1)
    source = (1 - 72 * pi**2) * torch.sin(6 * pi * x) * torch.sin(6 * pi * y)

    def loss(network: Network) -> Tensor:
        u = network(interior)[:, 0]
        u_x, u_y = _gradient(u, interior)
        u_xx, _ = _gradient(u_x, interior)
        _, u_yy = _gradient(u_y, interior)
        residual = u_xx + u_yy + u - source
        return residual.square().mean() + network(boundary)[:, 0].square().mean()

    return loss


def _cavity(interior: Tensor, conditions: dict[str, Tensor]) -> Loss:
    boundary_loss = _cavity_boundary(conditions)

    def loss(network: Network) -> Tensor:
        psi, p = network(interior).unbind(1)
        psi_x, psi_y = _gradient(psi, interior)
        p_x, p_y = _gradient(p, interior)
        psi_xx, psi_xy = _gradient(psi_x, interior)
        _, psi_yy = _gradient(psi_y, interior)
        laplacian_x, laplacian_y = _gradient(psi_xx + psi_yy, interior)
        u, v = psi_y, -psi_x
        momentum_x = u * psi_xy + v * psi_yy + p_x - laplacian_y / 1000
        momentum_y = -u * psi_xx - v * psi_xy + p_y + laplacian_x / 1000
        momentum = (momentum_x.square() + momentum_y.square()).mean()
        return momentum + boundary_loss(network)

    return loss


def _cavity_usual(interior: Tensor, conditions: dict[str, Tensor]) -> Loss:
    boundary_loss = _cavity_boundary(conditions)

    def loss(network: Network) -> Tensor:
        psi, p = network(interior).unbind(1)
        psi_x, psi_y = _gradient(psi, interior)
        u, v = psi_y, -psi_x
        p_x, p_y = _gradient(p, interior)
        u_x, u_y = _gradient(u, interior)
        v_x, v_y = _gradient(v, interior)
        u_xx, u_yy = _gradient(u_x, interior)[0], _gradient(u_y, interior)[1]
        v_xx, v_yy = _gradient(v_x, interior)[0], _gradient(v_y, interior)[1]
        momentum_x = u * u_x + v * u_y + p_x - (u_xx + u_yy) / 1000
        momentum_y = u * v_x + v * v_y + p_y - (v_xx + v_yy) / 1000
        momentum = (momentum_x.square() + momentum_y.square()).mean()
        return momentum + boundary_loss(network)

    return loss


def _cavity_boundary(conditions: dict[str, Tensor]) -> Loss:
    walls, lid = conditions["walls"], conditions["lid"]
    boundary = torch.cat([walls, lid]).requires_grad_()

    def loss(network: Network) -> Tensor:
        psi_x, psi_y = _gradient(network(boundary)[:, 0], boundary)
        u_walls, u_lid = psi_y[: len(walls)], psi_y[len(walls) :]
        v_walls, v_lid = -psi_x[: len(walls)], -psi_x[len(walls) :]
        return (u_walls.square() + v_walls.square()).mean() + (
            (u_lid - 1).square() + v_lid.square()
        ).mean()

    return loss


_LOSSES: dict[str, Callable[[Tensor, dict[str, Tensor]], Loss]] = {
    "allen-cahn": _allen_cahn,
    "burgers": _burgers,
    "helmholtz": _helmholtz,
    "cavity": _cavity,
}
