"""A check leaves everything as it was, and says whose fault a failure is."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Sampler, Weighting, offered, option
from pinn.core.discovery import registry
from pinn.engine.training.undisturbed import global_state
from pinn.testing import check_sampler, check_weighting
from pinn.testing.companions import SmallProblem, SmallSampler, SmallWeighting
from pinn.testing.probes.differences import first_difference
from pinn.testing.problems.checks import check_problem


@frozen
class Plain(SmallSampler):
    """Uniform points."""

    name = "plain"


@frozen
class Rude(Sampler):
    """Changes the settings of the whole program, one after another."""

    name = "rude"
    how: str = option("dtype", "what it changes")

    def draw(self, domain: Any, count: int, generator: np.random.Generator) -> Any:
        if self.how == "dtype":
            torch.set_default_dtype(torch.float64)
        elif self.how == "grad":
            torch.set_grad_enabled(False)
        elif self.how == "directory":
            os.chdir(tempfile.gettempdir())
        else:
            raise ZeroDivisionError("division by zero")
        return SmallSampler().draw(domain, count, generator)


def surroundings() -> list[Any]:
    return [
        global_state(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        Path.cwd(),
        [part.name for part in registry().parts()],
    ]


@pytest.fixture
def unusual() -> Any:
    """Settings that are not the defaults."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("unusual")
def test_a_check_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    before = surroundings()
    with torch.no_grad():
        check_sampler(Plain)
    assert first_difference(before, surroundings()) is None
    assert not [path for path in tmp_path.iterdir() if path.name != ".hypothesis"]


@pytest.mark.usefixtures("unusual")
@pytest.mark.parametrize(
    ("how", "named"),
    [("dtype", "default dtype"), ("grad", "grad mode"), ("directory", "working directory")],
)
def test_a_part_that_changes_them_is_found_and_put_right(
    how: str, named: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    before = surroundings()
    with pytest.raises(AssertionError, match=rf"it changes the {named} of the whole"):
        check_sampler(Rude(how=how))
    assert first_difference(before, surroundings()) is None


def test_an_error_of_the_part_is_told_with_what_was_tried() -> None:
    with pytest.raises(AssertionError) as caught:
        check_sampler(Rude(how="fail"))
    assert str(caught.value) == (
        "sampler 'rude': it raised ZeroDivisionError: division by zero (while checking that its points "
        "lie in the box; the cause is above)"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_option_that_is_changed_by_using_the_part() -> None:
    @frozen
    class Growing(SmallWeighting):
        """Remembers in a list."""

        name = "growing"
        seen: list[float] = option([], "what it saw")

        def initial(self, count: int) -> Any:
            self.seen.append(count)
            return torch.ones(count)

    with pytest.raises(
        AssertionError, match=r"changed its option 'seen' from \[\] to \[.*list\(self"
    ):
        check_weighting(Growing)


def test_a_part_need_not_be_installed_and_is_not_known_afterwards() -> None:
    known = {part.name for part in registry().parts("sampler")}
    check_sampler(Plain)
    assert {part.name for part in registry().parts("sampler")} == known
    with offered(Plain):
        check_sampler(Plain)


def test_what_lacks_a_method_is_told_so_before_anything_runs() -> None:
    @frozen
    class Bare(Weighting):
        """Without methods."""

        name = "bare"

    with pytest.raises(AssertionError, match=r"^weighting Bare: Bare lacks initial"):
        check_weighting(Bare)


def test_the_companions_keep_their_own_contracts() -> None:
    check_problem(SmallProblem)
    check_weighting(SmallWeighting)
