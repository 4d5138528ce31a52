"""What reports say of a run: one that was trained here, or a loop that was watched."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pinn.core.contract import summary
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.watched import Watched

AGAIN = (
    "The configuration with every default written out: pinn run on it repeats the run. "
    "The environment says on what it ran."
)
ELSEWHERE = (
    "It was trained elsewhere: what was watched, by analyzers with every option written out. "
    "The environment says on what it ran."
)


@frozen
class Subject:
    """
    Attributes:
        name: the title.
        steps: how many it is to make; None: it did not say.
        coordinates: names, in the order of the grid.
        sentence: parts and stages, for a table of runs.
        again: about its pinn.toml.
    """

    name: str
    steps: int | None
    coordinates: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sentence: str
    again: str


def subject(
    config: Config | Watched, parameters: int | None = None, device: str | None = None
) -> Subject:
    """`parameters` and `device` as the summary and the environment say."""
    if isinstance(config, Watched):
        return _watched(config)
    return _trained(config, parameters, device)


def _trained(config: Config, parameters: int | None, device: str | None) -> Subject:
    size = f" ({parameters:,} parameters)" if parameters else ""
    points = f"{config.points.options.interior:,} ({config.points.sampler.name})"
    return Subject(
        name=config.problem.name,
        steps=config.steps,
        coordinates=config.problem.domain.names,
        facts=[
            ("Problem", summary(type(config.problem))),
            ("Network", config.network.name + size),
            ("Points", points),
            ("Weighting", config.weighting.name),
            ("Optimizers", stages(config)),
            ("Device", f"{device or config.run.device}, {config.run.precision}"),
        ],
        sentence=f"{config.problem.name}; {config.network.name}; {config.weighting.name} weights; "
        f"{stages(config)}",
        again=AGAIN,
    )


def _watched(watched: Watched) -> Subject:
    own = watched.options
    return Subject(
        name=own.name,
        steps=own.steps,
        coordinates=own.coordinates,
        facts=[
            ("Trained by", own.framework or "a loop of its own"),
            ("Network", f"{own.parameters:,} parameters"),
            ("Points", f"{own.points:,}"),
            ("Optimizer", own.optimizer),
            ("Device", f"{own.device}, {own.precision}"),
        ],
        sentence=f"{own.name}; trained by {own.framework or 'a loop of its own'}; {own.optimizer}",
        again=ELSEWHERE,
    )


def stages(config: Config) -> str:
    """ "adam (1,500 steps), then lbfgs (700 steps)" """
    return ", then ".join(f"{s.optimizer.name} ({s.steps:,} steps)" for s in config.stages)
