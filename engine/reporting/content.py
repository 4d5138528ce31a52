"""What a report says of a run, and what each of its analyzers has to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from pinn.core.blame import explained
from pinn.core.errors import printable
from pinn.core.parts import Analyzer
from pinn.core.plots import Conclusion, Plot, Span
from pinn.core.records import Records
from pinn.core.registry import summary
from pinn.engine.configuration.config import Config
from pinn.engine.configuration.unbuilt import Described, Unbuilt
from pinn.engine.configuration.watched import Watched
from pinn.engine.reporting.page import DrawnFigure

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
    """What a run is, in words: trained here, watched, or not whole.

    Attributes:
        name: the title.
        steps: how many it is to make; None: it did not say.
        coordinates: names, in the order of the grid; None: only its arrays tell.
        sentence: parts and stages, for a table of runs.
        again: about its pinn.toml.
    """

    name: str
    steps: int | None
    coordinates: Sequence[str] | None
    facts: Sequence[tuple[str, str]]
    sentence: str
    again: str


def subject(config: Described, parameters: int | None = None, device: str | None = None) -> Subject:
    """`parameters` and `device` as the summary and the environment say."""
    if isinstance(config, Unbuilt):
        return _unbuilt(config, device)
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


def _unbuilt(run: Unbuilt, device: str | None) -> Subject:
    name = run.said("watched", "name") or ", ".join(run.named("problem")) or "a run"
    kinds = ("problem", "network", "sampler", "weighting", "optimizer")
    facts = [(kind.capitalize(), ", then ".join(run.named(kind))) for kind in kinds]
    facts.append(("Device", str(device or run.said("run", "device") or "")))
    return Subject(
        name=printable(str(name), 200),
        steps=None,
        coordinates=None,
        facts=[(what, printable(text, 200)) for what, text in facts if text],
        sentence=printable("; ".join(filter(None, (text for _, text in facts))), 400),
        again=AGAIN,
    )


def stages(config: Config) -> str:
    """ "adam (1,500 steps), then lbfgs (700 steps)" """
    return ", then ".join(f"{s.optimizer.name} ({s.steps:,} steps)" for s in config.stages)


@frozen
class Section:
    """The figures of one analyzer, or of the training itself.

    Attributes:
        about: the first line of the analyzer's docstring.
        plots: its figures as they are declared.
        spans: what it says of the training, which all figures shade.
        conclusions: what it says that a person should conclude.
        faults: what went wrong in it, one line each; the rest of the report goes on.
        figures: those that are drawn.
    """

    name: str
    about: str
    plots: Sequence[Plot] = ()
    spans: Sequence[Span] = ()
    conclusions: Sequence[Conclusion] = ()
    faults: Sequence[str] = ()
    figures: list[DrawnFigure] = field(factory=list)


def sections(config: Described, records: Records) -> list[Section]:
    """One per analyzer of the run, in order; nothing is drawn yet."""
    return [_section(observer.analyzer, records) for observer in config.observers]


def _section(analyzer: Analyzer, records: Records) -> Section:
    faults = records.failures(analyzer.name)

    def asked(method: str) -> list[Any]:
        found = []
        try:
            for item in getattr(analyzer, method)(records):
                found.append(item)
        except Exception as error:  # whatever a plugin does, the others are shown
            faults.append(f"{method}(): {explained(error, analyzer)}")
        return found

    about = summary(type(analyzer))
    return Section(
        analyzer.name, about, asked("figures"), asked("spans"), asked("conclusions"), faults
    )
