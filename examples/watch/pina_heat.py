"""PINA, watched: its trainer trains, a Lightning callback tells of every batch.

pip install 'pinn-dynamics[pina]'
python examples/watch/pina_heat.py
"""

import sys

import torch
from lightning.pytorch import Callback
from pina import Condition, LabelTensor, Trainer
from pina.domain import CartesianDomain
from pina.equation import Equation
from pina.equation.zoo import FixedValue
from pina.model import FeedForward
from pina.operator import grad, laplacian
from pina.problem import SpatialProblem, TimeDependentProblem
from pina.solver import PhysicsInformedSingleModelSolver

from pinn.engine import watch

CONDUCTIVITY = 0.1


def heat(points, u):
    u_t = grad(u, points, d=["t"])
    return u_t - CONDUCTIVITY * laplacian(u, points, d=["x"])


def start(points, u):
    return u - torch.sin(2 * torch.pi * points.extract("x"))


def exact(points):
    t, x = points.T  # PINA sorts coordinates by name
    return torch.exp(-CONDUCTIVITY * (2 * torch.pi) ** 2 * t) * torch.sin(2 * torch.pi * x)


class Heat(SpatialProblem, TimeDependentProblem):
    output_variables = ["u"]  # noqa: RUF012
    spatial_domain = CartesianDomain({"x": [0, 1]})
    temporal_domain = CartesianDomain({"t": [0, 1]})
    domains = {  # noqa: RUF012
        "inside": CartesianDomain({"x": [0, 1], "t": [0, 1]}),
        "start": CartesianDomain({"x": [0, 1], "t": 0}),
        "left": CartesianDomain({"x": 0, "t": [0, 1]}),
        "right": CartesianDomain({"x": 1, "t": [0, 1]}),
    }
    conditions = {  # noqa: RUF012
        "inside": Condition(domain="inside", equation=Equation(heat)),
        "start": Condition(domain="start", equation=Equation(start)),
        "left": Condition(domain="left", equation=FixedValue(0.0)),
        "right": Condition(domain="right", equation=FixedValue(0.0)),
    }


class Watching(Callback):
    """Watches the residuals of the condition `inside`; the others make the rest of the loss."""

    def __init__(self, directory, inside, **options):
        self.directory = directory
        self.inside = inside
        self.options = options

    def on_train_start(self, trainer, solver):
        problem = solver.problem
        points = problem.discretised_domains[self.inside]
        others = [name for name in problem.conditions if name != self.inside]

        def labelled(inputs):
            return LabelTensor(inputs, points.labels)

        def residual(name, inputs):
            equation = problem.conditions[name].equation
            return equation.residual(inputs, solver.forward(inputs)).as_subclass(torch.Tensor)

        def conditions():
            at = {n: labelled(problem.discretised_domains[n].detach()) for n in others}
            return sum((residual(n, p.requires_grad_()) ** 2).mean() for n, p in at.items())

        self.watcher = watch(
            self.directory,
            solver.model,
            trainer.optimizers[0],
            residuals=lambda inputs: residual(self.inside, labelled(inputs)),
            points=points.as_subclass(torch.Tensor),
            conditions=conditions,
            forward=lambda inputs: solver.forward(labelled(inputs)),
            framework="pina-mathlab",
            **self.options,
        )

    def on_train_batch_end(self, trainer, solver, outputs, batch, batch_idx):
        self.watcher.step(outputs["loss"])

    def on_train_end(self, trainer, solver):
        self.watcher.close()

    def on_exception(self, trainer, solver, exception):
        self.watcher.close(complete=False)


torch.manual_seed(0)
steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
problem = Heat()
problem.discretise_domain(n=800, mode="random", domains="inside")
problem.discretise_domain(n=80, mode="random", domains=["start", "left", "right"])
model = FeedForward(input_dimensions=2, output_dimensions=1, layers=[32, 32, 32])
watching = Watching(
    "runs/pina-heat",
    "inside",
    solution={"u": exact},
    bounds={"t": (0, 1), "x": (0, 1)},
    name="heat",
    overwrite=True,
)
trainer = Trainer(
    PhysicsInformedSingleModelSolver(problem, model),
    max_epochs=steps,
    accelerator="cpu",
    callbacks=[watching],
    enable_progress_bar=False,
    logger=False,
    enable_checkpointing=False,
)
trainer.train()
