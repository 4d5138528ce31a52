"""The core: interfaces, configuration, derivatives, training. It knows no part by name."""

from typing import TYPE_CHECKING, Any

from pinn.core.domain import Box
from pinn.core.errors import ConfigError, PinnError, TrainingError
from pinn.core.hookspecs import hookimpl
from pinn.core.options import above, at_least, between, choice, fraction, option
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Weighting
from pinn.core.plots import Curves, Drawing, Plot, Span
from pinn.core.problem import Condition, Measurements, Problem, Reference, Unknown
from pinn.core.registry import offered
from pinn.core.schedule import Schedule
from pinn.engine.configuration.config import Config, load_config, parse_config

if TYPE_CHECKING:
    from pinn.core.records import Records
    from pinn.core.view import BatchGradients, View
    from pinn.engine.training.run import Run, open_run, train
    from pinn.engine.watching.watch import watch
    from pinn.engine.watching.watcher import Watcher

__all__ = [
    "Analyzer",
    "BatchGradients",
    "Box",
    "Condition",
    "Config",
    "ConfigError",
    "Curves",
    "Drawing",
    "Measurements",
    "Network",
    "Optimizer",
    "PinnError",
    "Plot",
    "Problem",
    "Records",
    "Reference",
    "Run",
    "Sampler",
    "Schedule",
    "Span",
    "TrainingError",
    "Unknown",
    "View",
    "Watcher",
    "Weighting",
    "above",
    "at_least",
    "between",
    "choice",
    "fraction",
    "hookimpl",
    "load_config",
    "offered",
    "open_run",
    "option",
    "parse_config",
    "train",
    "watch",
]

_NEED_TORCH = {
    "Run": "engine.training.run",
    "open_run": "engine.training.run",
    "train": "engine.training.run",
    "Records": "core.records",
    "View": "core.view",
    "BatchGradients": "core.view",
    "Watcher": "engine.watching.watcher",
    "watch": "engine.watching.watch",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for: `pinn list` does not."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"pinn.{_NEED_TORCH[name]}"), name)
