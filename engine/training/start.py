"""A network that starts from another run's: parameters by name, and the unknowns that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pinn.core.errors import PinnError
from pinn.core.problem import Problem
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.derivatives.unknowns import PREFIX, trained_number, unknown_values
from pinn.engine.training.checkpoint import read_best


def start_from(module: nn.Module, problem: Problem, path: Path) -> int:
    """Give the module the parameters and buffers of the best checkpoint of the run in `path`.

    It becomes the same function of the coordinates. An unknown of the problem that the other run does
    not have stays at its own start.

    Returns:
        The step at which they were saved.

    Raises:
        PinnError: there is no such checkpoint, or a parameter has another name or another shape there.
    """
    directory = RunDirectory(path)
    try:
        directory.read_table()
        state = read_best(directory.checkpoints)
        there: dict[str, Tensor] = state["module"]
        own = {n: value for n, value in module.state_dict().items() if not _is_unknown(n)}
        others = {n: value for n, value in there.items() if not _is_unknown(n)}
        if difference := next(_differences(own, others), None):
            raise PinnError(
                f"{path}: its network is another one: {difference}; give both runs the same options "
                "in [network]"
            )
        numbers = dict(_unknowns(problem, there, directory))
    except PinnError as error:
        raise PinnError(f"[network] start: {error}") from None
    module.load_state_dict(others | numbers, strict=False)
    return int(state["step"])


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX)


def _differences(own: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Iterator[str]:
    for name, value in own.items():
        if name not in there:
            yield f"it has no {name!r}"
        elif value.shape != there[name].shape:
            yield f"{name!r} has shape {tuple(there[name].shape)} there, {tuple(value.shape)} here"
    yield from (f"{name!r} is there, and not here" for name in there if name not in own)


def _unknowns(
    problem: Problem, there: Mapping[str, Tensor], directory: RunDirectory
) -> Iterator[tuple[str, Tensor]]:
    """The unknowns that both have, as parameters of this network."""
    shared = {n: unknown for n, unknown in problem.unknowns().items() if PREFIX + n in there}
    if not shared:
        return
    config = directory.read_config()
    assert isinstance(config, Config)
    values = unknown_values(config.problem, there)
    for name, unknown in shared.items():
        value = float(values[name])
        if unknown.positive and value <= 0:
            raise PinnError(
                f"{directory.path}: its unknown {name!r} is {value:g}, and is positive here"
            )
        yield PREFIX + name, torch.tensor(trained_number(unknown, value), dtype=torch.float64)
