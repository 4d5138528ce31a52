"""From a configuration to the network, its loss and its errors, on their device; tried at two points."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pinn.core.domain import Box, Points, Shape
from pinn.core.errors import PartError, PinnError, Whence, nearest, one_of, out_of_memory
from pinn.core.parts import Network
from pinn.core.problem import Problem
from pinn.core.randomness import torch_generator
from pinn.core.tracebacks import one_line
from pinn.engine.configuration.config import Config
from pinn.engine.derivatives.fields import build_network
from pinn.engine.derivatives.mixing import check_points_stay_apart
from pinn.engine.derivatives.unknowns import attach_unknowns, unknown_values
from pinn.engine.training.evaluation import Evaluator, exact_solution
from pinn.engine.training.memory import check_memory, check_optimizers
from pinn.engine.training.notes import notes_of_ends, notes_of_problem
from pinn.engine.training.objective import Objective
from pinn.engine.training.parities import notes_of_parities
from pinn.engine.training.processes import ALONE, Processes
from pinn.engine.training.sizes import notes_of_sizes
from pinn.engine.training.trainable import trainable
from pinn.engine.training.undefined import VALUE
from pinn.engine.training.undisturbed import numbers_in, seed_everything


def build(
    config: Config, processes: Processes = ALONE
) -> tuple[torch.nn.Module, Objective, Evaluator]:
    """Build what the configuration describes, without points or training.

    Args:
        processes: between which the points are shared.

    Raises:
        PinnError: an unknown device, equations that do not fit their problem, unknown factors, a
            network or an ansatz that fails, more than the memory holds.
    """
    check_memory(config)
    device = choose_device(config.run.device, config.run.precision)
    dtype = number_format(config.run.precision)
    with numbers_in(dtype):
        return _built(config, device, dtype, processes)


def _built(
    config: Config, device: torch.device, dtype: torch.dtype, processes: Processes
) -> tuple[torch.nn.Module, Objective, Evaluator]:
    module = build_module(config.network, config.problem, config.run.seed)
    module.to(device=device, dtype=dtype)
    first = config.stages[0]
    objective = Objective(
        first.problem,
        module,
        config.weighting,
        first.factors,
        first.points.chunk,
        by_size=config.by_size,
        processes=processes,
    )
    _check_factors("[weighting.factors]", config.factors, objective.names)
    _check_parameters(config, trainable(module))
    for place, stage in enumerate(config.stages, 1):
        _check_factors(f"[[optimizers]] {place} factors", stage.factors, objective.names)
    check_optimizers(config, module, objective)
    evaluator = Evaluator(config.problem, dtype, device, first.points.chunk)
    evaluator.notes += notes_of_problem(config.problem)
    evaluator.notes += notes_of_ends(config.problem, config.network, objective.equations)
    _try(config.network, module, objective, evaluator)
    for place, stage in enumerate(config.stages, 1):
        advances = stage.options.pseudo_time
        try:
            other = objective.changed(stage.problem, first.factors, first.points.chunk, advances)
        except PinnError as error:
            raise PartError(f"[[optimizers]] {place} ", *error.pieces) from None
        if other is not objective:
            _try(config.network, module, other, evaluator)
    evaluator.notes += notes_of_sizes(config.network, module, objective, first.factors)
    evaluator.notes += notes_of_parities(config.network, other)  # of the last stage
    check_points_stay_apart([objective.equations, *objective.conditions.values(), evaluator.law])
    return module, objective, evaluator


def _check_factors(where: str, factors: Mapping[str, float], names: Sequence[str]) -> None:
    for name in factors:
        if name not in names:
            raise PinnError(
                f"{where} {name}: no such equation or condition{nearest(name, names)}; there are "
                f"{one_of(names)}"
            )


def _check_parameters(config: Config, names: Sequence[str]) -> None:
    for place, stage in enumerate(config.stages, 1):
        beginning = stage.options.parameters
        if beginning and not any(name.startswith(beginning) for name in names):
            raise PinnError(
                f"[[optimizers]] {place} parameters: no name of a parameter begins with "
                f"{beginning!r}; there are {one_of(names)}"
            )


def build_module(network: Network, problem: Problem, seed: int) -> torch.nn.Module:
    """The network with its initial parameters, and the unknowns of the problem among them."""
    seed_everything(seed)
    generator = torch_generator(seed, "initialisation")
    built = f"what network {network.name!r}", Whence(network)

    def build_one(inputs: Box, outputs: tuple[str, ...]) -> torch.nn.Module:
        found = network.build(inputs, outputs, generator)
        if not isinstance(found, torch.nn.Module):
            raise PartError(*built, f" built is no torch.nn.Module: {found!r}")
        return found

    module = build_network(build_one, problem)
    if not [*module.parameters()]:
        raise PartError(*built, " built has no parameters")
    attach_unknowns(module, problem)
    return module


def _try(
    network: Network, module: torch.nn.Module, objective: Objective, evaluator: Evaluator
) -> None:
    """Evaluate everything at two points, so that what does not work is known before training."""
    problem = objective.problem
    points = _two_points(problem.domain)
    try:
        evaluator.at(module, points)
        places = torch.as_tensor(points).to(next(module.parameters()))
        with torch.enable_grad():
            found = objective.interior_residuals(objective.parameters, places)
        trained = found.requires_grad or _is_trained(objective, places)
        exact_solution(problem, places)
    except Exception as error:
        if isinstance(error, PinnError) or out_of_memory(error):
            raise
        raise PartError(
            problem.name,
            Whence(problem),
            f", with network {network.name}",
            Whence(network),
            f", fails at a point: {one_line(error)}",
            Whence(error=error),
        ) from error
    if not trained:
        raise PartError(
            problem.name,
            Whence(problem),
            ": no equation and no condition depends on the network: its ansatz fixes every field",
        )
    _check_finite(problem, dict(zip(objective.equations.names, found, strict=True)), places)


def _two_points(domain: Shape) -> Points:
    if isinstance(domain, Box):
        return np.array([[0.6, 0.4], [0.4, 0.6]]) @ [domain.lower, domain.upper]
    return domain.uniform(2, np.random.default_rng(0))


def _is_trained(objective: Objective, places: Tensor) -> bool:
    """Whether a condition depends on what is trained."""
    module, problem = objective.module, objective.problem
    unknowns = unknown_values(problem, dict(module.named_parameters()))
    with torch.enable_grad():
        return any(
            law(module, law.with_any_normals(places), unknowns).requires_grad
            for law in objective.conditions.values()
        )


def _check_finite(problem: Problem, found: dict[str, Tensor], places: Tensor) -> None:
    for name, values in found.items():
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            if not math.isfinite(value):
                where = zip(problem.domain.names, place, strict=True)
                raise PartError(
                    problem.name,
                    Whence(problem),
                    f": equation {name!r} is {value} at "
                    f"{', '.join(f'{n} = {x:g}' for n, x in where)} for the untrained network. {VALUE}",
                )


def choose_device(name: str, precision: str = "float32") -> torch.device:
    """ "auto" is the first CUDA GPU, or the CPU where there is none.

    Raises:
        PinnError: an unknown device, one that is not there, or one that does not know the precision.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name, re.ASCII):
        raise PinnError(
            f"[run] device: {name!r} is unknown; expected auto, cpu, cuda, cuda:1 or mps"
        )
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise PinnError(
                "[run] device: 'mps' was asked for, but torch finds no GPU of Apple's here; "
                'set device = "cpu" or "auto"'
            )
        if precision == "float64":
            raise PinnError(
                "[run] device: 'mps' has no double precision; "
                'set precision = "float32", or device = "cpu"'
            )
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise PinnError(
                f"[run] device: {name!r} was asked for, but no CUDA device is available; "
                'set device = "cpu" or "auto"'
            )
        if int(number or 0) >= count:
            raise PinnError(
                f"[run] device: there is no {name!r}; CUDA devices are 0 to {count - 1}"
            )
    return torch.device(name)


def number_format(precision: str) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


def device_name(device: torch.device) -> str:
    """The device as people know it: which GPU, or how many threads of the CPU."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU ({threads} thread{'s' * (threads > 1)})"
    return str(device)
