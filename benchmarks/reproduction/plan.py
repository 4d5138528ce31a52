"""What is trained: set-ups, seeds, and what ablations change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli
from attrs import frozen

from pinn.core import Weighting, above, option
from pinn.core.discovery import offered
from pinn.engine import Config, parse_config
from pinn.engine.configuration.overrides import override
from pinn.plugins.weightings.rba import ResidualBasedAttention

ROOT = Path(__file__).parents[2]
PROBLEMS = ("helmholtz", "allen-cahn", "burgers", "cavity")
WEIGHTINGS = ("rba", "vanilla")
MARKED: Mapping[str, tuple[int, int]] = {
    "allen-cahn-vanilla": (150, 91_700),
    "allen-cahn-rba": (150, 11_100),
    "helmholtz-vanilla": (180, 19_000),
    "helmholtz-rba": (70, 1_000),
    "cavity-vanilla": (150, 20_000),
    "cavity-rba": (150, 20_000),
}
"""Steps at which fitting ends and total diffusion begins, as the authors mark them by eye (arXiv
2403.18494)."""


@frozen
class Scale:
    """How large the runs are.

    Attributes:
        configs: the folder of the set-ups' files.
        files: that of each set-up.
        seeds: of every set-up.
        ablated: the set-up that ablations change, and for how many steps each of them trains; None: no
            ablations.
        ablation_seeds: of every ablation.
    """

    name: str
    configs: Path
    files: Mapping[str, str]
    seeds: int
    ablated: tuple[str, int] | None = None
    ablation_seeds: int = 0

    def jobs(self) -> list[Job]:
        """Seed by seed, so that what is there at any time says something of all set-ups."""
        found = [Job(self, set_up, seed) for seed in range(self.seeds) for set_up in self.files]
        if self.ablated:
            set_up = self.ablated[0]
            ablations = [
                Job(self, set_up, seed, variant)
                for seed in range(self.ablation_seeds)
                for variant in ABLATIONS
            ]
            found[3 * len(self.files) : 3 * len(self.files)] = ablations
        return found


@frozen
class Job:
    """One run: a set-up, a seed, and what is changed; the same seed is the same points and weights."""

    scale: Scale
    set_up: str
    seed: int
    variant: str = ""

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.set_up, self.variant, f"seed{self.seed}")))

    def config(self, runs: Path) -> Config:
        """Its configuration, to be trained in a folder of `runs`."""
        table = self.table()
        table["run"]["directory"] = str(runs / self.scale.name / self.name)
        return parse_config(table, self.name)

    def table(self) -> dict[str, Any]:
        file = self.scale.configs / f"{self.scale.files[self.set_up]}.toml"
        table = tomli.loads(file.read_text(encoding="utf-8"))
        table["run"]["seed"] = self.seed
        if self.variant:
            assert self.scale.ablated is not None
            table["optimizers"][0]["steps"] = self.scale.ablated[1]
        with offered(*ABLATED):
            for change in ABLATIONS.get(self.variant, ()):
                override(table, change)
        return table


@frozen
class FrozenAttention(ResidualBasedAttention):
    """Residual-based attention whose weights stay as they are once the largest reaches `level`."""

    name = "frozen-attention"

    level: float = option(0.4, "of the largest weight, at which all stop", above(0))

    def update(self, weights: Any, residuals: Any) -> Any:
        moving = (weights.max() < self.level).to(weights.dtype)
        return weights + moving * (super().update(weights, residuals) - weights)


@frozen
class PermutedAttention(ResidualBasedAttention):
    """Residual-based attention whose weights each belong to another point.

    The points of a Latin hypercube stand in random order, so that a shift by half of them is a random
    permutation: the weights are distributed as they were, and say nothing of their points.
    """

    name = "permuted-attention"

    def update(self, weights: Any, residuals: Any) -> Any:
        shift = residuals.shape[1] // 2
        return super().update(weights, residuals.roll(shift, 1))


ABLATED: tuple[type[Weighting], ...] = (FrozenAttention, PermutedAttention)

ABLATIONS: Mapping[str, Sequence[str]] = {
    "as-it-is": (),
    "zero-biases": ("network.bias=zero",),
    "frozen": ("weighting.name=frozen-attention",),
    "permuted": ("weighting.name=permuted-attention",),
    "vanilla": ("weighting.name=vanilla",),
    "faster-memory": ("weighting.eta=0.01", "weighting.gamma=0.99"),
    "slower-memory": ("weighting.eta=0.0001", "weighting.gamma=0.9999"),
    "bound-10": ("weighting.eta=0.01",),
    "first-step-1": ("weighting.first_eta=1.0",),
    "no-min-max": ("weighting.normalisation=max",),
    "many-batches": ("analyzers.1.batches=100",),
    "random-batches": ("analyzers.1.partition=random",),
    "2560-points": (
        "points.interior=2560",
        "analyzers.1.batches=20",
        "optimizers.0.steps=10000",
    ),
    "12800-points": (
        "points.interior=12800",
        "analyzers.1.batches=50",
    ),
}

SET_UPS = tuple(f"{problem}-{weighting}" for problem in PROBLEMS for weighting in WEIGHTINGS)
SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="laptop",
            configs=ROOT / "configs" / "laptop",
            files={set_up: set_up for set_up in SET_UPS},
            seeds=6,
            ablated=("helmholtz-rba", 4000),
            ablation_seeds=2,
        ),
        Scale(
            name="paper",
            configs=ROOT / "configs" / "papers",
            files={s: s for s in SET_UPS} | {"helmholtz-rba": "helmholtz-rba-recorded"},
            seeds=1,
        ),
    )
}
