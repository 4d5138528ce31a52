"""Values that Optuna chooses, by what the runs before came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from pinn.core.errors import PinnError
from pinn.core.randomness import numpy_generator
from pinn.engine.sweeping.kept import read_kept, write_kept
from pinn.engine.sweeping.ranges import Range, read_ranges

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

PROPOSALS = "proposals.json"
Proposal = Mapping[str, Any]
"""Value by key."""


@frozen
class Search:
    """The section [sweep.search]: so many proposals are made, from these ranges."""

    trials: int
    seed: int
    ranges: Mapping[str, Range]

    def propose(
        self, tried: Iterable[tuple[Proposal, float | None]], count: int
    ) -> list[dict[str, Any]]:
        """What to try next, by a tree-structured Parzen estimator (Bergstra et al. 2011).

        Args:
            tried: what was proposed before, and what it came to, the smaller the better; None where it
                failed or was ended early.

        Raises:
            PinnError: Optuna is not installed.
        """
        tried = list(tried)
        study, distributions = self._study(len(tried)), self._distributions()
        from optuna.trial import TrialState, create_trial

        for proposal, value in tried:
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
            params = dict(proposal)
            study.add_trial(
                create_trial(state=state, params=params, distributions=distributions, value=value)
            )
        return [self._rounded(study.ask(distributions).params) for _ in range(count)]

    def _rounded(self, values: Proposal) -> dict[str, Any]:
        """Numbers that a person can read, between their ends."""
        found = dict(values)
        for key, value in values.items():
            if isinstance(value, float):
                low, high = self.ranges[key]["low"], self.ranges[key]["high"]
                found[key] = min(max(float(f"{value:.6g}"), low), high)
        return found

    def _study(self, tried: int) -> Study:
        try:
            import optuna
        except ImportError as error:
            raise PinnError(
                "[sweep.search] needs the package optuna: pip install 'pinn-dynamics[search]'; "
                "[sweep.random] does without"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(numpy_generator(self.seed, "search", tried).integers(2**31))
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return optuna.create_study(sampler=sampler)

    def _distributions(self) -> dict[str, BaseDistribution]:
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        found: dict[str, BaseDistribution] = {}
        for key, value in self.ranges.items():
            if isinstance(value, list):
                found[key] = CategoricalDistribution(value)
                continue
            low, high, log = value["low"], value["high"], bool(value.get("log"))
            whole = isinstance(low, int) and isinstance(high, int)
            kind = IntDistribution if whole else FloatDistribution
            found[key] = kind(low, high, log=log)
        return found


def read_search(path: Path, section: Mapping[str, Any]) -> Search | None:
    """
    Raises:
        ConfigError: all that is wrong with it.
    """
    return Search(*read_ranges(path, "search", section, "trials")) if section else None


def read_proposals(directory: Path) -> list[dict[str, Any]]:
    """What was proposed so far.

    Raises:
        PinnError: the file is damaged.
    """
    return read_kept(
        directory / PROPOSALS,
        lambda found: [dict(proposal) for proposal in found],
        [],
        f"put it back, or delete {directory}",
    )


def write_proposals(directory: Path, proposals: Sequence[Proposal]) -> None:
    write_kept(directory / PROPOSALS, [*proposals])
