"""What cannot be compiled is said, with the way out; what fails anyhow fails as it does uncompiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from pinn.core import PinnError
from pinn.core.records import Records
from pinn.engine import train
from pinn.engine.training import compilation, observing
from pinn.engine.training.compilation import compile_lazily
from pinn.engine.training.observing import Observing
from pinn.engine.training.progress import Reporter
from tests.conftest import MakeConfig
from tests.told import Told

PROBLEM = {"name": "helmholtz", "a1": 1, "a2": 1}

WAY_OUT = 'compile = "never" in [run] does without'


def compiler(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """One whose programs fail when they are called first, as those of torch do."""

    def compiled(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(compilation, "_by_inductor", lambda _: compiled)


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = RuntimeError("\n backend raised:\nCppCompileError: a page of commands")
    compiler(monkeypatch, cause)
    with pytest.raises(PinnError) as caught:
        compile_lazily(lambda x: x + 1)(torch.ones(2))
    assert str(caught.value).startswith(
        f"the step cannot be compiled: RuntimeError: backend raised:; {WAY_OUT}"
    )
    assert caught.value.__cause__ is cause


def test_memory_that_runs_out_is_not_the_compilers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(monkeypatch, RuntimeError("CUDA out of memory"))
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        compile_lazily(lambda x: x + 1)(torch.ones(2))


def test_a_function_that_looks_at_its_numbers_cannot_be_compiled() -> None:
    def choosing(x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x

    assert torch.equal(choosing(torch.ones(2)), torch.ones(2))
    with pytest.raises(PinnError) as caught:
        compile_lazily(choosing)(torch.ones(2))
    assert str(caught.value).startswith("the step cannot be compiled: ")
    assert WAY_OUT in str(caught.value)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: x @ torch.ones(3), RuntimeError),
        (lambda x: x / 0 if x.shape == (2,) and 1 // 0 else x, ZeroDivisionError),
        (lambda x: {}["missing"], KeyError),
    ],
)
def test_a_function_that_fails_uncompiled_fails_in_the_same_way(
    function: Callable[..., Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as plain:
        function(torch.ones(2))
    with pytest.raises(error) as compiled:
        compile_lazily(function)(torch.ones(2))
    assert str(compiled.value) == str(plain.value)


def test_a_message_to_the_user_passes() -> None:
    def refuse(x: torch.Tensor) -> torch.Tensor:
        raise PinnError("not like this")

    with pytest.raises(PinnError, match=r"^not like this$"):
        compile_lazily(refuse)(torch.ones(2))


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the compiler; it finds what is named here in no cache: "anew" while that is so."""
    anew: list[str] = []

    def compiled(graph: Callable[..., Any]) -> Callable[..., Any]:
        def call(*tensors: torch.Tensor) -> Any:
            counters["inductor"]["fxgraph_cache_miss"] += bool(anew)
            return graph(*tensors)

        return call

    monkeypatch.setattr(compilation, "_by_inductor", compiled)
    return anew


def test_what_compiling_took_is_told_once_for_each_shape(uncompiled: list[str]) -> None:
    told: list[bool] = []
    twice = compile_lazily(lambda x: 2 * x, took=lambda seconds, found: told.append(found))
    uncompiled.append("anew")
    twice(torch.ones(2))
    twice(torch.ones(2))
    assert told == [False]
    uncompiled.clear()
    twice(torch.ones(3))
    assert told == [False, True]


def test_a_run_says_when_it_compiles_and_when_it_does_not(
    make_config: MakeConfig, uncompiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "WORTH_TELLING", 0.0)
    uncompiled.append("anew")
    stages = [{"name": "adam", "steps": 3}, {"name": "adam", "steps": 2, "interior": 9}]
    config = make_config(PROBLEM, run={"compile": "always"}, optimizers=stages)
    reporter = Told()
    run = train(config, reporter)
    compiling = [note.split(" in ")[0] for note in reporter.notes if "compil" in note]
    assert compiling[1].startswith("the first step compiles")
    assert compiling[2:] == ["step 1: compiled", "step 4: compiled"]
    assert run.summary["seconds"]["compiling"] > 0

    uncompiled.clear()
    again = Told()
    train(config.in_directory(config.directory / "again"), again)
    assert any(
        note.startswith("step 1: found it compiled by an earlier run") for note in again.notes
    )


def test_compiling_is_no_part_of_what_it_was_done_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(perf_counter=iter([0.0, 10.0]).__next__)
    monkeypatch.setattr(observing, "time", clock)
    records = Records(tmp_path / "metrics.jsonl")
    seconds: dict[str, float] = {}
    observes = Observing([], records, Reporter(), lambda error, analyzer: "", {}, seconds)
    with observes.timed("training"):
        observes.compiled(7.0, False)
    assert seconds == {"compiling": 7.0, "training": 3.0}
