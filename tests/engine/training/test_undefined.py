"""Roots of fields that may be negative, slopes at 0: refused by name before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, PinnError, Problem, TrainingError, offered
from pinn.engine import Config, check, parse_config, train


@frozen
class Tank(Problem):
    """A tank that runs empty: h' = −√h."""

    name = "tank"
    fields = ("h",)
    domain = Box(t=(0, 1))
    root = staticmethod(torch.sqrt)
    place = "t=0"

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"outflow": q.h_t + type(self).root(q.h)}

    def conditions(self) -> Iterator[Condition]:
        yield Condition("full", self.place, lambda q: q.h - 1)


def root_where_positive(h: Any) -> Any:
    return torch.where(h > 0, torch.sqrt(h), 0.0)


def root_made_safe(h: Any) -> Any:
    return torch.where(h > 0, torch.sqrt(torch.where(h > 0, h, 1.0)), 0.0)


@frozen
class Masked(Tank):
    """The slope of the root that is not taken is NaN all the same."""

    name = "masked"
    root = staticmethod(root_where_positive)


@frozen
class Safe(Tank):
    """Both sides have a slope."""

    name = "safe"
    root = staticmethod(root_made_safe)


@frozen
class Positive(Tank):
    """The field is positive, whatever the network says."""

    name = "positive"

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"h": torch.exp(q.h)}


@frozen
class Axis(Tank):
    """A condition that divides by zero where it holds."""

    name = "axis"
    root = staticmethod(torch.sin)

    def conditions(self) -> Iterator[Condition]:
        yield Condition("axis", "t=0", lambda q: q.h_t / q.t)


def config(problem: type[Problem], folder: Path) -> Config:
    table = {
        "run": {"directory": str(folder), "device": "cpu", "compile": "never", "seed": 1},
        "problem": {"name": problem.name},
        "network": {"width": 4, "depth": 1},
        "points": {"interior": 256, "conditions": 4},
        "optimizers": [{"name": "adam", "steps": 2}],
    }
    with offered(problem):
        return parse_config(table)


@pytest.mark.parametrize("attempt", [check, train])
@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Tank, r"equation 'outflow' is nan at .* for the untrained network\. .* torch\.exp"),
        (Masked, r"the loss of 'outflow' is finite, its gradient is not.* side of torch\.where"),
        (Axis, r"the loss of 'axis' is (inf|nan).* Look for divisions"),
    ],
)
def test_what_has_no_value_or_slope_is_named(
    problem: type[Problem], message: str, attempt: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises((PinnError, TrainingError), match=message):
        attempt(config(problem, tmp_path / "run"))
    assert attempt is train or not (tmp_path / "run").exists()


@pytest.mark.parametrize("problem", [Safe, Positive])
def test_what_the_message_says_helps(
    problem: type[Problem], tmp_path: Path, without_results: None
) -> None:
    made = config(problem, tmp_path / "run")
    check(made)
    assert train(made).metrics()["loss"][1].size
