"""The contract of every registered problem and its variants, and what the built-in ones add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from attrs import evolve
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from torch import Tensor

from pinn.core import Problem, Reference
from pinn.core.discovery import registry
from pinn.core.options import unstructure
from pinn.engine import Config, open_run, train
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.quantities import Forms, Quantities, named_tensors
from pinn.engine.derivatives.residuals import quantities
from pinn.engine.training.evaluation import Evaluator, reference_solution
from pinn.plugins.networks.mlp import MLP
from pinn.testing import check_problem
from pinn.testing.problems.solutions import exact_residuals

Array = NDArray[Any]
MakeConfig = Callable[..., Config]

# Variants with other equations or conditions.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "cavity": [
        {"formulation": "velocity"},
        {"boundary": "joint", "gauge": False},
        {"lid": "regularised", "reynolds": 100.0},
        {"lid": "regularised", "hard": True},
        {"lid": "regularised", "formulation": "velocity", "reynolds": 100.0},
    ],
    "helmholtz": [{"a1": 1, "a2": 4, "k": 3.0}],
    "burgers": [{"viscosity": 0.1}],
    "allen-cahn": [{"diffusivity": 1e-2, "reaction": 2.0}],
}


def problems() -> Iterator[Any]:
    for part in registry().parts("problem"):
        options: list[dict[str, Any]] = [{}, *VARIANTS.get(part.name, [])]
        if "hard" in attrs.fields_dict(part.cls):
            options.append({"hard": True})
        for chosen in options:
            shown = ", ".join(f"{key}={value}" for key, value in chosen.items())
            yield pytest.param(part.cls(**chosen), id=f"{part.name} {shown}".strip())


EVERY = list(problems())

every_problem = pytest.mark.parametrize("problem", EVERY)


def table(problem: Problem) -> dict[str, Any]:
    return {"name": problem.name, **unstructure(problem)}


def random_network(problem: Problem, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    module = MLP(width=10, depth=2).build(problem.domain, problem.fields, generator).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 1, generator=generator)
    return module


def interior_points(problem: Problem, count: int = 200) -> Tensor:
    domain = problem.domain
    generator = np.random.default_rng(0)
    return torch.from_numpy(
        generator.uniform(domain.lower, domain.upper, (count, domain.dimension))
    )


@every_problem
def test_every_problem_keeps_its_contract(problem: Problem) -> None:
    check_problem(problem)


@every_problem
def test_there_is_a_reference_and_predictions_are_in_its_order(problem: Problem) -> None:
    reference = reference_solution(problem)
    assert reference is not None
    assert all(values.dtype == np.float64 for values in reference.fields.values())
    shape = tuple(len(c) for c in reference.coordinates.values())
    evaluator = Evaluator(problem, torch.float64, torch.device("cpu"))
    module = random_network(problem)
    on_grid = evaluator.on_grid(module)
    assert all(values.shape == shape for values in on_grid.values())
    place = tuple(n // 3 for n in shape)
    point = [[c[i] for c, i in zip(reference.coordinates.values(), place, strict=True)]]
    for name, value in evaluator.at(module, np.array(point)).items():
        assert value[0] == pytest.approx(on_grid[name][place], rel=1e-12)


@every_problem
def test_an_exact_solution_satisfies_its_equations_to_rounding(problem: Problem) -> None:
    places = interior_points(problem)
    q = Quantities({name: places[:, i] for i, name in enumerate(problem.domain.names)}, ())
    if problem.solution(q) is None:
        pytest.skip("its reference is numerical")
    equations = residuals(problem, problem.equations, "the equations", dtype=torch.float64)
    # Rounding: the terms that cancel are of the size of the source, below 1e3.
    assert float(exact_residuals(equations, places)[0].abs().max()) < 1e-10


# --- numerical references


class OnGrid:
    """q for the fields of a reference, differentiated by splines of degree 5 along each axis."""

    def __init__(self, problem: Problem, reference: Reference) -> None:
        self.problem = problem
        self.reference = reference
        self.known: dict[tuple[str, tuple[int, ...]], Array] = {}

    def derivative(self, field: str, index: tuple[int, ...]) -> Array:
        if (field, index) not in self.known:
            values = self.reference.fields[field]
            for axis, (along, order) in enumerate(
                zip(self.reference.coordinates.values(), index, strict=True)
            ):
                if order:
                    spline = make_interp_spline(along, values, k=5, axis=axis)
                    values = spline.derivative(order)(along)
            self.known[field, index] = values
        return self.known[field, index]

    def residuals(
        self, law: Callable[[Any], Any], single: str = "r", chosen: Any = ...
    ) -> tuple[dict[str, Array], float]:
        """Residuals at the chosen grid points, and the size of the largest term asked for."""
        grids = np.meshgrid(*self.reference.coordinates.values(), indexing="ij")
        places = {
            name: torch.from_numpy(np.ascontiguousarray(grid[chosen].ravel()))
            for name, grid in zip(self.problem.domain.names, grids, strict=True)
        }
        scale = 0.0

        def resolve(forms: Forms) -> Tensor:
            nonlocal scale
            total = 0.0
            for field, form in forms.items():
                for index, factor in form.items():
                    term = factor * self.derivative(field, index)[chosen].ravel()
                    scale = max(scale, float(np.abs(term).max()))
                    total = total + term
            return torch.from_numpy(np.asarray(total))

        count = len(next(iter(places.values())))
        found = law(Quantities(places, self.problem.fields, resolve))
        tensors = named_tensors(found, count, "the law", single)
        return {name: tensor.numpy() for name, tensor in tensors.items()}, scale


def numerical(problem: Problem) -> OnGrid:
    reference = problem.reference()
    if reference is None:
        pytest.skip("its solution is exact")
    return OnGrid(problem, reference)


# What nine tenths of the residuals must stay below. Splines resolve the smooth parts of Allen-Cahn and
# Burgers to 1e-4 on the reference grid; the rest is fronts of a few grid points. The stored cavity flow
# is rounded to 2^-23 (ψ) or 2^-17 (u, v): three differences over 1/128 make 2^-24 · 128³ / Re of it,
# times about 10 for the weights of the differences, and the lid's corners are singular.
TOLERANCES: dict[str, Callable[[Any], float]] = {
    "allen-cahn": lambda problem: 1e-4,
    "burgers": lambda problem: 1e-4,
    "cavity": lambda problem: 2.5 / problem.reynolds,
}
# The same equations with another parameter, which the reference must not satisfy.
OTHERS: dict[str, Callable[[Any], Any]] = {
    "allen-cahn": lambda p: evolve(p, reaction=1.01 * p.reaction),
    "burgers": lambda p: evolve(p, viscosity=1.5 * p.viscosity),
    "cavity": lambda p: evolve(p, reynolds=p.reynolds / 3),
}


@every_problem
def test_a_numerical_reference_satisfies_the_equations(problem: Problem) -> None:
    grid = numerical(problem)
    # An eighth at each end is left out: splines are one-sided there, data have kinks and corners.
    shape = next(iter(grid.reference.fields.values())).shape
    inner = tuple(slice(n // 8, n - n // 8) for n in shape)
    tolerance = TOLERANCES[problem.name](problem)
    found, scale = grid.residuals(problem.equations, chosen=inner)
    assert scale > 0.1
    for name, values in found.items():
        assert np.quantile(np.abs(values), 0.9) < tolerance, name
    wrong, _ = grid.residuals(OTHERS[problem.name](problem).equations, chosen=inner)
    for name in found.keys() - {"continuity"}:
        assert np.quantile(np.abs(wrong[name]), 0.9) > 2 * tolerance, name


@every_problem
def test_a_numerical_reference_satisfies_the_conditions(problem: Problem) -> None:
    grid = numerical(problem)
    soft = evolve(problem, hard=False) if hasattr(problem, "hard") else problem
    coordinates = grid.reference.coordinates
    for condition in soft.conditions():
        for text in condition.on:
            fixed = problem.domain.face(text).fixed
            # The ends of a face are left out: under the lid's corners the velocity jumps.
            place: list[Any] = [slice(n // 8, n - n // 8) for n in map(len, coordinates.values())]
            for axis, (name, along) in enumerate(coordinates.items()):
                if name in fixed:
                    (place[axis],) = np.flatnonzero(along == fixed[name])
            found, _ = grid.residuals(condition.residual, condition.name, tuple(place))
            for name, values in found.items():
                # One-sided splines of a boundary layer of a few cells are good to a few thousandths.
                assert np.abs(values).max() < 5e-3, (condition.name, text, name)


@every_problem
def test_without_hard_conditions_the_ansatz_is_the_network(problem: Problem) -> None:
    if getattr(problem, "hard", False):
        pytest.skip("it has hard conditions")
    module, at = random_network(problem), interior_points(problem, 9)
    law = residuals(problem, problem.equations, "the equations")
    q = quantities(problem, module, at, law.jets)
    fields = torch.stack([getattr(q, name).tensor() for name in problem.fields], 1)
    torch.testing.assert_close(fields, module(at))


# --- training


def parameters(directory: Path) -> Mapping[str, Tensor]:
    return open_run(directory).network().state_dict()


@every_problem
def test_five_steps_of_training(problem: Problem, make_config: MakeConfig) -> None:
    analyzers = [{"name": "error", "every": 5}, {"name": "snr", "every": 5, "batches": 4}]
    weighting = {"name": "rba", "eta": 0.1}
    config = make_config(table(problem), weighting=weighting, analyzers=analyzers)
    run = train(config)
    assert run.complete
    assert run.config.problem == problem
    metrics = run.metrics()
    for name in ("loss", "loss.unweighted", "rel_l2", "snr"):
        steps, values = metrics[name]
        assert steps[-1] == 5
        assert np.isfinite(values).all()
    with np.load(run.path / "predictions.npz") as stored:
        headline = residuals(problem, problem.observables, "the observables").names[0]
        error = stored[headline] - stored[f"{headline}_reference"]
        np.testing.assert_allclose(stored[f"{headline}_error"], error, atol=1e-12)
        relative = np.linalg.norm(error) / np.linalg.norm(stored[f"{headline}_reference"])
        assert metrics["rel_l2"][1][-1] == pytest.approx(relative, rel=1e-6)


@pytest.mark.parametrize("name", [part.name for part in registry().parts("problem")])
def test_continuing_is_exact(name: str, make_config: MakeConfig, tmp_path: Path) -> None:
    def config(directory: str, steps: int) -> Config:
        made = make_config(
            {"name": name},
            weighting={"name": "rba"},
            optimizers=[{"name": "adam", "steps": 1}, {"name": "adam", "steps": steps}],
        )
        return made.in_directory(tmp_path / directory)

    train(config("straight", 4))
    short = train(config("continued", 1))
    assert short.summary["steps"] == 2
    short.train(3)
    straight, continued = parameters(tmp_path / "straight"), parameters(tmp_path / "continued")
    assert straight.keys() == continued.keys()
    assert all(torch.equal(straight[name], continued[name]) for name in straight)
    losses = [open_run(tmp_path / d).metrics()["loss"][1] for d in ("straight", "continued")]
    assert losses[0][-1] == losses[1][-1]
