"""The hooks through which every part registers, the built-in ones included."""

from __future__ import annotations

from collections.abc import Sequence

import click
import pluggy

from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Weighting
from pinn.core.problem import Problem

hookspec = pluggy.HookspecMarker("pinn")
hookimpl = pluggy.HookimplMarker("pinn")


@hookspec
def pinn_problems() -> Sequence[type[Problem]]:  # type: ignore[empty-body]
    """PDE problems."""


@hookspec
def pinn_networks() -> Sequence[type[Network]]:  # type: ignore[empty-body]
    """Network architectures."""


@hookspec
def pinn_samplers() -> Sequence[type[Sampler]]:  # type: ignore[empty-body]
    """Ways to draw collocation points."""


@hookspec
def pinn_weightings() -> Sequence[type[Weighting]]:  # type: ignore[empty-body]
    """Weights of collocation points."""


@hookspec
def pinn_optimizers() -> Sequence[type[Optimizer]]:  # type: ignore[empty-body]
    """Optimizers with their learning-rate schedules."""


@hookspec
def pinn_analyzers() -> Sequence[type[Analyzer]]:  # type: ignore[empty-body]
    """Measurements of the training."""


@hookspec
def pinn_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
    """Commands of the command line: `pinn NAME …`."""
