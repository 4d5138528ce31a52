"""What a step is called with: fresh weights first, then the same; nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from attrs import frozen

from pinn.core import Closure, Optimizer
from pinn.core.errors import PinnError
from pinn.engine import Config, train
from pinn.engine.training.objective import Objective

HELMHOLTZ = {"name": "helmholtz", "a1": 1, "a2": 1}
Seen = list[dict[str, Any]]


class Asking(torch.optim.Optimizer):
    """Asks for everything, twice, and moves along the gradient."""

    seen: Seen

    def step(self, closure: Closure) -> torch.Tensor:  # type: ignore[override]
        loss = closure()
        residuals, jacobian = zip(*closure.jacobian(7), strict=True)
        gradient = torch.cat([p.grad.flatten() for p in self.param_groups[0]["params"]])
        again = closure()
        self.seen.append(
            {
                "loss": float(loss),
                "again": float(again),
                "squares": float((closure.residuals() ** 2).sum()),
                "gradient": gradient,
                "product": 2 * torch.cat(jacobian).T @ torch.cat(residuals),
            }
        )
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter -= 1e-4 * parameter.grad
        return loss


@pytest.fixture
def asking(offer: Callable[..., None]) -> Seen:
    seen: Seen = []

    @frozen
    class Asker(Optimizer):
        """Asks."""

        name = "asking"

        def build(self, parameters: Any) -> torch.optim.Optimizer:
            made = Asking(parameters, {})
            made.seen = seen
            return made

    offer(Asker)
    return seen


@pytest.mark.parametrize("weighting", ["vanilla", "rba"])
def test_everything_is_of_the_weights_of_this_step(
    make_config: Callable[..., Config], asking: Seen, weighting: str
) -> None:
    """RBA moves the weights at the first call, and what follows sees them where they are then."""
    stages = [{"name": "asking", "steps": 4}]
    run = {"precision": "float64"}
    train(make_config(HELMHOLTZ, run=run, optimizers=stages, weighting={"name": weighting}))
    assert len(asking) == 4
    for step in asking:
        assert step["again"] == pytest.approx(step["loss"], rel=1e-14)
        assert step["squares"] == pytest.approx(step["loss"], rel=1e-12)
        torch.testing.assert_close(step["product"], step["gradient"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("weighting", "spared"), [("vanilla", True), ("rba", False)])
def test_a_step_that_begins_where_the_last_one_ended_asks_once(
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    weighting: str,
    spared: bool,
) -> None:
    """L-BFGS evaluates the loss where its line search ends; RBA has other weights by then."""
    counted = []
    evaluate = Objective.evaluate

    def counting(self: Objective, *arguments: Any) -> Any:
        counted.append(arguments)
        return evaluate(self, *arguments)

    monkeypatch.setattr(Objective, "evaluate", counting)
    config = make_config(
        HELMHOLTZ,
        run={"precision": "float64"},
        optimizers=[{"name": "lbfgs", "steps": 6}],
        weighting={"name": weighting},
        analyzers=[{"name": "search", "every": 1}],
    )
    run = train(config)
    searched = int(run.metrics()["search.evaluations"][1].sum())
    assert len(counted) == searched + (1 if spared else 6)


def test_new_points_are_evaluated_anew(make_config: Callable[..., Config], asking: Seen) -> None:
    stages = [{"name": "asking", "steps": 3}]
    run = {"precision": "float64"}
    kept = train(make_config(HELMHOLTZ, run=run, optimizers=stages))
    first = [step["loss"] for step in asking]
    asking.clear()
    other = {**run, "directory": f"{kept.path}-redrawn"}
    train(make_config(HELMHOLTZ, run=other, optimizers=stages, points={"redraw": 1}))
    assert asking[0]["loss"] == first[0]
    assert asking[1]["loss"] != first[1]
    assert asking[1]["squares"] == pytest.approx(asking[1]["loss"], rel=1e-12)


def test_a_step_that_asks_for_residuals_alone_is_told(
    make_config: Callable[..., Config], offer: Callable[..., None]
) -> None:
    class Silent(torch.optim.Optimizer):
        def step(self, closure: Closure) -> None:  # type: ignore[override]
            closure.residuals()

    @frozen
    class Part(Optimizer):
        """Never calls."""

        name = "silent"

        def build(self, parameters: Any) -> torch.optim.Optimizer:
            return Silent(parameters, {})

    offer(Part)
    with pytest.raises(PinnError, match="without calling the closure"):
        train(make_config(HELMHOLTZ, optimizers=[{"name": "silent", "steps": 1}]))
