"""The configuration files that are shipped: what they say, and that they train."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log, pi
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import tomli

from pinn.engine import load_config, parse_config, train

ROOT = Path(__file__).parents[1]
TRACES = ROOT.parent / "shared" / "traces"
PAPERS = ROOT / "configs" / "papers"

ALL_PAPERS: dict[str, Any] = {
    "run.precision": "float32",
    "network.width": 128,
    "network.depth": 6,
    "network.activation": "tanh",
    "network.initialisation": "xavier-normal",
    "network.bias": "uniform",
    "points.sampler": "lhs",
    "points.redraw": 0,
    "optimizers.0.name": "adam",
    "optimizers.0.lr": 1e-3,
    "optimizers.0.beta1": 0.9,
    "optimizers.0.beta2": 0.999,
    "optimizers.0.decay": 0.9,
    "optimizers.0.decay_steps": 5000,
    "analyzers.1.name": "snr",
    "analyzers.1.batches": 100,
}
"""What all of them share, by key of the complete configuration."""
LONG = {"network.name": "mlp", "optimizers.0.steps": 300_000, "weighting.factors": {}}
ATTENTION = {"weighting.name": "rba", "weighting.gamma": 0.999, "weighting.start": 0.0}
ALLEN_CAHN = LONG | {
    "problem.name": "allen-cahn",
    "problem.diffusivity": 1e-4,
    "problem.reaction": 5.0,
    "points.interior": 25_600,
    "points.conditions": {
        "initial": {"sampler": "grid", "points": 512, "ends": "lower", "nodes": 0}
    },
}
HELMHOLTZ = LONG | {
    "problem.name": "helmholtz",
    "problem.a1": 6,
    "problem.a2": 6,
    "problem.k": 1.0,
    "points.interior": 25_600,
    "points.conditions": {
        "walls": {"sampler": "grid", "points": 400, "ends": "both", "nodes": 1001}
    },
}
CAVITY = LONG | {
    "problem.name": "cavity",
    "problem.reynolds": 1000.0,
    "problem.formulation": "streamfunction",
    "problem.boundary": "joint",
    "problem.lid": "constant",
    "problem.gauge": False,
    "points.interior": 10_000,
    "points.conditions": 400,
    "weighting.joint": True,
}
BURGERS = LONG | {
    "problem.name": "burgers",
    "problem.viscosity": 0.01 / pi,
    "points.interior": 25_600,
    "points.conditions": {
        "initial": {"sampler": "grid", "points": 512, "ends": "lower", "nodes": 0},
        "walls": {"sampler": "lhs", "points": 512},
    },
}
RBA = ATTENTION | {"weighting.eta": 0.001, "weighting.first_eta": None}
MAXIMUM = RBA | {"weighting.normalisation": "max"}
MIN_MAX = RBA | {"weighting.normalisation": "min-max"}
VANILLA = {"weighting.name": "vanilla"}

SET_UPS: Mapping[str, dict[str, Any]] = {
    "allen-cahn-vanilla": ALLEN_CAHN | VANILLA,
    "allen-cahn-rba": ALLEN_CAHN | MAXIMUM,
    "helmholtz-vanilla": HELMHOLTZ | VANILLA,
    "helmholtz-rba-recorded": HELMHOLTZ | MIN_MAX,
    "helmholtz-rba-script": HELMHOLTZ | MIN_MAX | {"weighting.first_eta": 1.0},
    "cavity-vanilla": CAVITY | VANILLA,
    "cavity-rba": CAVITY | MAXIMUM,
    "burgers-vanilla": BURGERS | VANILLA,
    "burgers-rba": BURGERS | MAXIMUM,
    "attention-allen-cahn": ALLEN_CAHN
    | MAXIMUM
    | {
        "network.name": "modified-mlp",
        "network.periodic": ["x"],
        "network.modes": 10,
        "weighting.eta": 0.01,
        "weighting.factors": {"initial": 100.0},
    },
    "attention-helmholtz": HELMHOLTZ
    | MAXIMUM
    | {
        "problem.a1": 1,
        "problem.a2": 4,
        "points.conditions": {
            "walls": {"sampler": "grid", "points": 200, "ends": "both", "nodes": 1001}
        },
        "optimizers.0.steps": 20_000,
        "optimizers.1.name": "lbfgs",
        "optimizers.1.steps": 1000,
    },
}
"""The tables of arXiv 2403.18494 and 2307.00379, and what their code does besides."""


def test_every_set_up_of_the_papers_is_there() -> None:
    assert {path.stem for path in PAPERS.glob("*.toml")} == set(SET_UPS)


@pytest.mark.parametrize("name", SET_UPS)
def test_a_papers_set_up_says_what_the_paper_does(name: str) -> None:
    table = load_config(PAPERS / f"{name}.toml").table()
    expected = ALL_PAPERS | SET_UPS[name]
    assert {key: value_at(table, key) for key in expected} == expected


def value_at(table: Any, path: str) -> Any:
    """None where there is none."""
    for key in path.split("."):
        table = table[int(key)] if isinstance(table, list) else table.get(key)
    return table


@pytest.mark.parametrize("name", SET_UPS)
def test_a_papers_set_up_trains(name: str, tmp_path: Path) -> None:
    short = [
        f"run.directory={tmp_path / 'run'}",
        "run.device=cpu",
        "run.compile=never",
        "points.interior=64",
        "network.width=8",
        "optimizers.0.steps=3",
    ]
    several = "optimizers.1.name" in SET_UPS[name]
    config = load_config(PAPERS / f"{name}.toml", short + ["optimizers.1.steps=2"] * several)
    losses = train(config).metrics()["loss"][1]
    assert losses[-1] > 0


FIRST_NORMS = {
    "gradient_mean_norm": "‖μ‖₂",
    "adam_first_moment_norm": "‖m̂‖₂",
    "adam_second_moment_norm": "‖√v̂ + ε‖₂",
    "weight_cell_mean": "mean of the weights' cell means",
}
SEEDS = 12
STUDENT = 2.20
"""97.5 % quantile of Student's t with SEEDS − 1 degrees of freedom."""


def first_norms(name: str, seed: int, interior: int, directory: Path) -> dict[str, float]:
    """What is measured at step 2, the first that the authors recorded."""
    with (PAPERS / f"{name}.toml").open("rb") as file:
        table = tomli.load(file)
    table["run"] |= {"directory": str(directory), "seed": seed, "compile": "never", "device": "cpu"}
    table["points"]["interior"] = interior
    table["optimizers"][0]["steps"] = 2
    table["analyzers"] = [
        {"name": "snr", "batches": 100, "at": [2]},
        {"name": "adam-snr", "at": [2]},
        {"name": "homogeneity", "at": [2]},
    ]
    metrics = train(parse_config(table)).metrics()
    return {quantity: float(metrics[quantity][1][-1]) for quantity in FIRST_NORMS}


@pytest.mark.skipif(not TRACES.exists(), reason="the authors' recorded runs are not there")
@pytest.mark.parametrize(
    "interior", [1024, pytest.param(25_600, marks=pytest.mark.slow)], ids=lambda n: f"{n} points"
)
def test_the_authors_first_norms_lie_in_the_spread_of_ours(
    interior: int, tmp_path: Path, without_results: None
) -> None:
    """Of Allen-Cahn with RBA, whose weights are so small at step 2 that the interior hardly counts."""
    lines = (TRACES / "allen-cahn_rba.csv").read_text().splitlines()[:2]
    recorded = dict(zip(*(line.split(",") for line in lines), strict=True))
    assert recorded["step"] == "2"
    seeds = [first_norms("allen-cahn-rba", s, interior, tmp_path / str(s)) for s in range(SEEDS)]
    for quantity, symbol in FIRST_NORMS.items():
        logs = [log(found[quantity]) for found in seeds]
        middle, width = mean(logs), STUDENT * stdev(logs) * (1 + 1 / SEEDS) ** 0.5
        low, high = exp(middle - width), exp(middle + width)
        assert low < float(recorded[quantity]) < high, f"{symbol} is not in {low:.3g} … {high:.3g}"


@pytest.mark.slow
def test_the_shipped_configuration_reaches_four_digits(tmp_path: Path) -> None:
    run = train(load_config(ROOT / "pinn.toml", [f"run.directory={tmp_path / 'run'}"]))
    assert run.metrics()["rel_l2.u"][1][-1] < 1e-4
