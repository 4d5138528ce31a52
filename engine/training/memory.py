"""What a run needs of the memory at least, found before it takes any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

import torch

from pinn.core.errors import PinnError
from pinn.core.options import unstructure
from pinn.core.parts import Network
from pinn.core.problem import Problem, conditions_of
from pinn.core.randomness import torch_generator
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.cores import own_groups
from pinn.engine.derivatives.fields import build_network, components
from pinn.engine.training.objective import Objective
from pinn.engine.training.trainable import trainable

LIMITS = (("memory.max", "anon"), ("memory.limit_in_bytes", "total_rss"))
"""Of control groups, version 2 and 1: the limit, and what is used that no cache gives back."""
SMALL = 256
"""A network as wide and as deep as this has 17 million parameters."""
CPU = torch.device("cpu")
LESS = (
    ". Less take a narrower network, whose parameters grow with the square of its width, gauss-newton "
    "on fewer points, and lbfgs, whose memory grows with the parameters"
)
SINGLE, DOUBLE = 4, 8
"""Bytes of a number, by its precision."""
COPIES = 4
"""Of the parameters: themselves, their gradient, and two moments as of Adam."""


def check_memory(config: Config) -> None:
    """See that points and parameters fit; what a step needs besides is not counted.

    Raises:
        PinnError: they do not; says how much they need and how much is free.
    """
    free = available()
    if free is None or config.run.device not in ("auto", "cpu"):
        return
    number = DOUBLE if config.run.precision == "float64" else SINGLE
    problem = config.problem
    columns = problem.domain.dimension + len(components(problem)) + 1
    counts = {"[points] interior": max(stage.points.interior for stage in config.stages)}
    for name in (condition.name for condition in conditions_of(problem)):
        counts[f"[points] conditions ({name})"] = _points_of(config, name)
    for where, count in counts.items():
        _refuse_if_more(where, f"{count:,} points", count * columns * number, free)
    parameters = (
        count_parameters(config.network, problem) if _may_be_large(config.network) else None
    )
    if parameters is not None:
        needed = parameters * COPIES * number
        what = f"{parameters:,.0f} parameters, their gradient and two moments"
        _refuse_if_more("[network]", what, needed, free)


def check_optimizers(config: Config, module: torch.nn.Module, objective: Objective) -> None:
    """See that what each stage's optimizer holds fits beside the network.

    Raises:
        PinnError: it does not; says how much it needs, how much is free, and what takes less.
    """
    free = available(next(module.parameters()).device)
    if free is None:
        return
    sizes = {name: module.get_parameter(name).numel() for name in trainable(module)}
    for place, stage in enumerate(config.stages, 1):
        beginning = stage.options.parameters or ""
        parameters = sum(size for name, size in sizes.items() if name.startswith(beginning))
        residuals = len(objective.equations.names) * stage.points.interior + sum(
            len(law.names) * _points_of(config, name) for name, law in objective.conditions.items()
        )
        what = f"for {parameters:,} parameters and {residuals:,} residuals its matrices"
        needed = stage.optimizer.holds(parameters, residuals) * DOUBLE
        where = f"[[optimizers]] {place} {stage.optimizer.name}"
        _refuse_if_more(where, what, needed, free, LESS)


def _points_of(config: Config, condition: str) -> int:
    try:
        return config.points.of_condition(condition)[1]
    except (KeyError, TypeError):  # measurements bring their own
        return 0


def _may_be_large(network: Network) -> bool:
    """Whether an option says so: to count without making any loads much of torch, for two seconds."""
    return any(isinstance(value, int) and value > SMALL for value in unstructure(network).values())


def _refuse_if_more(where: str, what: str, needed: float, free: int, advice: str = "") -> None:
    if needed > free:
        raise PinnError(
            f"{where}: {what} take at least {needed / 2**30:,.3g} GiB of memory, and "
            f"{free / 2**30:,.3g} GiB are free{advice}"
        )


def count_parameters(network: Network, problem: Problem) -> float | None:
    """How many it has, without making any; None where its code needs real ones to be built."""
    try:
        with torch.device("meta"):
            generator = torch_generator(0, "count")
            module = build_network(lambda i, o: network.build(i, o, generator), problem)
        return sum(parameter.numel() for parameter in module.parameters())
    except Exception as error:  # whatever a network does; it is built in earnest later
        return float("inf") if "overflow" in str(error) else None


def available(device: torch.device = CPU) -> int | None:
    """Bytes that are free, of a GPU, or of the machine and of the control group; None: nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(_available(), default=None) if device.type == "cpu" else None


def _available() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # where there is no Linux
        yield 1024 * _field(Path("/proc/meminfo"), "MemAvailable:")
    for group, (limit, used) in product(own_groups("memory"), LIMITS):
        with suppress(OSError, ValueError, KeyError):  # no such group, or without a limit: "max"
            yield int((group / limit).read_text()) - _field(group / "memory.stat", used)


def _field(file: Path, name: str) -> int:
    lines = (line.split() for line in file.read_text().splitlines())
    return int({words[0]: words[1] for words in lines if len(words) > 1}[name])
