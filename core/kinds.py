"""The kinds of parts in one table: what each is, where `pinn.toml` names it, what all of a kind have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, evolve, frozen
from attrs.validators import deep_iterable, optional

from pinn.core.options import above, at_least, option, zero_or_at_least
from pinn.core.parts import Analyzer, Network, Optimizer, Sampler, Schedule, Weighting
from pinn.core.problem import Problem


@frozen
class NetworkOptions:
    """What stands beside every network."""

    start: str | None = option(
        None, "a run's directory, seen from this file: start from the parameters of its best.pt"
    )


@frozen
class PointsOptions:
    """What every sampler is told: how many points, and when they are drawn anew."""

    interior: int = option(4096, "collocation points inside the domain", at_least(1))
    conditions: int | dict[str, int | dict[str, Any]] = option(
        512, "points per condition, or a table by name, also {points = 512, sampler = …}"
    )
    redraw: int = option(
        0, "steps between new interior points (weights restart); 0: never", at_least(0)
    )
    undo: float = option(
        100.0,
        "steps since the last new points are undone where on the next ones the residual's mean square "
        "is so many times that on theirs, and that of the network before them; 0: never",
        zero_or_at_least(1),
    )
    chunk: int = option(0, "points a step handles at once, to bound memory; 0: all", at_least(0))


@frozen
class WeightingOptions:
    """What stands beside every weighting."""

    factors: dict[str, float] = option({}, "fixed factor of a condition's or equation's loss")
    by_size: bool = option(
        False, "divide every residual by its size for smooth fields of usual size"
    )
    balance: dict[str, Any] | None = option(
        None, "another weighting, which balances the terms of the loss: {name = 'relobralo'}"
    )


@frozen
class StageOptions:
    """How long an optimizer trains."""

    steps: int = option(help="steps of this stage, at most", validator=at_least(1))
    until: str | None = option(
        None, "ends the stage earlier: an event, 'rel_l2 < 1e-2', 'plateau', 'plateau of rel_l2'"
    )
    patience: int = option(
        1000, "steps without a minimum lower by 1 % that make a plateau", at_least(1)
    )
    inherit: bool = option(
        False, "begins with what the same optimizer has learnt in the stage before"
    )
    sampler: str | None = option(None, "as in [points], for this stage, with its defaults")
    interior: int | None = option(
        None, "points of this stage, where not those of [points]", optional(at_least(1))
    )
    redraw: int | None = option(None, "as in [points], for this stage", optional(at_least(0)))
    undo: float | None = option(
        None, "as in [points], for this stage", optional(zero_or_at_least(1))
    )
    chunk: int | None = option(None, "as in [points], for this stage", optional(at_least(0)))
    factors: dict[str, float] | None = option(None, "instead of [weighting.factors], in this stage")
    problem: dict[str, Any] | None = option(
        None, "options of the problem that are others in this stage: {reynolds = 100}"
    )
    within: dict[str, list[float]] | None = option(
        None, "a part of the domain, all points of this stage lie there: {t = [0.0, 0.2]}"
    )
    parameters: str | None = option(
        None, "how the names of those begin that this stage trains: 'windows.0'; default: all"
    )
    pseudo_time: dict[str, str] | None = option(
        None, "what equations of a steady state move in pseudo-time: {momentum_x = 'u'}"
    )
    time_step: float | None = option(
        None,
        "of pseudo-time, τ; default: ‖Δw‖ / ‖Δr‖, measured at each renewal",
        optional(above(0)),
    )
    renew: int = option(100, "steps after which q.earlier, and pseudo-time, moves on", at_least(1))


@frozen
class AnalyzerOptions:
    """When an analyzer measures, where the configuration says so."""

    every: int | None = option(
        None, "steps between measurements; 0: only those below", optional(at_least(0))
    )
    early_every: int | None = option(
        None, "steps between measurements at first; 0: as ever", optional(at_least(0))
    )
    early_steps: int | None = option(None, "how many steps that lasts", optional(at_least(0)))
    at: list[int] | None = option(
        None, "steps measured besides", optional(deep_iterable(at_least(1)))
    )

    def schedule(self, default: Schedule) -> Schedule:
        """The analyzer's own schedule, but for what is set here."""
        given = {k: v for k, v in asdict(self).items() if v is not None}
        return evolve(default, **given | ({"at": tuple(given["at"])} if "at" in given else {}))


@frozen
class Kind:
    """What parts of a kind have in common.

    Attributes:
        base: the class that they subclass.
        section: of `pinn.toml`, which names them.
        key: that names them there.
        several: the section is a list of tables, one a part.
        options: a class of those that stand beside the part's own.
        one_of: methods of which each has at least one.
    """

    name: str
    base: type[Any]
    section: str
    key: str = "name"
    several: bool = False
    options: type[Any] | None = None
    one_of: tuple[str, ...] = ()

    @property
    def hook(self) -> str:
        """Through which plugins offer them."""
        return f"pinn_{self.name}s"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("problem", Problem, "problem"),
        Kind("network", Network, "network", options=NetworkOptions),
        Kind("sampler", Sampler, "points", "sampler", options=PointsOptions),
        Kind(
            "weighting",
            Weighting,
            "weighting",
            options=WeightingOptions,
            one_of=("update", "update_at"),
        ),
        Kind("optimizer", Optimizer, "optimizers", several=True, options=StageOptions),
        Kind("analyzer", Analyzer, "analyzers", several=True, options=AnalyzerOptions),
    )
}
