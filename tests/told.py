"""A reporter that remembers what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinn.engine.training.progress import Reporter


class Told(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, loss: float, shown: Mapping[str, Any]) -> None:
        self.steps.append(step)
