"""What the README shows is executed."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import tomli

from pinn.core import ConfigError
from pinn.core.discovery import load_plugins, registry
from pinn.core.registry import Origin
from pinn.engine import Config, parse_config, train
from pinn.engine.configuration import reader
from pinn.engine.derivatives.probing import residuals
from pinn.testing.problems.solutions import exact_residuals

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.fixture
def heat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's plugin, registered as its pyproject.toml says."""
    project = tomli.loads(block("toml", "project.entry-points.pinn"))
    ((name, module),) = project["project"]["entry-points"]["pinn"].items()
    (tmp_path / f"{module}.py").write_text(block("python", "class Heat"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    origin = Origin(project["project"]["name"], project["project"]["version"], name)
    own = load_plugins([(EntryPoint(name, module, "pinn"), origin)])
    assert not own.broken
    both = type(own)({**registry().offers, **own.offers}, ())
    monkeypatch.setattr(reader, "registry", lambda: both)


@pytest.mark.usefixtures("heat")
def test_the_plugin_trains_and_its_options_are_checked(tmp_path: Path) -> None:
    table = {
        "run": {"directory": str(tmp_path / "run"), "device": "cpu"},
        "problem": {"name": "heat", "kappa": 0.2},
        "network": {"name": "mlp", "width": 8, "depth": 2},
        "points": {"interior": 64, "conditions": 16},
        "optimizers": [{"name": "adam", "steps": 200, "lr": 1e-2}],
        "analyzers": [{"name": "error"}, {"name": "snr"}],
    }
    run = train(parse_config(table))
    errors = run.metrics()["rel_l2"][1]
    assert run.complete
    assert errors[-1] < errors[0] < 1.5
    table["problem"] = {"name": "heat", "kapa": 0.2}
    with pytest.raises(ConfigError, match="did you mean 'kappa'"):
        parse_config(table)


@pytest.mark.usefixtures("heat")
def test_the_plugins_solution_satisfies_its_equations() -> None:
    import torch

    problem = reader.registry().find("problem", "heat").cls()
    points = torch.rand(50, 2, dtype=torch.float64)
    law = residuals(problem, problem.equations, "heat", dtype=torch.float64)
    assert exact_residuals(law, points)[0].abs().max() < 1e-12


@pytest.mark.draws
def test_the_metric_is_measured_and_drawn(
    tmp_path: Path, offer: Callable[..., None], make_config: Callable[..., Config]
) -> None:
    scope: dict[str, Any] = {}
    exec(block("python", "class Tail"), scope)
    offer(*scope["pinn_analyzers"]())
    run = train(
        make_config(
            {"name": "helmholtz", "a1": 1, "a2": 1}, analyzers=[{"name": "tail", "share": 0.9}]
        )
    )
    assert 0 < run.metrics()["tail"][1][-1] < float("inf")
    assert (run.path / "figures" / "tail.png").exists()
    assert "The largest residuals" in (run.path / "report.html").read_text(encoding="utf-8")


def test_every_part_and_command_is_in_the_readme() -> None:
    for part in registry().parts():
        assert f"`{part.name}`" in README, f"{part.kind} {part.name}"
