"""What cannot be compiled is said, with the way out; what fails anyhow fails as it does uncompiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pinn.core import PinnError
from pinn.engine.training.compilation import compile_lazily

WAY_OUT = 'compile = "never" in [run] does without'


def compiler(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """One whose programs fail when they are called first, as those of torch do."""

    def compiled(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(torch, "compile", lambda *_, **__: compiled)


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
