"""Numbers in the equations that training finds: the parameters of inverse problems."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pinn.core.errors import PartError, Whence
from pinn.core.problem import Problem, Unknown

PREFIX = "unknown_"
"""Of their names among the parameters of the network's module: all that is trained is in one place."""


def unknowns_of(problem: Problem) -> Mapping[str, Unknown]:
    """The problem's unknowns.

    Raises:
        PartError: they are no mapping from names to `Unknown`.
    """
    found = problem.unknowns()
    if not isinstance(found, Mapping):
        shown = "nothing" if found is None else f"a {type(found).__name__}"
        raise PartError(
            f"unknowns() of {problem.name} returned {shown}; expected {{name: Unknown(start)}}",
            Whence(problem),
        )
    for name, unknown in found.items():
        if not isinstance(unknown, Unknown):
            raise PartError(
                f"unknowns() of {problem.name}: {name!r} is {unknown!r}; write Unknown({unknown!r})",
                Whence(problem),
            )
    return found


def attach_unknowns(module: nn.Module, problem: Problem) -> None:
    """Give the network the problem's unknowns as further parameters, at their start."""
    for name, unknown in unknowns_of(problem).items():
        start = trained_number(unknown, unknown.start)
        module.register_parameter(PREFIX + name, nn.Parameter(torch.tensor(start)))


def trained_number(unknown: Unknown, value: float) -> float:
    """What is trained where the unknown has this value: its logarithm, if it is positive."""
    return math.log(value) if unknown.positive else float(value)


def unknown_values(problem: Problem, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The unknowns as equations see them, scalars; `parameters` are those of the module, by name."""
    found = {}
    for name, unknown in unknowns_of(problem).items():
        trained = parameters[PREFIX + name]
        found[name] = trained.exp() if unknown.positive else trained
    return found


def unknown_quantities(problem: Problem, parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """What is recorded: `unknown.<name>`, and its relative error where the true value is known."""
    found: dict[str, float] = {}
    for name, value in unknown_values(problem, parameters).items():
        found[f"unknown.{name}"] = number = float(value.detach())
        true = unknowns_of(problem)[name].true
        if true is not None:
            found[f"unknown.{name}.error"] = abs(number - true) / (abs(true) or 1.0)
    return found


def start_values(problem: Problem, like: Tensor) -> dict[str, Tensor]:
    return {name: like.new_tensor(u.start) for name, u in unknowns_of(problem).items()}


def true_values(problem: Problem, like: Tensor) -> dict[str, Tensor]:
    """Of the unknowns whose true value is known."""
    known = {n: u.true for n, u in unknowns_of(problem).items() if u.true is not None}
    return {name: like.new_tensor(true) for name, true in known.items()}
