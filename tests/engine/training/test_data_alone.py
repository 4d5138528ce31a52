"""Data or conditions without an equation: what is trained, and what cannot be measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Measurements, PinnError, Problem, Unavailable, offered
from pinn.core.domain import PointSet
from pinn.core.view import View
from pinn.engine import check, parse_config, train
from pinn.testing import check_problem

X = np.linspace(-1, 1, 40)


@frozen
class Fit(Problem):
    """u(x) from values of u; nothing else is known."""

    name = "fit"
    fields = ("u",)
    domain = Box(x=(-1, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {}

    def conditions(self) -> Iterator[Measurements]:
        yield Measurements("data", {"x": X}, {"u": np.sin(3 * X)})

    def solution(self, q: Any) -> dict[str, Any]:
        return {"u": torch.sin(3 * q.x)}


@frozen
class Nothing(Fit):
    """Neither an equation nor data."""

    def conditions(self) -> Iterator[Measurements]:
        yield from ()


def table(tmp_path: Path, **sections: Any) -> dict[str, Any]:
    return {
        "run": {"directory": str(tmp_path / "run"), "compile": "never"},
        "problem": {"name": "fit"},
        "network": {"width": 12, "depth": 2},
        "points": {"interior": 30},
        "optimizers": [{"name": "adam", "steps": 20, "lr": 0.01}, {"name": "lbfgs", "steps": 60}],
        "analyzers": [{"name": "error"}],
        **sections,
    }


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"points": {"interior": 30, "chunk": 7}},
        {"weighting": {"name": "rba"}},
        {"optimizers": [{"name": "gauss-newton", "steps": 15}]},
    ],
    ids=["plain", "chunks", "rba", "gauss-newton"],
)
def test_data_alone_are_fitted(sections: Any, tmp_path: Path) -> None:
    with offered(Fit):
        run = train(parse_config(table(tmp_path, **sections)))
    final = run.summary["final"]
    assert final["loss"] == pytest.approx(final["loss.data"])
    assert final["rel_l2"] < 0.2


def test_the_kit_takes_a_problem_without_equations() -> None:
    check_problem(Fit)


def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with offered(Nothing), pytest.raises(PinnError, match="neither equations nor conditions"):
        check(parse_config(table(tmp_path)))


def test_points_by_residuals_are_refused(tmp_path: Path) -> None:
    stages = [{"name": "adam", "steps": 4, "redraw": 2}]
    points = {"sampler": "rad", "interior": 30}
    with offered(Fit), pytest.raises(PinnError, match="has no equations, so no residuals"):
        train(parse_config(table(tmp_path, points=points, optimizers=stages)))


def test_analyzers_of_residuals_say_what_they_need_and_the_others_measure(tmp_path: Path) -> None:
    names = ["error", "snr", "homogeneity", "balance", "compression", "curvature", "maps"]
    analyzers = [{"name": name} for name in names]
    stage = [{"name": "adam", "steps": 2}]
    with offered(Fit):
        run = train(parse_config(table(tmp_path, optimizers=stage, analyzers=analyzers)))
    failures = run.summary["failures"]
    assert set(failures) == {"snr", "homogeneity", "balance", "maps"}
    assert "needs residuals of equations, and fit has none" in failures["snr"][0]
    assert "needs equations beside conditions, and this problem" in failures["balance"][0]
    assert "information_y" in run.metrics()
    assert "hessian.largest" in run.metrics()


def test_a_view_without_equations_has_no_residuals() -> None:
    points = PointSet(torch.zeros(3, 1), {})
    none: Any = None
    view = View(1, Fit(), none, points, torch.ones(0, 3), {}, none, none, none, 0)
    asked = (lambda: view.residuals, lambda: view.residual_function)
    for ask in asked:
        with pytest.raises(Unavailable, match="needs residuals of equations, and fit has none"):
            ask()
