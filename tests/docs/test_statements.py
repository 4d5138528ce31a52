"""Every line of the page of statements is one that a problem may make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import (
    Ball,
    Box,
    Condition,
    Measurements,
    Polygon,
    Problem,
    Reference,
    Table,
    Unknown,
)
from pinn.core.discovery import offered
from pinn.core.domain import Shape
from pinn.engine import check, parse_config

PAGE = Path(__file__).parents[2] / "docs/guides/statements.md"
ROW = re.compile(r"^\| (?P<what>[^|`]+) \| `(?P<code>.+)` \|$", re.M)
SECTIONS = PAGE.read_text(encoding="utf-8").split("\n## ")
ROWS = {
    f"{section.splitlines()[0]}: {row['what']}": row["code"]
    for section in SECTIONS
    for row in ROW.finditer(section)
}
NAMES: dict[str, Any] = {
    "torch": torch, "nu": 0.1, "Ball": Ball, "Box": Box, "Condition": Condition, "Polygon": Polygon,
    "Measurements": Measurements, "Reference": Reference, "Table": Table, "Unknown": Unknown,
}  # fmt: skip


def test_the_page_has_as_many_lines_as_it_promises() -> None:
    tables = PAGE.read_text(encoding="utf-8").count("|---|---|")
    lines = sum(line.startswith("| ") for line in PAGE.read_text(encoding="utf-8").splitlines())
    assert len(ROWS) == lines - tables >= 30


@pytest.mark.parametrize("what", ROWS)
def test_it_can_be_stated(what: str) -> None:
    code = ROWS[what]
    stated = None if "q." in code and code.startswith("{") else eval(code, dict(NAMES))

    @frozen
    class Stated(Problem):
        """Whatever the line says, besides what the page takes for granted."""

        name = "stated"
        fields = ("u", "v")
        domain = stated if isinstance(stated, Shape) else Box(x=(0, 1), y=(0, 1), t=(0, 1))

        def equations(self, q: Any) -> Mapping[str, Any]:
            if stated is None and what.startswith("In `equations"):
                found: dict[str, Any] = eval(code, {**NAMES, "q": q})
                return found
            return {"u": q.d("u", self.domain.names[0]) - q.v}

        def ansatz(self, q: Any) -> Mapping[str, Any]:
            if what.startswith("In `ansatz"):
                made: dict[str, Any] = eval(code, {**NAMES, "q": q})
                return made
            return super().ansatz(q)

        def conditions(self) -> Iterable[Any]:
            yield from [stated] if isinstance(stated, Condition | Measurements) else []

        def unknowns(self) -> Mapping[str, Unknown]:
            return {"k": stated if isinstance(stated, Unknown) else Unknown(1.0)}

    if isinstance(stated, Reference):
        Stated.domain = Box(x=(0, 1), t=(0, 1))
        Stated.reference = lambda self: stated
    with offered(Stated):
        config = parse_config(
            {
                "problem": {"name": "stated"},
                "network": {"width": 4, "depth": 1},
                "points": {"interior": 16, "conditions": 8},
                "optimizers": [{"name": "adam", "steps": 1}],
            }
        )
        _, objective, _ = check(config)
    assert len(objective.parameters) > 0
    if isinstance(stated, Shape):
        assert stated.inside(stated.uniform(9, np.random.default_rng(0))).all()
