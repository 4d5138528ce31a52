"""An analyzer observes and no more."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pinn.core.records import Records
from pinn.core.view import View
from pinn.engine.training.trainer import Trainer
from pinn.testing.analyzers.runs import observed, run_sections, trained_run, unobserved
from pinn.testing.probes.devices import META, check_device
from pinn.testing.probes.differences import first_difference
from pinn.testing.probes.randomness import global_generators_untouched
from pinn.testing.small_runs import small_run, trains_everywhere
from pinn.testing.trial import Trial

OWN_STREAM = "draw from view.generator(self.name), which is a stream of its own at every step"


def _all_it_sees(view: View) -> dict[str, Any]:
    """What an analyzer could change, by the name it has for it."""
    module, optimizer = view.module, view.optimizer
    return deepcopy(
        {
            "the parameters": dict(module.state_dict()),
            "the .grad of parameters": {n: p.grad for n, p in module.named_parameters()},
            "what is trained": {n: p.requires_grad for n, p in module.named_parameters()},
            "the module's mode": module.training,
            "hooks of the module": sum(len(m._forward_hooks) for m in module.modules()),
            "the optimizer": optimizer.state_dict(),
            "view.points": {"interior": view.points.interior, **view.points.conditions},
            "view.weights": view.weights,
            "view.memories": dict(view.memories),
            "view.residuals": view.residuals,
            "view.records": view.records.rows,
        }
    )


ADVICE = {
    "the .grad of parameters": "it calls backward(); use torch.autograd.grad(loss, parameters)",
    "the parameters": "compute with copies, parameter.detach().clone(), and never step an optimizer",
    "the optimizer": "never step it, nor change its state",
}


def it_changes_nothing_that_it_sees(trial: Trial) -> None:
    with trained_run(trial) as trainer:
        view = trainer.view()
        view.module.train()  # in case that the run before has left it in another mode
        before = _all_it_sees(view)
        with global_generators_untouched("measure", OWN_STREAM):
            trial.part.measure(view)
        after = _all_it_sees(view)
        for what in before:
            place = first_difference(before[what], after[what])
            assert place is None, (
                f"measure changes {what} ({place or 'itself'}): an analyzer only looks; "
                f"{ADVICE.get(what, 'work on a copy, tensor.clone()')}"
            )
        assert torch.equal(view.residuals, trainer.view().residuals), (
            "measure changes what the network returns: leave the module as it is"
        )


def its_measurements_depend_on_the_view_alone(trial: Trial) -> None:
    with trained_run(trial) as trainer:
        first = _recorded(trainer, trial.part)
        for part in (trial.part, trial.fresh()):
            place = first_difference(first, _recorded(trainer, part))
            assert place is None, (
                f"measured again at the same step, {place} is different: "
                "it keeps something from call to call, or draws random numbers; a memory belongs "
                f"into start and follow, and {OWN_STREAM}"
            )


def _recorded(trainer: Trainer, part: Any) -> dict[str, Any]:
    """What it measures now, as it would be recorded."""
    records = Records(Path("never-written"))
    records.add(0, part.measure(trainer.view()))
    return records.rows[0]


def its_memory_is_handed_back_and_forth(trial: Trial) -> None:
    part = trial.part
    points, residuals = torch.rand(7, 2), torch.randn(2, 7)
    memory = part.start(points)
    if memory is None:
        return
    assert isinstance(memory, Tensor) and memory.dtype == points.dtype, (
        f"start returns {getattr(memory, 'dtype', type(memory).__name__)} for points of "
        f"{points.dtype}: return a tensor made of them, as in torch.zeros_like(points[:, 0])"
    )
    given = {"memory": memory.clone(), "residuals": residuals.clone()}
    with global_generators_untouched("follow", "it must depend on memory and residuals alone"):
        after = part.follow(*given.values())
    assert torch.equal(given["residuals"], residuals), (
        "follow writes into the residuals, which training uses: work on a copy, residuals.abs()"
    )
    assert isinstance(after, Tensor) and after.dtype == memory.dtype, (
        f"follow returns {after!r} for a memory of {memory.dtype}: return the new memory, in the same "
        "precision"
    )
    # The first step may tell how many equations there are.
    again = part.follow(after.clone(), residuals.clone())
    assert again.shape == after.shape, (
        f"follow returns a memory of shape {tuple(again.shape)} for one of {tuple(after.shape)}: it "
        "must not grow from step to step"
    )
    assert torch.equal(after, trial.fresh().follow(memory.clone(), residuals)), (
        "follow returns another memory from the same one: it keeps something from call to call"
    )
    mend = (
        "make tensors of what is handed in: torch.zeros_like(points[:, 0]), residuals.new_ones(…)"
    )
    check_device("start", mend, lambda: part.start(points.to(META)))
    check_device("follow", mend, lambda: part.follow(memory.to(META), residuals.to(META)))


def training_is_the_same_without_it(trial: Trial) -> None:
    without, beside = (
        {key: value for key, value in run.state.items() if key != "memories"}
        for run in (unobserved(trial), observed(trial))
    )
    place = first_difference(without, beside)
    assert place is None, (
        f"training with it differs from training without it, first at {place} of the checkpoint: an "
        "analyzer only looks; compute with copies, and never change what start, follow and measure "
        "are given"
    )


def killed_and_continued_it_records_the_same(trial: Trial) -> None:
    straight, continued = observed(trial), small_run(trial, (1, 3, 5), **run_sections(trial))
    for what in ("state", "rows"):
        place = first_difference(getattr(straight, what), getattr(continued, what))
        assert place is None, (
            "in a run that is killed and continued it measures something else, first at "
            f"{place}: it keeps something from step to step; a memory belongs into start and follow, "
            "which are saved with the run"
        )


def it_works_in_every_precision_and_on_every_device(trial: Trial) -> None:
    trains_everywhere(trial, **run_sections(trial))
