"""The error that minutes buy with PINA: Adam, then torch's L-BFGS, by its trainer.

    python -m benchmarks.peers.pina_accuracy helmholtz-1-4 burgers --minutes 3

Float64, hard conditions, layers, activation and number of points as in `configs/fast/`, torch's own
initial weights. Adam, rate 1e-3, on points drawn anew every 100 iterations; then torch's L-BFGS with
strong Wolfe search (100 corrections) on points that stay for 1,000 iterations.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from math import pi
from typing import Any

import torch
from lightning.pytorch import Callback
from pina import Condition, LabelTensor, Trainer
from pina.domain import CartesianDomain
from pina.equation import Equation
from pina.model import FeedForward
from pina.operator import grad, laplacian
from pina.optim import TorchOptimizer
from pina.problem import SpatialProblem
from pina.solver import PhysicsInformedSingleModelSolver

from benchmarks.accuracy import Curve
from benchmarks.peers.errors import SIZES, Clock, Size, measure

NU, DIFFUSION = 0.01 / pi, 1e-4
NAMES = ["x", "y"]
"""Of both coordinates; PINA orders them by name, and y is Burgers' time."""
ADAM_POINTS, LBFGS_POINTS, ITERATIONS = 100, 1000, 20
"""Iterations on the same points, and of L-BFGS in one step of the trainer."""

Law = Callable[[Any, Any], Any]


def helmholtz(a1: int, a2: int) -> Law:
    def law(points: Any, u: Any) -> Any:
        bump = torch.sin(a1 * pi * points.extract("x")) * torch.sin(a2 * pi * points.extract("y"))
        source = (1 - (a1 * pi) ** 2 - (a2 * pi) ** 2) * bump
        return laplacian(u, points, d=NAMES) + u - source

    return law


def burgers(points: Any, u: Any) -> Any:
    slopes = grad(u, points, d=NAMES)
    u_x, u_t = slopes.extract("dudx"), slopes.extract("dudy")
    return u_t + u * u_x - NU * laplacian(u, points, d=["x"])


def allen_cahn(points: Any, u: Any) -> Any:
    u_t, u_xx = grad(u, points, d=["y"]), laplacian(u, points, d=["x"])
    return u_t - DIFFUSION * u_xx - 5 * (u - u**3)


def zero_at_the_edges(x: Any, y: Any, u: Any) -> Any:
    return (1 - x**2) * (1 - y**2) * u


def from_a_sine(x: Any, t: Any, u: Any) -> Any:
    return -torch.sin(pi * x) + t * (1 - x**2) * u


def from_a_wave(x: Any, t: Any, u: Any) -> Any:
    return x**2 * torch.cos(pi * x) + t * (1 - x**2) * u


LAWS: dict[str, tuple[Law, Callable[..., Any]]] = {
    "helmholtz-1-4": (helmholtz(1, 4), zero_at_the_edges),
    "helmholtz-6-6": (helmholtz(6, 6), zero_at_the_edges),
    "burgers": (burgers, from_a_sine),
    "allen-cahn": (allen_cahn, from_a_wave),
}


class Sine(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.sin(x)


class Hard(torch.nn.Module):
    """A network behind what makes the conditions hold."""

    def __init__(self, size: Size, transform: Callable[..., Any]) -> None:
        super().__init__()
        act = {"sin": Sine, "tanh": torch.nn.Tanh}[size.activation]
        self.network = FeedForward(2, 1, layers=[*size.layers[1:-1]], func=act)
        self.transform = transform

    def forward(self, points: Any) -> Any:
        found = self.transform(points.extract("x"), points.extract("y"), self.network(points))
        found.labels = ["u"]
        return found


class Looks(Callback):
    """Looks at the error, and ends the training when its time is over."""

    def __init__(self, clock: Clock, network: Hard) -> None:
        self.clock, self.network, self.done = clock, network, 0
        self.iterations = 1

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self.done += self.iterations
        self.clock.look(self.done, self.predict)
        trainer.should_stop = self.clock.over

    def predict(self, places: Any) -> Any:
        with torch.no_grad():
            return self.network(LabelTensor(torch.as_tensor(places), NAMES)).tensor.numpy()


def train(problem: str, adam: int, seed: int, minutes: float) -> Curve:
    torch.manual_seed(seed)
    size, (law, transform) = SIZES[problem], LAWS[problem]
    clock = Clock(problem, minutes)
    low, high = size.lower, size.upper
    box = CartesianDomain({n: [low[i], high[i]] for i, n in enumerate(NAMES)})

    class Stated(SpatialProblem):
        output_variables = ["u"]  # noqa: RUF012
        spatial_domain = box
        domains = {"inside": box}  # noqa: RUF012
        conditions = {"inside": Condition(domain="inside", equation=Equation(law))}  # noqa: RUF012

    network = Hard(size, transform)
    looks = Looks(clock, network)

    def go(optimizer: TorchOptimizer, steps: int) -> None:
        stated = Stated()
        stated.discretise_domain(n=size.points, mode="random", domains="inside")
        solver = PhysicsInformedSingleModelSolver(stated, network, optimizer=optimizer)
        Trainer(
            solver,
            max_epochs=steps,
            accelerator="cpu",
            precision="64-true",
            callbacks=[looks],
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
            enable_checkpointing=False,
        ).train()

    while looks.done < adam and not clock.over:
        go(TorchOptimizer(torch.optim.Adam, lr=1e-3), ADAM_POINTS)
    looks.iterations = ITERATIONS
    while not clock.over:
        once = {"max_iter": ITERATIONS, "history_size": 100, "line_search_fn": "strong_wolfe"}
        none = {"tolerance_grad": 0, "tolerance_change": 0}
        go(TorchOptimizer(torch.optim.LBFGS, **once, **none), LBFGS_POINTS // ITERATIONS)
    return clock.curve


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning|pina")
    measure({"PINA, L-BFGS": train}, adam=1000)
