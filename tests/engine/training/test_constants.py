"""Numbers become inputs of a graph, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from pinn.engine import train
from pinn.engine.training import compilation
from pinn.engine.training.constants import lifted
from tests.conftest import MakeConfig

VISCOSITIES = (0.01 / torch.pi, 0.07)


def traced(number: float, given: Tensor) -> tuple[GraphModule, list[Tensor]]:
    def function(x: Tensor) -> Tensor:
        mixed = number * x.sin() + x / number - number + (x**2).mean() * number
        return mixed + 2 * x * (0.5 - x) / 6

    return lifted(make_fx(function)(given))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_the_same_to_the_last_digit(dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 64, dtype=dtype)
    number = VISCOSITIES[0]
    graph, numbers = traced(number, x)
    mixed = number * x.sin() + x / number - number + (x**2).mean() * number
    found = graph(x, *numbers)
    assert numbers
    assert found.dtype == dtype
    assert torch.equal(found, mixed + 2 * x * (0.5 - x) / 6)


def test_graphs_that_differ_in_a_number_are_the_same_one() -> None:
    x = torch.linspace(-1, 1, 64)
    (first, its), (second, others) = (traced(number, x) for number in VISCOSITIES)
    assert first.code == second.code
    assert [float(n) for n in its] != [float(n) for n in others]


def test_numbers_of_formulas_stay() -> None:
    def polynomial(x: Tensor) -> Tensor:
        return 3 * x + x * x * (1 / 6) - 0.5

    _, numbers = lifted(make_fx(polynomial)(torch.ones(3)))
    assert not numbers


def test_whole_numbers_are_left_as_they_are() -> None:
    graph, numbers = lifted(make_fx(lambda n: n * 0.3)(torch.arange(3)))
    assert not numbers
    assert graph(torch.arange(3)).dtype == torch.float32


OPTIONS = {
    "burgers": ("viscosity", 0.03, 0.011),
    "allen-cahn": ("diffusivity", 1e-4, 3e-3),
    "cavity": ("reynolds", 100.0, 170.0),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_with_another_option_is_compiled_already(
    name: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str] = []

    def compiled(graph: GraphModule) -> GraphModule:
        seen.append(graph.code)
        return graph

    monkeypatch.setattr(compilation, "_by_inductor", compiled)
    option, *values = OPTIONS[name]
    for value in values:
        problem = {"name": name, option: value, "hard": True}
        run = {"compile": "always", "directory": str(tmp_path / str(value))}
        train(make_config(problem, run=run, analyzers=[]), report=False)
    half = len(seen) // 2
    assert half
    assert seen[:half] == seen[half:]
