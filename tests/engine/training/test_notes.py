"""What is said of a problem before it is trained, and again when its run is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from attrs import frozen

from pinn.core import Box, Condition, Measurements, Problem, Unknown
from pinn.core.discovery import offered
from pinn.engine import Config, check, diagnose, train

MakeConfig = Callable[..., Config]
SMALL = [{"name": "adam", "steps": 2}]


@frozen
class Rod(Problem):
    """u_t = k u_xx."""

    name = "rod"
    fields = ("u",)
    domain = Box(x=(0, 1), t=(0, 1))

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.u_xx}

    def conditions(self) -> Iterable[Condition | Measurements]:
        yield Condition("initial", "t=0", lambda q: q.u - 1)


@frozen
class Wall(Rod):
    name = "wall"

    def conditions(self) -> Iterable[Condition | Measurements]:
        yield Condition("left", "x=0", lambda q: q.u)


@frozen
class Made(Rod):
    name = "made"

    def ansatz(self, q: Any) -> Mapping[str, Any]:
        return {"u": q.x * (1 - q.x) * q.u}


@frozen
class Unsaid(Wall):
    name = "unsaid"

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"k": Unknown(1.0)}

    def equations(self, q: Any) -> Mapping[str, Any]:
        return {"heat": q.u_t - q.k * q.u_xx}


@frozen
class Said(Unsaid):
    name = "said"

    def conditions(self) -> Iterable[Condition | Measurements]:
        yield from super().conditions()
        yield Measurements("probe", {"x": 0.5, "t": [0.1, 0.2]}, {"u": [0.9, 0.8]})


@pytest.mark.parametrize(
    ("problem", "periodic", "words"),
    [
        (Rod, [], "second derivatives in x, and nothing is said at x = 0 or 1"),
        (Rod, ["x"], None),
        (Wall, [], None),
        (Made, [], None),
        (Unsaid, [], "nothing was measured that says what k is"),
        (Said, [], None),
    ],
)
def test_what_is_missing_is_told(
    make_config: MakeConfig, problem: type[Problem], periodic: list[str], words: str | None
) -> None:
    with offered(problem):
        config = make_config(
            {"name": problem.name}, network={"periodic": periodic}, optimizers=SMALL
        )
        notes = check(config)[-1].notes
    missing = [note for note in notes if "nothing" in note]
    assert len(missing) == (words is not None)
    assert all(words in note for note in missing if words)


def test_notes_are_kept_and_said_again(make_config: MakeConfig) -> None:
    with offered(Rod):
        stage = {"name": "ss-broyden", "steps": 2}
        config = make_config({"name": "rod"}, run={"precision": "float32"}, optimizers=[stage])
        run = train(config)
        said = diagnose(run.path).text()
    assert any("second derivatives in x" in note for note in run.summary["notes"])
    assert any("double precision" in note for note in run.summary["notes"])
    assert "nothing is said at x = 0 or 1" in said
    assert 'Set [run] precision = "float64"' in said
