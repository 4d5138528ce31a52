"""Learning rates that follow a schedule, for optimizers that have the options of one."""

from __future__ import annotations

import math
from typing import Any

from attrs import Attribute, frozen

from pinn.core import Optimizer, at_least, between, choice, option


def own_first(_: type[Any], fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """The fields of a class before those that it inherits, for attrs' `field_transformer`.

    A learning rate is read before its schedule.
    """
    return sorted(fields, key=lambda field: field.inherited)  # type: ignore[attr-defined]


@frozen
class Scheduled(Optimizer):
    """An optimizer whose learning rate is γ · warmup(step) · decay(step)."""

    schedule: str = option(
        "exponential",
        "exponential, cosine or constant",
        choice("exponential", "cosine", "constant"),
    )
    decay: float = option(0.9, "exponential: the factor …", between(0, 1))
    decay_steps: int = option(5000, "… every so many steps", at_least(1))
    warmup: int = option(0, "steps in which the rate grows from 0", at_least(0))

    def rate(self, largest: float, step: int, steps: int) -> float:
        """The rate of step `step` of `steps`, where γ = `largest`."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return largest * warm * self._decayed(step, steps)

    def _decayed(self, step: int, steps: int) -> float:
        if self.schedule == "exponential":
            return self.decay ** (step // self.decay_steps)
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * step / steps)) / 2
        return 1.0
