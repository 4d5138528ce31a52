"""Parts of plugins that fail while a run is prepared or trained: each is named, with its line."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
import torch
from click.testing import CliRunner

from pinn.core import PinnError, TrainingError, discovery as registries
from pinn.core.blame import culprit, explained, suffix
from pinn.core.discovery import installed_plugins, load_plugins
from pinn.core.errors import Whence
from pinn.core.registry import Origin
from pinn.engine import Config, open_run, parse_config, train
from pinn.engine.cli import commands
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.objective import Objective
from pinn.engine.training.progress import Reporter

PARTS = '''
"""A plugin whose parts fail when `failing` says so."""

import torch
from attrs import field, frozen
from pinn.core import *

failing = {}  # what -> how many calls go well
error = ZeroDivisionError


def may_fail(what):
    if what in failing:
        failing[what] -= 1
        if failing[what] < 0:
            raise error(f"{what} by zero")


def converted(value):
    may_fail("converter")
    return value


@frozen
class Heat(Problem):
    """u_t = kappa u_xx"""

    name = "frail-heat"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    kappa: float = field(default=0.1, converter=converted)
    source: float = field(default=0.0)

    @source.validator
    def positive(self, attribute, value):
        may_fail("validator")

    def equations(self, q):
        may_fail("equations")
        return {"heat": q.u_t - self.kappa * q.u_xx}

    def conditions(self):
        may_fail("conditions")
        yield Condition("start", on="t=0", residual=lambda q: may_fail("condition") or q.u - q.x)

    def ansatz(self, q):
        may_fail("ansatz")
        return {"u": q.u}

    def solution(self, q):
        may_fail("solution")
        return {"u": q.x}


class Line(torch.nn.Linear):
    def forward(self, x):
        may_fail("forward")
        return super().forward(x)


@frozen
class Net(Network):
    """One layer."""

    name = "frail-net"

    def build(self, inputs, outputs, generator):
        may_fail("build")
        return Line(2, 1)


@frozen
class Random(Sampler):
    """Random points."""

    name = "frail-random"

    def draw(self, domain, count, generator):
        may_fail("draw")
        return generator.random((count, domain.dimension))


@frozen
class Still(Weighting):
    """Weights that stay."""

    name = "frail-still"

    def initial(self, count):
        may_fail("initial")
        return torch.ones(count)

    def update(self, weights, residuals):
        may_fail("update")
        return weights


class Noisy(torch.optim.SGD):
    def step(self, closure):
        may_fail("optimizer step")
        loss = super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(1e-3 * torch.randn(parameter.shape))
        return loss


@frozen
class Sgd(Optimizer):
    """Gradient descent with noise from the global generator."""

    name = "frail-sgd"

    def build(self, parameters):
        may_fail("optimizer build")
        return Noisy(parameters, lr=1e-2)

    def learning_rate(self, step, steps):
        may_fail("learning rate")
        return 1e-2


@frozen
class Watch(Analyzer):
    """Watches."""

    name = "frail-watch"
    shows = "watched"

    def measure(self, view):
        torch.rand(3)
        may_fail("measure")
        return {"watched": float(view.step)}

    def start(self, points):
        may_fail("start")
        return torch.zeros(1)

    def follow(self, memory, residuals):
        may_fail("follow")
        return memory

    def figures(self, records):
        may_fail("figures")
        return ()


class Reporter:
    def __getattr__(self, name):
        return lambda *_: None

    def step(self, step, loss, shown):
        may_fail("reporter")


@hookimpl
def pinn_problems():
    return [Heat]


@hookimpl
def pinn_networks():
    return [Net]


@hookimpl
def pinn_samplers():
    return [Random]


@hookimpl
def pinn_weightings():
    return [Still]


@hookimpl
def pinn_optimizers():
    return [Sgd]


@hookimpl
def pinn_analyzers():
    return [Watch]
'''
LINE = PARTS.splitlines().index('            raise error(f"{what} by zero")') + 1
PLACE = f"pinn_frail/parts.py:{LINE}"
ORIGIN = Origin("pinn-frail", "1.2", "frail")


@pytest.fixture
def frail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin above, as if it were installed."""
    package = tmp_path / "pinn_frail"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("pinn_frail", "pinn_frail.parts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    entry_point = EntryPoint("frail", "pinn_frail.parts", "pinn")
    found = load_plugins([*installed_plugins(), (entry_point, ORIGIN)])
    assert found.broken == ()
    monkeypatch.setattr(registries, "installed", lambda: found)
    yield importlib.import_module("pinn_frail.parts")
    for name in ("pinn_frail", "pinn_frail.parts"):
        sys.modules.pop(name, None)


def table(directory: Path, **sections: Any) -> dict[str, Any]:
    run = {"device": "cpu", "compile": "never", "checkpoint": 4, "record": 3}
    whole: dict[str, Any] = {
        "run": {**run, "directory": str(directory)},
        "problem": {"name": "frail-heat", "kappa": 0.2, "source": 0.5},
        "network": {"name": "frail-net"},
        "points": {"sampler": "frail-random", "interior": 16, "conditions": 4},
        "weighting": {"name": "frail-still"},
        "optimizers": [{"name": "frail-sgd", "steps": 12}],
        "analyzers": [{"name": "frail-watch", "every": 3, "early_every": 0}],
    }
    return whole | sections


def config(directory: Path, **sections: Any) -> Config:
    return parse_config(table(directory, **sections))


class Notes(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class Ended(Exception):
    """Stands in for a kill: nothing is saved."""


class Ending(Notes):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def step(self, step: int, loss: float, shown: Mapping[str, Any]) -> None:
        if step == self.at:
            raise Ended


# parts that fail


@pytest.mark.parametrize(
    ("what", "part"),
    [
        ("build", "network 'frail-net'"),
        ("draw", "sampler 'frail-random'"),
        ("initial", "weighting 'frail-still'"),
        ("optimizer build", "optimizer 'frail-sgd'"),
        ("start", "analyzer 'frail-watch'"),
    ],
)
def test_a_part_that_fails_while_the_run_is_prepared(
    frail: Any, tmp_path: Path, what: str, part: str
) -> None:
    frail.failing[what] = 0
    with pytest.raises(PinnError) as caught:
        train(config(tmp_path / "run"))
    assert not isinstance(caught.value, TrainingError)
    assert str(caught.value) == (
        f"{part} of pinn-frail 1.2 fails at {PLACE}: ZeroDivisionError: {what} by zero. "
        "PINN_TRACEBACK=1 shows the traceback"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("what", "calls", "part"),
    [
        ("equations", 17, "problem 'frail-heat'"),
        ("condition", 13, "problem 'frail-heat'"),
        ("ansatz", 25, "problem 'frail-heat'"),
        ("forward", 16, "network 'frail-net'"),
        ("update", 6, "weighting 'frail-still'"),
        ("optimizer step", 6, "optimizer 'frail-sgd'"),
        ("learning rate", 6, "optimizer 'frail-sgd'"),
        ("follow", 6, "analyzer 'frail-watch'"),
    ],
)
def test_a_part_that_fails_in_training_and_is_mended(
    frail: Any,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    what: str,
    calls: int,
    part: str,
) -> None:
    train(config(tmp_path / "uninterrupted"))
    broken = config(tmp_path / "run")
    frail.failing[what] = calls
    with pytest.raises(TrainingError) as caught:
        train(broken)
    done = read(newest_first(tmp_path / "run" / "checkpoints")[0])["step"]
    assert done == 4
    text = str(caught.value)
    assert text.startswith(f"{part} of pinn-frail 1.2 fails after ")
    assert f" steps at {PLACE}: ZeroDivisionError: {what} by zero. What was saved stays" in text
    assert 4 <= int(text.split(" fails after ")[1].split()[0]) < 8
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    frail.failing.clear()
    assert train(broken).complete
    assert_same_runs(tmp_path / "uninterrupted", tmp_path / "run")


def test_the_step_is_counted(frail: Any, tmp_path: Path) -> None:
    frail.failing["update"] = 0
    with pytest.raises(
        TrainingError, match=r"'frail-still' of pinn-frail 1\.2 fails in the first step at"
    ):
        train(config(tmp_path / "run"))
    frail.failing["update"] = 7
    with pytest.raises(TrainingError, match="fails after 7 steps at"):
        train(config(tmp_path / "run"))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("equations", "the equations of frail-heat fail: {cause}"),
        ("condition", "condition 'start' of frail-heat fail: {cause}"),
        ("ansatz", "frail-heat (pinn-frail 1.2), with network frail-net (pinn-frail 1.2), fails at a "),
        ("ansatz", "fails at a point: {cause}"),
        ("forward", "fails at a point: {cause}"),
    ],
)  # fmt: skip
def test_what_is_tried_before_training_says_the_line(
    frail: Any, tmp_path: Path, what: str, expected: str
) -> None:
    frail.failing[what] = 0
    with pytest.raises(PinnError) as caught:
        train(config(tmp_path / "run"))
    cause = f"ZeroDivisionError: {what} by zero ({PLACE}, pinn-frail 1.2)"
    assert expected.format(cause=cause) in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("what", "where_to"),
    [
        ("converter", "[problem]"),
        ("validator", "[problem] source"),
        ("conditions", "[problem] frail-heat: its conditions fail"),
    ],
)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, AssertionError])
def test_what_fails_while_the_configuration_is_read(
    frail: Any, tmp_path: Path, what: str, where_to: str, error: type[Exception]
) -> None:
    frail.failing[what] = 0
    frail.error = error
    with pytest.raises(PinnError) as caught:
        config(tmp_path / "run")
    shown = repr(f"{what} by zero") if error is KeyError else f"{what} by zero"
    assert f"{where_to}: {error.__name__}: {shown} ({PLACE}, pinn-frail 1.2)" in str(caught.value)


def test_what_a_validator_means_to_say_is_said_as_it_is(frail: Any, tmp_path: Path) -> None:
    frail.failing["validator"] = 0
    frail.error = ValueError
    with pytest.raises(PinnError, match=r"\[problem\] source: validator by zero$"):
        config(tmp_path / "run")


def test_the_validators_of_attrs_are_legible(tmp_path: Path) -> None:
    @attrs.frozen
    class Picky:
        word: str = attrs.field(validator=attrs.validators.in_(["a", "b"]))

    from pinn.core.options import Faults, refusal, structure

    with pytest.raises(Faults) as caught:
        structure({"word": "c"}, Picky)
    ((path, error),) = caught.value.faults
    message = refusal(error)
    assert path == "word"
    assert message is not None
    assert message.startswith("'word' must be in ['a', 'b']")
    assert "Attribute(" not in message


def test_a_reference_that_a_part_spoils_is_told_before_the_first_step(
    frail: Any, tmp_path: Path
) -> None:
    frail.failing["solution"] = 1
    with pytest.raises(
        PinnError, match=r"problem 'frail-heat' of pinn-frail 1\.2 fails at pinn_frai"
    ):
        train(config(tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoints").exists()
    frail.failing.clear()
    assert train(config(tmp_path / "run")).complete


@pytest.mark.parametrize(
    ("kind", "method", "returned", "expected"),
    [
        ("Net", "build", None, "what network 'frail-net' (pinn-frail 1.2) built is no torch.nn.Module"),
        ("Net", "build", torch.nn.Tanh(), "'frail-net' (pinn-frail 1.2) built has no parameters"),
        ("Still", "initial", None, "weighting 'frail-still' (pinn-frail 1.2) returned initial weights"),
        ("Still", "initial", torch.ones(3), "returned initial weights of shape (3,) for 16 points"),
        ("Sgd", "build", None, "what optimizer 'frail-sgd' (pinn-frail 1.2) built is no torch.optim"),
        ("Random", "draw", None, "sampler 'frail-random' (pinn-frail 1.2) returned points of shape ()"),
    ],
)  # fmt: skip
def test_what_a_part_returns_is_checked(
    frail: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    method: str,
    returned: Any,
    expected: str,
) -> None:
    monkeypatch.setattr(getattr(frail, kind), method, lambda *_: returned)
    with pytest.raises(PinnError) as caught:
        train(config(tmp_path / "run"))
    assert expected in str(caught.value)


def test_an_optimizer_that_never_asks_for_the_loss(
    frail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frail.Noisy, "step", lambda self, closure: None)
    with pytest.raises(PinnError, match="made a step without calling the closure"):
        train(config(tmp_path / "run"))


# whose fault it is not


def test_an_error_of_this_program_stays_as_it_is(
    frail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own_bug(*_: Any, **__: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(Objective, "evaluate", own_bug)
    with pytest.raises(KeyError, match="ours"):
        train(config(tmp_path / "run"))


def test_an_error_of_the_caller_stays_as_it_is(frail: Any, tmp_path: Path) -> None:
    """A reporter may end a run with an exception of its own, even one from the package of a part."""
    frail.failing["reporter"] = 5
    with pytest.raises(ZeroDivisionError, match="reporter by zero"):
        train(config(tmp_path / "run"), frail.Reporter())


def test_memory_that_runs_out_is_nobodys_fault(frail: Any, tmp_path: Path) -> None:
    frail.failing["equations"] = 9
    frail.error = lambda _: RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="out of memory"):
        train(config(tmp_path / "run"))


def test_the_innermost_plugin_is_blamed(frail: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever called it, and whatever library it called."""

    def caught(call: Callable[[], Any]) -> Exception:
        try:
            call()
        except Exception as error:
            return error
        raise AssertionError

    inside = caught(lambda: frail.Net().build(None, None, frail.failing.update(build=0)))
    assert suffix(Whence(error=inside)) == f" ({PLACE}, pinn-frail 1.2)"
    library = caught(lambda: frail.Line(2, 1)(torch.ones(1, 3)))
    found = culprit(library)
    assert found is not None
    assert str(found) == "network 'frail-net' of pinn-frail 1.2"
    assert explained(library).startswith("RuntimeError: mat1 and mat2 shapes")
    assert "torch/" not in explained(library)
    elsewhere = caught(lambda: json.loads("no"))
    assert culprit(elsewhere) is None
    assert suffix(Whence(error=elsewhere)) == ""
    assert suffix(Whence(frail.Net(), elsewhere)) == " (pinn-frail 1.2)"
    chained = RuntimeError("a library says")
    chained.__cause__ = inside
    assert suffix(Whence(error=chained)) == f" ({PLACE}, pinn-frail 1.2)"


def test_built_in_parts_and_unknown_ones_are_not_signed() -> None:
    burgers = registries.registry().find("problem", "burgers").cls()
    assert suffix(Whence(burgers)) == ""
    assert suffix(Whence(object())) == ""
    assert suffix(Whence(None)) == ""


def test_a_part_of_the_running_program_is_named_without_a_distribution() -> None:
    from pinn.core import Analyzer, offered

    @attrs.frozen
    class Here(Analyzer):
        """Fails."""

        name = "here"

        def measure(self, view: Any) -> Mapping[str, Any]:
            raise ValueError("no")

    line = inspect.getsourcelines(Here)[1] + 7
    with pytest.raises(ValueError, match="no") as caught:
        Here().measure(None)
    assert suffix(Whence(error=caught.value)) == ""
    with offered(Here):
        found = culprit(caught.value)
        assert found is not None
        assert str(found) == "analyzer 'here' of this program"
        assert suffix(Whence(error=caught.value)).endswith(f"test_blame.py:{line})")


# on the command line


def pinn(*words: str, **environment: str) -> Any:
    return CliRunner(env=environment).invoke(commands, list(words))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    import tomli_w

    path = tmp_path / "frail.toml"
    path.write_text(tomli_w.dumps(table(tmp_path / "run")), encoding="utf-8")
    return path


@pytest.mark.parametrize(("environment", "traceback"), [({}, False), ({"PINN_TRACEBACK": "1"}, True),
                                                        ({"PINN_TRACEBACK": "0"}, False)])  # fmt: skip
def test_the_command_says_it_in_one_line(
    frail: Any, file: Path, environment: dict[str, str], traceback: bool
) -> None:
    frail.failing["update"] = 6
    result = pinn("run", str(file), **environment)
    assert result.exit_code == 1
    *before, message = result.stderr.splitlines()
    assert message.startswith(
        "error: weighting 'frail-still' of pinn-frail 1.2 fails after 6 steps at"
    )
    assert ("Traceback (most recent call last):" in before) is traceback
    assert any("ZeroDivisionError: update by zero" in line for line in before) is traceback
    assert bool(before) is traceback


def test_other_commands_blame_as_well(frail: Any, tmp_path: Path, file: Path) -> None:
    frail.failing["solution"] = 0
    result = pinn("reference", "frail-heat", "-o", str(tmp_path / "a.npz"))
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: problem 'frail-heat' of pinn-frail 1.2 fails at {PLACE}: ZeroDivisionError: solution "
        "by zero. PINN_TRACEBACK=1 shows the traceback\n"
    )
    frail.failing["build"] = 0
    result = pinn("check", str(file))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: network 'frail-net' of pinn-frail 1.2 fails at")


def test_a_bug_of_this_program_shows_its_traceback(
    frail: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own_bug(*_: Any, **__: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(Objective, "evaluate", own_bug)
    assert isinstance(pinn("run", str(file)).exception, KeyError)


# analyzers, which only observe


def words(directory: Path) -> dict[int, str]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["frail-watch.failure"] for row in rows if "frail-watch.failure" in row}


TEXT = f"ZeroDivisionError: measure by zero ({PLACE}, pinn-frail 1.2)"


def test_an_analyzer_that_fails_stops_nothing(frail: Any, tmp_path: Path) -> None:
    train(config(tmp_path / "unwatched", analyzers=[]))
    frail.failing["measure"] = 1
    notes = Notes()
    run = train(config(tmp_path / "run"), notes)
    assert run.complete
    assert words(run.path) == dict.fromkeys((6, 9, 12), TEXT)
    (note,) = [text for text in notes.texts if "fails" in text]
    assert note == (
        f"step 6: analyzer 'frail-watch' fails: {TEXT}; training goes on, and it is tried again when "
        "it is next due"
    )
    assert run.metrics()["watched"][0].tolist() == [3]
    assert run.summary["failures"] == {"frail-watch": [f"3 measurements, at steps 6 to 12: {TEXT}"]}
    ends = (read(newest_first(tmp_path / d / "checkpoints")[0]) for d in ("unwatched", "run"))
    alone, watched = (end["module"] for end in ends)
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_an_analyzer_that_failed_is_asked_again(frail: Any, tmp_path: Path) -> None:
    def once(text: str) -> Exception:
        frail.failing["measure"] = 100
        return ZeroDivisionError(text)

    frail.failing["measure"] = 0
    frail.error = once
    run = train(config(tmp_path / "run"))
    assert words(run.path) == {3: TEXT}
    assert run.metrics()["watched"][0].tolist() == [6, 9, 12]
    assert run.summary["failures"] == {"frail-watch": [f"measurement at step 3: {TEXT}"]}


def test_each_text_is_told_once_and_not_again_by_a_run_that_continues(
    frail: Any,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    frail.failing["measure"] = 0
    train(config(tmp_path / "uninterrupted"))
    first, second = Ending(at=9), Notes()
    with pytest.raises(Ended):
        train(config(tmp_path / "run"), first)
    assert sum("fails" in text for text in first.texts) == 1
    train(config(tmp_path / "run"), second)
    assert not [text for text in second.texts if "fails" in text]
    assert_same_runs(tmp_path / "uninterrupted", tmp_path / "run")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "TypeError: measure returned NoneType, not {quantity: value}"),
        (3.0, "TypeError: measure returned float, not {quantity: value}"),
        ({"fine": 1.0, "watched": object()}, "TypeError: float() argument must be"),
        ({"fine": 1.0, "watched": [[1.0], [1.0, 2.0]]}, "ValueError: setting an array element"),
    ],
)
def test_what_cannot_be_recorded_is_a_failure(
    frail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Any, expected: str
) -> None:
    monkeypatch.setattr(frail.Watch, "measure", lambda self, view: found)
    run = train(config(tmp_path / "run"))
    assert [*words(run.path)] == [3, 6, 9, 12]
    text = words(run.path)[3]
    assert text.startswith(expected)
    assert text.endswith("(pinn-frail 1.2)")
    assert "fine" not in run.metrics()


def test_what_an_analyzer_means_to_say_stops_the_run(frail: Any, tmp_path: Path) -> None:
    frail.failing["measure"] = 1
    frail.error = PinnError
    with pytest.raises(PinnError, match=r"^measure by zero$"):
        train(config(tmp_path / "run"))


def test_memory_that_an_analyzer_uses_up_stops_the_run(frail: Any, tmp_path: Path) -> None:
    frail.failing["measure"] = 1
    frail.error = lambda _: MemoryError("no more")
    with pytest.raises(MemoryError):
        train(config(tmp_path / "run"))


@pytest.mark.parametrize("error", [PinnError, ZeroDivisionError])
def test_random_numbers_go_on_as_if_it_had_not_been_asked(
    frail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    from pinn.engine.training import undisturbed

    kept: list[torch.Tensor] = []
    restored: list[torch.Tensor] = []
    state, restore = undisturbed.global_state, undisturbed.restore_global_state

    def remembered() -> dict[str, Any]:
        kept.append(torch.get_rng_state())
        return state()

    def after_restoring(state: dict[str, Any]) -> None:
        restore(state)
        restored.append(torch.get_rng_state())

    monkeypatch.setattr(undisturbed, "global_state", remembered)
    monkeypatch.setattr(undisturbed, "restore_global_state", after_restoring)
    frail.failing["measure"] = 0
    frail.error = error
    stage = [{"name": "frail-sgd", "steps": 3}]
    try:
        train(config(tmp_path / "run", optimizers=stage))
    except PinnError:
        assert error is PinnError
    *_, asked, whole_run = restored
    assert torch.equal(kept[-1], asked)
    assert torch.equal(kept[0], whole_run)
    assert not torch.equal(asked, whole_run)


def test_a_stage_that_waits_for_a_failing_analyzer_runs_to_its_end(
    frail: Any, tmp_path: Path
) -> None:
    frail.failing["measure"] = 0
    stages = [{"name": "frail-sgd", "steps": 12, "until": "watched > 5"}]
    assert train(config(tmp_path / "run", optimizers=stages)).summary["steps"] == 12


def test_a_built_in_analyzer_that_fails_is_named_with_its_line(
    frail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = inspect.getmodule(registries.registry().find("analyzer", "snr").cls)
    assert isinstance(module, ModuleType)

    def own_bug(*_: Any, **__: Any) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("pinn.core.view.View.batch_gradients", own_bug)
    notes = Notes()
    run = train(config(tmp_path / "run", analyzers=[{"name": "snr", "every": 6}]), notes)
    assert run.complete
    (note,) = [text for text in notes.texts if "fails" in text]
    assert "analyzer 'snr' fails: KeyError: 'ours' (pinn/analyzers/snr.py:" in note
    assert ", pinn-dynamics " in note


@pytest.mark.draws
def test_the_report_and_the_last_lines_tell_of_failures(
    frail: Any, file: Path, tmp_path: Path
) -> None:
    frail.failing["measure"] = 2
    frail.failing["figures"] = 0
    result = pinn("run", str(file))
    assert result.exit_code == 0
    failed = f"2 measurements, at steps 9 to 12: {TEXT}"
    assert f"analyzer 'frail-watch' failed: {failed}\n" in result.stdout
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"Not shown: {failed}" in report
    assert (
        f"Not shown: figures(): ZeroDivisionError: figures by zero ({PLACE}, pinn-frail" in report
    )
    assert open_run(tmp_path / "run").complete
