"""Inverse problems: numbers in the equations that training finds, and data that the loss fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from click.testing import CliRunner
from hypothesis import given, strategies as st

from pinn.core import (
    Box,
    Condition,
    ConfigError,
    Measurements,
    PinnError,
    Problem,
    Unknown,
    offered,
    option,
)
from pinn.core.records import Records
from pinn.engine import Config, open_run, train
from pinn.engine.cli import commands
from pinn.engine.derivatives.probing import residuals
from pinn.engine.derivatives.unknowns import unknown_values
from pinn.engine.reporting.figures import unknown_curves
from pinn.engine.training.objective import Objective
from pinn.engine.training.ready import prepare
from pinn.engine.training.sampling import draw_points
from pinn.testing.probes.tracing import traced
from pinn.testing.problems.solutions import exact_residuals

MakeConfig = Callable[..., Config]


@frozen
class Decay(Problem):
    """u_t + c u_x = κ u_xx with c and κ unknown, u = e^(−κ t) sin(x − c t), known at some points."""

    name = "decay"
    fields = ("u",)
    domain = Box(x=(0, 6), t=(0, 1))

    kappa: float = option(0.5, "diffusivity behind the data")
    speed: float = option(1.0, "speed behind the data")
    columns: str = option("x t u", "what was measured")

    def unknowns(self) -> Mapping[str, Unknown]:
        return {
            "kappa": Unknown(start=2.0, positive=True, true=self.kappa),
            "c": Unknown(start=0.0, true=self.speed),
        }

    def equations(self, q: Any) -> dict[str, Any]:
        return {"decay": q.u_t + q.c * q.u_x - q.kappa * q.u_xx}

    def conditions(self) -> Iterator[Condition | Measurements]:
        x, t = np.random.default_rng(0).uniform(size=(2, 150)) * [[6], [1]]
        decay = np.exp(-self.kappa * t)
        known = {
            "x": x, "t": t, "u": decay * np.sin(x - self.speed * t),
            "u_x": decay * np.cos(x - self.speed * t), "short": x[:9], "empty": [], "far": x + 5,
            "nan": np.where(x > 3, math.nan, 1.0), "w": x,
        }  # fmt: skip
        first, second, *values = self.columns.split()
        yield Condition("start", on="t=0", residual=lambda q: q.u - torch.sin(q.x))
        yield Measurements(
            "data",
            at={"x": known[first], second: known[second]},
            values={name: known[name] for name in values},
        )

    def solution(self, q: Any) -> dict[str, Any]:
        return {"u": torch.exp(-q.kappa * q.t) * torch.sin(q.x - q.c * q.t)}


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with offered(Decay):
        yield


def config(make_config: MakeConfig, steps: int = 5, **options: Any) -> Config:
    return make_config(
        {"name": "decay", **options},
        optimizers=[{"name": "adam", "steps": steps, "lr": 0.01}],
        run={"record": 1, "checkpoint": 1},
    )


# the unknowns


def test_they_are_found(make_config: MakeConfig) -> None:
    """κ = 0.5 and c = 1 from κ = 2 and c = 0, without noise."""
    stages = [{"name": "adam", "steps": 150, "lr": 0.01}, {"name": "lbfgs", "steps": 300}]
    network, points = {"width": 16, "depth": 2}, {"interior": 200, "conditions": 40}
    run = train(make_config({"name": "decay"}, optimizers=stages, network=network, points=points))
    final = run.summary["final"]
    assert final["unknown.kappa"] == pytest.approx(0.5, rel=0.02)
    assert final["unknown.c"] == pytest.approx(1.0, rel=0.02)


def test_the_exact_solution_with_the_true_values_satisfies_the_equations() -> None:
    points = torch.rand(50, 2, dtype=torch.float64)
    problem = Decay(kappa=0.3, speed=-2.0)
    law = residuals(problem, problem.equations, "the equations", dtype=torch.float64)
    assert float(exact_residuals(law, points)[0].abs().max()) < 1e-12


@given(st.floats(1e-3, 1e3), st.floats(-5, 5))
def test_the_residual_is_that_of_the_equations_with_their_values(kappa: float, c: float) -> None:
    """With the values in place of the unknowns the problem is an ordinary one."""
    ordinary = Decay()
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    points = torch.rand(20, 2, dtype=torch.float64)
    law = residuals(ordinary, ordinary.equations, "the equations")
    values = {"kappa": torch.tensor(kappa), "c": torch.tensor(c)}
    found = law(module.double(), points, values)
    u = residuals(ordinary, lambda q: {"t": q.u_t, "x": q.u_x, "xx": q.u_xx}, "the derivatives")
    u_t, u_x, u_xx = u(module, points, values)
    expected = (u_t + c * u_x - kappa * u_xx)[None]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)  # values are float32


def test_their_gradient_is_that_of_the_loss(make_config: MakeConfig) -> None:
    made = config(make_config)
    made = evolve(made, run=evolve(made.run, precision="float64"))
    module, objective, _ = prepare(made)
    points = draw_points(
        made.problem, made.points, made.run.seed, torch.zeros((), dtype=torch.float64)
    )
    weights = torch.ones(1, len(points.interior), dtype=torch.float64)
    evaluation = objective.evaluate(objective.parameters, points, weights)
    gradient = dict(zip(objective.parameter_names, evaluation.gradient, strict=True))
    for name in ("unknown_kappa", "unknown_c"):
        parameter = module.get_parameter(name)
        losses = []
        for step in (1e-5, -1e-5):
            parameter.data += step
            evaluation = objective.evaluate(objective.parameters, points, weights)
            losses.append(float(evaluation.loss))
            parameter.data -= step
        assert float(gradient[name]) == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6)


def test_they_begin_at_their_start_and_are_recorded_at_each_step(make_config: MakeConfig) -> None:
    made = config(make_config)
    module, _, _ = prepare(made)
    start = unknown_values(made.problem, dict(module.named_parameters()))
    assert {name: round(float(value.detach()), 6) for name, value in start.items()} == {
        "kappa": 2,
        "c": 0,
    }
    metrics = train(made).metrics()
    steps, values = metrics["unknown.kappa"]
    assert list(steps) == [1, 2, 3, 4, 5]
    assert len(set(values)) == 5
    assert (values > 0).all()
    np.testing.assert_allclose(metrics["unknown.kappa.error"][1], abs(values - 0.5) / 0.5)


@pytest.mark.parametrize("how", ["traced", "in chunks"])
def test_it_is_the_same_gradient(how: str, make_config: MakeConfig) -> None:
    made = config(make_config)
    module, objective, _ = prepare(made)
    points = draw_points(made.problem, made.points, made.run.seed, torch.zeros(()))
    weights = torch.ones(1, len(points.interior))
    other = Objective(made.problem, module, made.weighting, {}, 20 if how == "in chunks" else 0)
    if how == "traced":  # as compiling sees it
        other.compiled(traced)
    one, same = (o.evaluate(o.parameters, points, weights).gradient for o in (objective, other))
    torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-5)


def test_killed_and_continued_is_bitwise_the_same(
    make_config: MakeConfig,
    train_with_crashes: Callable[..., None],
    assert_same_runs: Callable[..., None],
    tmp_path: Path,
) -> None:
    whole, broken = (config(make_config).in_directory(tmp_path / name) for name in ("a", "b"))
    train(whole)
    train_with_crashes(broken, 2, 3)
    assert_same_runs(tmp_path / "a", tmp_path / "b")


def test_a_run_ends_with_what_it_found(make_config: MakeConfig, tmp_path: Path) -> None:
    file = tmp_path / "decay.toml"
    file.write_text(config(make_config).toml(), encoding="utf-8")
    result = CliRunner().invoke(commands, ["run", str(file)])
    assert result.exit_code == 0, result.output
    final = open_run(tmp_path / "run").summary["final"]
    kappa, off = final["unknown.kappa"], 100 * final["unknown.kappa.error"]
    assert f"\nkappa: {kappa:.5g} ({off:.2g} % off)\n" in result.output


def test_their_course_is_drawn(make_config: MakeConfig) -> None:
    run = train(config(make_config))
    *values, errors = unknown_curves(Records(run.path / "metrics.jsonl"))
    assert [plot.quantities for plot in values] == [{"unknown.c": "c"}, {"unknown.kappa": "kappa"}]
    assert errors.quantities == {"unknown.c.error": "c", "unknown.kappa.error": "kappa"}
    assert [plot.log for plot in (*values, errors)] == [False, False, True]
    assert (run.path / "figures" / "unknown-kappa.png").exists()


@pytest.mark.parametrize(
    ("start", "positive"), [(math.nan, False), (math.inf, True), (0.0, True), (-1.0, True)]
)
def test_a_start_that_cannot_be(start: float, positive: bool) -> None:
    with pytest.raises(PinnError, match=r"Unknown\(start=.*expected a finite number"):
        Unknown(start=start, positive=positive)


def test_a_name_that_is_taken() -> None:
    @frozen
    class Taken(Decay):
        def unknowns(self) -> Mapping[str, Unknown]:
            return {"u": Unknown(1.0)}

    with pytest.raises(PinnError, match="'u' is the name of two of them"):
        residuals(Taken(), Taken().equations, "the equations")


def test_an_unknown_that_does_not_exist() -> None:
    @frozen
    class Misspelt(Decay):
        def equations(self, q: Any) -> dict[str, Any]:
            return {"decay": q.u_t - q.kapa * q.u_xx}

    with pytest.raises(PinnError, match=r"ask for 'kapa' \(did you mean 'kappa'"):
        residuals(Misspelt(), Misspelt().equations, "the equations")


# the data


@pytest.mark.parametrize("columns", ["x t u", "x t u u_x", "x t u_x"])
def test_the_loss_of_measurements_is_their_mean_square(
    columns: str, make_config: MakeConfig
) -> None:
    made = config(make_config, columns=columns)
    module, objective, _ = prepare(made)
    points = draw_points(made.problem, made.points, made.run.seed, torch.zeros(()))
    x, t, *values = points.conditions["data"].T
    places = torch.stack([x, t], 1).requires_grad_()
    u = module(places)[:, 0]
    (slopes,) = torch.autograd.grad(u.sum(), places)
    found = {"u": u.detach(), "u_x": slopes[:, 0]}
    names = columns.split()[2:]
    assert len(x) == 150
    expected = sum(((found[n] - v) ** 2).mean() for n, v in zip(names, values, strict=True))
    weights = torch.ones(1, len(points.interior))
    terms = objective.evaluate(objective.parameters, points, weights).terms
    assert float(terms[objective.names.index("data")]) == pytest.approx(float(expected), rel=1e-5)


def test_measurements_have_a_factor_but_no_count_of_points(make_config: MakeConfig) -> None:
    made = make_config(
        {"name": "decay"},
        points={"conditions": {"start": 7}},
        weighting={"factors": {"data": 10.0}},
    )
    points = draw_points(made.problem, made.points, made.run.seed, torch.zeros(()))
    assert {name: len(p) for name, p in points.conditions.items()} == {"start": 7, "data": 150}
    module, objective, _ = prepare(made)
    plain = Objective(made.problem, module, made.weighting, {})
    weights = torch.ones(1, len(points.interior))
    terms, ones = (o.evaluate(o.parameters, points, weights).terms[-1] for o in (objective, plain))
    torch.testing.assert_close(terms, 10 * ones)
    with pytest.raises(ConfigError, match=r"\[points.conditions\] data: no such condition"):
        make_config({"name": "decay"}, points={"conditions": {"start": 7, "data": 7}})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("x t", "'data' have no values"),
        ("x w u", "at w, x; the coordinates are t, x"),
        ("x t u short", "needs as many numbers, at least one; found x 150, t 150, u 150, short 9"),
        ("x t nan", "nan has numbers that are not finite"),
        ("far t u", "is outside of the domain"),
    ],
)
def test_measurements_that_cannot_be(columns: str, message: str, make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        config(make_config, columns=columns)


def test_measurements_of_nothing() -> None:
    empty = Measurements("data", at={"x": [], "t": []}, values={"u": []})
    with pytest.raises(PinnError, match="at least one; found x 0, t 0, u 0"):
        empty.table(Decay().domain)
