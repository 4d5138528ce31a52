"""What analyzers conclude: of runs that were made to fail in one way each, and of runs that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, strategies as st

from pinn.analyzers.balance import Balance
from pinn.analyzers.compression import Compression
from pinn.analyzers.error import Error
from pinn.analyzers.phases import PhasesOfLearning
from pinn.analyzers.recent import fall, lately
from pinn.analyzers.rounding import Rounding
from pinn.analyzers.symmetry import Symmetry
from pinn.core import Analyzer, Box, Conclusion, Problem, Records
from pinn.engine import Config, train

MakeConfig = Callable[..., Config]
NOWHERE = Path("never-written")
STEPS = range(100, 10_001, 100)


def recorded(**quantities: Any) -> Records:
    """Records of every hundredth step; a quantity is a number, or a function of the step."""
    records = Records(NOWHERE)
    for step in STEPS:
        row = {n.replace("__", "."): q(step) if callable(q) else q for n, q in quantities.items()}
        records.rows.append({"step": step, **row})
    return records


def concluded(analyzer: Analyzer, records: Records) -> list[Conclusion]:
    return list(analyzer.conclusions(records))


def of_run(make_config: MakeConfig, analyzer: Mapping[str, Any], **tables: Any) -> list[Conclusion]:
    """What an analyzer concludes from a small run that is trained."""
    config = make_config(
        tables.pop("problem", {"name": "helmholtz", "a1": 1, "a2": 1}),
        run={"record": 1},
        optimizers=[
            {"name": "adam", "steps": tables.pop("steps", 40), "lr": tables.pop("lr", 1e-3)}
        ],
        analyzers=[{"every": 2, "early_every": 0, **analyzer}],
        **tables,
    )
    records = Records(train(config).path / "metrics.jsonl")
    return concluded(config.observers[0].analyzer, records)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_lately_is_of_the_last_half_decade(before: float, after: float) -> None:
    records = recorded(level=lambda step: before if step < 10_000 / 10**0.5 else after)
    assert lately(records, "level") == pytest.approx(after)
    assert lately(records, "absent") is None
    assert fall(records, "level") == pytest.approx(1)


def test_a_fall_compares_the_halves_of_the_last_half_decade() -> None:
    assert fall(recorded(level=lambda step: 1 / step), "level") == pytest.approx(1.69, rel=0.05)
    assert fall(recorded(level=0.0), "level") is None


def test_nothing_is_concluded_from_nothing() -> None:
    for analyzer in (Balance(), Error()):
        assert concluded(analyzer, Records(NOWHERE)) == []


def test_a_condition_that_drowns_the_equation_is_named(make_config: MakeConfig) -> None:
    found = of_run(
        make_config, {"name": "balance"}, weighting={"name": "vanilla", "factors": {"walls": 1e8}}
    )
    assert "The gradient of a condition is" in found[0].finding
    assert "which are hardly learnt" in found[0].finding
    assert "[weighting.factors]" in found[0].advice


def test_a_condition_that_counts_for_nothing_is_named(make_config: MakeConfig) -> None:
    found = of_run(
        make_config, {"name": "balance"}, weighting={"name": "vanilla", "factors": {"walls": 1e-8}}
    )
    assert "The gradient of the equations is" in found[0].finding


def test_balanced_terms_are_no_matter(make_config: MakeConfig) -> None:
    factors = {"walls": 10.0}
    found = of_run(
        make_config, {"name": "balance"}, weighting={"name": "vanilla", "factors": factors}
    )
    assert found == []


def test_terms_that_hold_each_other_are_named_once_the_loss_stands_still() -> None:
    opposed = {"balance": 1.0, "gradient_cosine__heat__walls": -0.97}
    (still,) = concluded(Balance(), recorded(**opposed, loss__unweighted=0.01))
    assert "heat and walls undo each other's work (median cosine -0.97)" in still.finding
    falling = recorded(**opposed, loss__unweighted=lambda step: 1 / step)
    assert concluded(Balance(), falling) == []


def test_a_small_loss_with_a_large_error_is_another_solution() -> None:
    fallen = {"loss__unweighted": lambda step: 1 / step**2}
    (wrong,) = concluded(Error(), recorded(rel_l2__u=0.99, **fallen))
    assert "is another function" in wrong.finding
    assert wrong.advice
    (right,) = concluded(Error(), recorded(rel_l2__u=0.01, **fallen))
    assert (right.finding, right.advice) == ("The relative L2 error is 0.01.", "")
    (beyond,) = concluded(Error(), recorded(rel_l2__u=1e9, **fallen))
    assert "diverged" in beyond.finding


def test_the_worst_field_is_judged() -> None:
    fallen = {"loss__unweighted": lambda step: 1e6 / step**2}
    (wrong,) = concluded(Error(), recorded(rel_l2__u=0.02, rel_l2__v=0.99, **fallen))
    assert "the error of v is 0.99" in wrong.finding
    (right,) = concluded(Error(), recorded(rel_l2__u=0.02, rel_l2__v=0.01, **fallen))
    assert right.finding == "The relative L2 error is 0.02 of u, 0.01 of v."


def test_the_condition_that_is_not_met_is_named() -> None:
    left = {"rel_l2__u": 0.99, "loss__unweighted": 0.49, "misfit__initial": 0.69}
    (found,) = concluded(Error(), recorded(**left, misfit__walls=0.1))
    assert "'initial' is not met: its misfit is 0.69" in found.finding
    assert "97 % of the loss" in found.finding
    assert "factors = {initial = …}" in found.advice


@pytest.mark.parametrize(("rate", "named"), [(0.2, "it was 0.2 at first"), (1e-3, "more steps")])
def test_where_little_was_learnt_it_is_said(rate: float, named: str) -> None:
    stuck = {"rel_l2__u": 0.99, "loss__unweighted": 1.0, "learning_rate": rate}
    (found,) = concluded(Error(), recorded(**stuck))
    assert found.finding == (
        "The loss has not fallen, and the error is 0.99 of the solution: little was learnt."
    )
    assert named in found.advice


def test_a_learning_rate_that_is_far_too_large_is_named(make_config: MakeConfig) -> None:
    (found,) = of_run(make_config, {"name": "error", "every": 20}, steps=200, lr=0.5)
    assert "little was learnt" in found.finding
    assert "a smaller learning rate: it was 0.5 at first" in found.advice


def test_points_that_resolve_nothing_end_at_another_solution(make_config: MakeConfig) -> None:
    """Four points for six waves: every network that is right there will do."""
    found = of_run(
        make_config,
        {"name": "error", "every": 200},
        problem={"name": "helmholtz", "a1": 3, "a2": 3, "hard": True},
        network={"width": 16, "depth": 2},
        points={"interior": 4},
        steps=400,
        lr=2e-2,
    )
    assert "is another function" in found[0].finding


def test_a_saturated_layer_is_told(make_config: MakeConfig) -> None:
    """A rate so large that the first steps throw every activation to its ends."""
    found = of_run(make_config, {"name": "compression"}, steps=12, lr=30.0)
    assert "the layer is saturated, and its gradients vanish" in found[0].finding


def test_layers_that_pass_gradients_on_are_no_matter(make_config: MakeConfig) -> None:
    assert of_run(make_config, {"name": "compression"}, steps=12) == []


def phases_at(total: int | None) -> Records:
    """A run whose fitting ends at step 1,000, and whose total diffusion begins at `total`."""

    def level(step: int) -> float:
        wobble = 1 + 0.1 * (step // 100 % 3)
        return wobble * (30 if step < 1000 else 5 if total is not None and step >= total else 0.02)

    records = Records(NOWHERE)
    for step in range(20, 60_001, 20):
        records.rows.append(
            {"step": step, "snr": level(step), "gradient_mean_norm": level(step)}
            | {"gradient_std_norm": 1.0}
        )
    return records


def test_a_run_that_is_stuck_in_diffusion_is_told_what_helps() -> None:
    (stuck,) = concluded(PhasesOfLearning(), phases_at(None))
    assert "stuck in diffusion" in stuck.finding
    assert 'weighting.name = "rba"' in stuck.advice


def test_a_run_whose_loss_falls_is_not_stuck_whatever_its_gradients_do() -> None:
    records = phases_at(None)
    records.rows = [{**row, "loss.unweighted": row["step"] ** -4.0} for row in records.rows]
    (found,) = concluded(PhasesOfLearning(), records)
    assert "does not wait for gradients to agree" in found.finding
    assert not found.advice
    (begun,) = concluded(PhasesOfLearning(), phases_at(10_000))
    assert begun.finding.startswith("Total diffusion began at step 10,")
    assert begun.advice == ""


def test_what_changes_in_the_layers_at_the_transition_is_told() -> None:
    records = recorded(
        saturation__layer1=lambda step: 10 if step < 3000 else 30,
        saturation__layer2=lambda step: 20 if step < 3000 else 60,
        weight_norm__0=5.0,
        total_diffusion=lambda step: 3000,
    )
    (found,) = concluded(Compression(), records)
    assert found.finding.startswith(
        "When total diffusion began, saturation went from 15 to 45 %, the norm of the weights from 5"
    )
    assert found.advice == ""
    assert concluded(Compression(), recorded(saturation__layer1=10.0)) == []


def test_points_that_are_learnt_by_heart_are_told(make_config: MakeConfig) -> None:
    """Four points, and far more parameters."""
    found, *_ = of_run(
        make_config,
        {"name": "fresh", "points": 256, "every": 20},
        steps=400,
        lr=2e-2,
        problem={"name": "helmholtz", "a1": 3, "a2": 3, "hard": True},
        network={"width": 16, "depth": 2},
        points={"interior": 4},
    )
    assert "the points are too few" in found.finding


def test_enough_points_are_no_matter(make_config: MakeConfig) -> None:
    assert of_run(make_config, {"name": "fresh", "points": 256}, steps=20) == []


@frozen
class Cancelling(Problem):
    """u² = 1, written so that single precision knows u² to a hundredth only."""

    name = "cancelling"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"one": (q.u**2 + 1e5) - 100_001}


def test_the_floor_of_single_precision_is_told(
    make_config: MakeConfig, offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(Cancelling)
    tables = {"problem": {"name": "cancelling"}, "steps": 300, "lr": 1e-2}
    (found,) = of_run(make_config, {"name": "rounding", "every": 10}, **tables)
    assert found.advice == '[run] precision = "float64"'
    records = Records(tmp_path / "run" / "metrics.jsonl")
    records.rows = [row for row in records.rows if row["step"] <= 40]  # before the floor
    assert concluded(Rounding(), records) == []


@pytest.mark.parametrize("bias", ["zero", "uniform"])
def test_an_odd_network_for_an_even_solution_is_told(make_config: MakeConfig, bias: str) -> None:
    tables = {"network": {"bias": bias}, "steps": 8, "lr": 1e-9}
    found = of_run(make_config, {"name": "symmetry"}, **tables)
    if bias == "uniform":
        assert found == []
        return
    assert (
        "even under the reflection of all coordinates, and the network is odd" in found[0].finding
    )
    assert 'bias = "uniform"' in found[0].advice


@pytest.mark.parametrize(
    ("true", "own", "said"),
    [
        (1.0, 1 - 1e-8, ["odd in x", "even part is 0.0001", "([network] odd, even)"]),
        (0.0, 4e-6, ["even in x", "odd part is 0.002", "`pinn check`"]),
        (1.0, 1 - 1e-15, None),  # exactly, but for rounding
        (1e-9, 4e-6, None),  # of no parity
        (1.0, 0.5, None),  # not learnt yet
    ],
)
def test_a_network_of_nearly_the_solutions_parity_is_told(
    true: float, own: float, said: list[str] | None
) -> None:
    names = {"odd_share.x": own, "odd_share.reference.x": true}
    records = recorded(
        **{name: lambda step, value=value: value for name, value in names.items()},
        **{name.replace(".x", ".all"): lambda step: 1e-3 for name in names},
    )
    found = concluded(Symmetry(), records)
    assert len(found) == (said is not None)
    for text in said or []:
        assert text in f"{found[0].finding} {found[0].advice}"


def test_numbers_that_are_missing_are_left_out() -> None:
    records = recorded(level=lambda step: None if step % 200 else 2.0)
    assert lately(records, "level") == 2.0
    assert np.isfinite(lately(records, "level") or np.nan)
