"""`check_analyzer` finds what is wrong with an analyzer, and says what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
from attrs import frozen
from torch import Tensor

from pinn.core import Analyzer, Curves, Drawing, Records, Schedule, Span, View, offered, option
from pinn.testing import check_analyzer


@frozen
class Largest(Analyzer):
    """The largest residual, and when it was first below `bound`."""

    name = "largest"
    shows = "largest"
    events = ("small",)
    bound: float = option(1e6, "what is small")

    def measure(self, view: View) -> Mapping[str, Any]:
        largest = float(view.residuals.abs().max())
        before = view.records.last("small")
        if before is None and largest < self.bound:
            before = view.step
        return {"largest": largest} | ({} if before is None else {"small": before})

    def figures(self, records: Records) -> Iterable[Any]:
        yield Curves(
            name="largest",
            title="The largest residual",
            quantities={"largest": "max |r|"},
            ylabel="|r|",
        )

    def spans(self, records: Records) -> Iterable[Span]:
        if records.last("small") is not None:
            yield Span("small", records.last("small"), records.rows[-1]["step"])


@frozen
class Following(Analyzer):
    """The sum of |r| over all steps."""

    name = "following"

    def start(self, points: Tensor) -> Tensor:
        return torch.zeros_like(points[:, 0])

    def follow(self, memory: Tensor, residuals: Tensor) -> Tensor:
        return memory + residuals.abs().sum(0)

    def measure(self, view: View) -> Mapping[str, Any]:
        return {"followed": float(view.memories[self.name].mean())}


@frozen
class Halved(Analyzer):
    """Half of what the other found."""

    name = "halved"
    needs = ("largest",)

    def measure(self, view: View) -> Mapping[str, Any]:
        return {"halved": view.records.last("largest") / 2}


def wrong(base: type[Any] = Largest, **members: Any) -> Any:
    return frozen(type("Wrong", (base,), {"__doc__": "Wrong.", **members}))


def measuring(what: Any) -> Any:
    """An analyzer that does this, and then measures as it should."""

    def measure(self: Any, view: View) -> Mapping[str, Any]:
        what(view)
        return Largest.measure(self, view)

    return wrong(measure=measure)


def fails(cls: Any, *messages: str) -> None:
    with pytest.raises(AssertionError, match="(?s)^analyzer '.*': .*" + ".*".join(messages)):
        check_analyzer(cls)


def test_sound_analyzers_pass() -> None:
    check_analyzer(Largest)
    check_analyzer(Following)


def test_what_it_needs_is_put_before_it() -> None:
    with offered(Largest):
        check_analyzer(Halved)
    fails(Halved, "it needs 'largest'.*, which is no other analyzer", "pinn.core.offered")


# it observes and no more


def test_a_backward_pass() -> None:
    def backward(view: View) -> None:
        view.module(view.points.interior).sum().backward()

    fails(
        measuring(backward),
        r"measure changes the .grad of parameters \(.*\): an analyzer only looks",
        r"calls backward\(\); use torch.autograd.grad",
    )


def test_a_step_of_the_optimizer() -> None:
    def step(view: View) -> None:
        for parameter in view.module.parameters():
            parameter.data.mul_(0.999)

    fails(measuring(step), "measure changes the parameters", "never step an optimizer")


def test_weights_that_are_overwritten() -> None:
    fails(measuring(lambda view: view.weights.mul_(2)), "measure changes view.weights", "clone")


def test_the_global_generator() -> None:
    fails(
        measuring(lambda view: torch.randperm(3)),
        "measure draws from torch's global generator",
        r"view.generator\(self.name\)",
    )


def test_a_generator_without_seed() -> None:
    def measure(self: Any, view: View) -> Mapping[str, Any]:
        generator = torch.Generator()
        generator.seed()
        return {"largest": float(torch.rand(1, generator=generator))}

    fails(wrong(measure=measure, events=()), r"measured again .*\['largest'\] is different")


def test_a_memory_of_its_own() -> None:
    kept: list[float] = []

    def measure(self: Any, view: View) -> Mapping[str, Any]:
        kept.append(float(view.residuals.abs().max()))
        return {"largest": max(kept) + len(kept)}

    fails(wrong(measure=measure, events=()), "a memory belongs into start and follow")


def test_a_measurement_that_fails_early() -> None:
    def early(view: View) -> None:
        if view.step < 4:
            raise ValueError("too early")

    fails(measuring(early), "measure fails at one of the first steps .*too early")


def test_a_module_that_is_left_in_another_mode() -> None:
    fails(measuring(lambda view: view.module.eval()), "measure changes the module's mode")


def test_residuals_that_follow_overwrites() -> None:
    def follow(self: Any, memory: Tensor, residuals: Tensor) -> Tensor:
        return memory + residuals.abs_().sum(0)

    fails(wrong(Following, follow=follow), "follow writes into the residuals, which training uses")


def test_a_memory_that_learns_the_number_of_equations_at_the_first_step() -> None:
    start: Any = lambda self, points: points.new_empty(0, len(points))  # noqa: E731
    follow: Any = lambda self, memory, residuals: residuals.clone()  # noqa: E731
    check_analyzer(wrong(Following, start=start, follow=follow))


def test_a_memory_that_grows_from_step_to_step() -> None:
    def follow(self: Any, memory: Tensor, residuals: Tensor) -> Tensor:
        return torch.cat([memory, residuals.abs().sum(0)])

    fails(wrong(Following, follow=follow), r"shape \(21,\) for one of \(14,\): it must not grow")


def test_a_memory_on_a_fixed_device() -> None:
    start: Any = lambda self, points: torch.zeros(len(points))  # noqa: E731
    fails(
        wrong(Following, start=start),
        "start: the result is on cpu, wherever the points are: it would fail",
    )


# what it records


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"largest": math.nan}, "all that it records, largest, is null, which stands for NaN"),
        ({}, "it recorded nothing in a run of 6 steps"),
        ({"my largest": 1.0}, "'my largest' cannot name a quantity: use letters"),
        (
            {"loss": 1.0, "largest": 2.0},
            "it records 'loss', which .* records already: choose another",
        ),
        ({"largest": torch.ones(2)}, "'largest' is a torch tensor, .* return float"),
        ({"largest": {"a": 1}}, "'largest' is .*: return a number, an array of numbers or a word"),
        ({"other": 1.0}, "shows = 'largest' is not among what it recorded .* it recorded other"),
        ({"largest": 1.0, "small": 99}, "the event 'small' is 99: record the step at which"),
        ([1.0], "measure returns list: return {quantity: number}"),
    ],
)
def test_records(found: Any, message: str) -> None:
    plain: Any = {"figures": Analyzer.figures, "spans": Analyzer.spans}
    fails(wrong(measure=lambda self, view: found, **plain), message)


def test_declarations() -> None:
    fails(wrong(events=("small step",)), "'small step' cannot name a quantity")
    fails(wrong(events=("small", "small")), "events is .*: write a tuple of different names")
    fails(
        wrong(schedule=Schedule(at=(0,))), "schedule is .*: steps are counted from 1|counted from 1"
    )


# what it draws


def figure(**changes: Any) -> Any:
    curves = {"name": "largest", "title": "What is seen", "ylabel": "|r|"}
    quantities = {"largest": "max |r|"}
    plot = Curves(**{**curves, "quantities": quantities, **changes})
    return wrong(figures=lambda self, records: [plot])


def test_figures() -> None:
    fails(figure(name="The largest"), "the figure 'The largest' needs a name for its files")
    fails(figure(title="It falls."), "titled 'It falls.': say what is seen, without a full stop")
    fails(figure(ylabel=""), "the figure 'largest' has an empty ylabel or label")
    fails(
        figure(quantities={"largets": "max |r|"}),
        "the figure 'largest' shows largets, of which nothing was recorded; recorded are",
    )


def test_a_drawing_that_takes_records_for_granted() -> None:
    def figures(self: Any, records: Records) -> Iterable[Drawing]:
        best = min(records.series("largest")[1])
        yield Drawing(name="largest", title=f"Down to {best:.2g}", draw=lambda figure: None)

    fails(wrong(figures=figures), "its figures cannot be drawn from no records .ValueError")


def test_a_drawing_that_stays_empty() -> None:
    drawing = Drawing(name="largest", title="Nothing", draw=lambda figure: None)
    fails(wrong(figures=lambda self, records: [drawing]), "the figure 'largest' stays empty")


def test_spans_that_overlap() -> None:
    spans = [Span("first", 0, 4), Span("second", 2, 6)]
    fails(wrong(spans=lambda self, records: spans), r"begin and end at \[0, 4, 2, 6\]")
