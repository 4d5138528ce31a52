"""The options that a section of `pinn.toml` has, whatever part it names."""

from __future__ import annotations

from typing import Any

from attrs import asdict, evolve, frozen
from attrs.validators import deep_iterable, optional

from pinn.core.options import at_least, choice, option
from pinn.core.schedule import Schedule


@frozen
class RunOptions:
    directory: str | None = option(None, "where the run is kept; default runs/<file name>")
    seed: int = option(0, "the one seed of all random numbers", at_least(0))
    device: str = option("auto", "auto, cpu, cuda or cuda:1")
    precision: str = option("float32", "float32 or float64", choice("float32", "float64"))
    compile: str = option(
        "auto",
        "compile the step: auto (if the run is long enough), always, never",
        choice("auto", "always", "never"),
    )
    checkpoint: int = option(1000, "steps between checkpoints", at_least(1))
    record: int = option(100, "steps between records of the loss", at_least(1))
    tensorboard: bool = option(False, "write what is recorded to RUN/tensorboard/, for TensorBoard")


@frozen
class PointsOptions:
    interior: int = option(4096, "collocation points inside the domain", at_least(1))
    conditions: int | dict[str, int] = option(512, "points per condition, or a table by name")
    redraw: int = option(
        0, "steps between new interior points (weights restart); 0: never", at_least(0)
    )
    chunk: int = option(0, "points a step handles at once, to bound memory; 0: all", at_least(0))


@frozen
class WeightingOptions:
    factors: dict[str, float] = option({}, "fixed factor of a condition's or equation's loss")


@frozen
class StageOptions:
    steps: int = option(help="steps of this stage, at most", validator=at_least(1))
    until: str | None = option(
        None, "ends the stage earlier: an event, 'rel_l2 < 1e-2', 'plateau', 'plateau of rel_l2'"
    )
    patience: int = option(
        1000, "steps without a minimum lower by 1 % that make a plateau", at_least(1)
    )


@frozen
class AnalyzerOptions:
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


SHARED_OPTIONS: dict[str, type[Any]] = {
    "sampler": PointsOptions,
    "weighting": WeightingOptions,
    "optimizer": StageOptions,
    "analyzer": AnalyzerOptions,
}
"""Options that stand beside a part's own, for every part of a kind."""
