"""What several test files share: the hypothesis profile and naive versions to compare with."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import frozen
from hypothesis import settings
from torch import Tensor

from pinn.core import Box, Condition, Problem, Weighting, offered
from pinn.core.domain import PointSet
from pinn.core.view import View
from pinn.engine import Config, parse_config
from pinn.engine.reporting import page
from pinn.engine.reporting.page import Picture
from pinn.engine.training import run
from pinn.engine.training.checkpoint import newest_first, read
from pinn.engine.training.objective import Objective
from pinn.problems import allen_cahn_reference, burgers_reference
from pinn.testing.probes.differences import first_difference
from pinn.testing.probes.nested import derivative as nested
from pinn.testing.small_runs import TIMED, Killed, Killing, extended
from tests.told import Told

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def _import_benchmarks() -> None:
    """Makes benchmarks, which is no part of the package, known without its folder on the path.

    On the path, what the tree says of itself would come before what is installed.
    """
    spec = importlib.util.spec_from_file_location(
        "benchmarks", BENCHMARKS / "__init__.py", submodule_search_locations=[str(BENCHMARKS)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["benchmarks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["benchmarks"])


_import_benchmarks()

# Spares every process that compiles a trial of what the processor can.
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


settings.register_profile("pinn", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("pinn")

MultiIndex = tuple[int, ...]
Derivative = Callable[[Callable[[Tensor], Tensor], Tensor, MultiIndex], Tensor]
MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors gain nothing from threads, and lose where several tests share the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def solved_once() -> Iterator[None]:
    """Numerical references are solved for once in a process: each takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (allen_cahn_reference, burgers_reference):
            patch.setattr(module, "solve", remembered(module.solve))
        yield


def remembered(solve: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """`solve`, whose arrays are computed once and copied for each who asks."""
    known = cache(solve)
    return lambda *given, **named: tuple(array.copy() for array in known(*given, **named))


@pytest.fixture(scope="session")
def derivative() -> Derivative:
    """D^α of a function of points (n, d) -> (n,), by nested reverse-mode autograd."""

    def of_function(func: Callable[[Tensor], Tensor], points: Tensor, index: MultiIndex) -> Tensor:
        points = points.detach().clone().requires_grad_()
        return nested(func(points), points, index).detach()

    return of_function


@pytest.fixture(scope="session")
def close() -> Callable[..., None]:
    """Assert equality to `tolerance` relative to the largest expected number (at least 1e-3)."""

    def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
        assert found.shape == expected.shape
        scale = max(float(expected.abs().max()), 1e-3) if expected.numel() else 1.0
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale)

    return assert_close


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """A small run of a few eager steps; keyword arguments replace or extend its sections."""

    def make(problem: Mapping[str, Any], **sections: Any) -> Config:
        table: dict[str, Any] = {
            "run": {"directory": str(tmp_path / "run"), "device": "cpu", "compile": "never"},
            "problem": dict(problem),
            "network": {"width": 6, "depth": 2},
            "points": {"interior": 48, "conditions": 12},
            "optimizers": [{"name": "adam", "steps": 5}],
        }
        return parse_config(extended(table, sections))

    return make


@pytest.fixture
def offer() -> Iterator[Callable[..., None]]:
    """Makes parts known to configurations until the end of the test, as an installed plugin would."""
    with ExitStack() as stack:
        yield lambda *classes: stack.enter_context(offered(*classes))


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the figures of reports blank, but in tests marked `draws`: drawing takes seconds a run."""
    if "draws" not in request.keywords:
        blank = Picture(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>', b"", b""
        )
        monkeypatch.setattr(page, "picture", lambda title, height, draw: blank)


@pytest.fixture
def without_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains without drawing figures at the end, which takes most of the time of a small run."""
    monkeypatch.setattr(run, "write_results", lambda *_: None)


@frozen
class Environment:
    """A virtual environment that sees the packages of the running one, and what is installed into it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        venv.create(folder, symlinks=True)
        # Not just a line with the path: the .pth files of an editable install must be read, too.
        packages = sysconfig.get_path("purelib")
        own = sysconfig.get_path("purelib", "venv", vars={"base": str(folder)})
        (Path(own) / "running.pth").write_text(f"import site; site.addsitedir({packages!r})\n")
        return cls(folder)

    def install(self, project: Path) -> None:
        """`pip install -e`, without network."""
        offline = ("--no-index", "--no-build-isolation", "--no-deps")
        done = self.run("pip", "install", "--quiet", *offline, "-e", ".", cwd=project)
        assert done.returncode == 0, done.stderr

    def run(
        self, command: str, *words: str, cwd: Path, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """A command that the running environment has, such as `pinn` or `pytest`."""
        script = Path(sys.executable).with_name(command)
        return subprocess.run(
            [self.folder / "bin" / "python", script, *words],
            cwd=cwd,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture(scope="session")
def installed_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment.make(tmp_path_factory.mktemp("environment") / "venv")


class Noting(Told):
    """Is killed, besides."""

    def __init__(self, behind: int | None = None) -> None:
        super().__init__()
        self.killing = Killing(behind)

    def step(self, step: int, loss: float, shown: Mapping[str, Any]) -> None:
        super().step(step, loss, shown)
        self.killing.step(step, loss, shown)


@pytest.fixture(scope="session")
def crashing() -> type[Noting]:
    return Noting


@pytest.fixture(scope="session")
def train_with_crashes() -> Callable[..., None]:
    """Trains a run that is killed behind each of these steps, and then to its end."""

    def train(config: Config, *killed: int) -> None:
        for behind in killed:
            with pytest.raises(Killed):
                run.train(config, Killing(behind))
        run.train(config)

    return train


@pytest.fixture(scope="session")
def assert_same_runs() -> Callable[[Path, Path], None]:
    """Bitwise the same last checkpoint and the same records, but for the time that it took."""

    def results(directory: Path) -> list[Any]:
        state = read(newest_first(directory / "checkpoints")[0])
        del state["run"]  # the configuration, which may say the same otherwise
        lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        for timed in (state, *rows):
            timed.pop(TIMED, None)
        return [state, rows]

    def same(a: Path, b: Path) -> None:
        assert first_difference(results(a), results(b)) is None

    return same


@frozen
class Toy(Problem):
    """Two coupled equations in two fields, nonlinear and of third order, and two conditions."""

    name = "toy"
    fields = ("u", "v")
    domain = Box(x=(-1, 1), t=(0, 2))

    nu: float = 0.3

    def equations(self, q: Any) -> dict[str, Any]:
        return {
            "first": q.u_t - self.nu * q.u_xx + q.u * q.v_x,
            "second": q.v_xxt + torch.sin(q.u) - q.x * q.v,
        }

    def conditions(self) -> Iterator[Condition]:
        yield Condition("initial", on="t=0", residual=lambda q: q.u - torch.cos(q.x))
        yield Condition("walls", on=("x=-1", "x=1"), residual=lambda q: {"u": q.u_x, "v": q.v})


@frozen
class Constant(Problem):
    """tanh (u + 1000) = 0: 1 whatever the network is, and its derivative 0."""

    name = "constant"
    fields = ("u",)
    domain = Box(x=(0, 1))

    def equations(self, q: Any) -> dict[str, Any]:
        return {"one": torch.tanh(q.u + 1000)}


@pytest.fixture(scope="session")
def constant() -> type[Problem]:
    return Constant


@frozen
class Case:
    """The toy problem with a network and points, in float64."""

    problem: Toy
    module: torch.nn.Module
    points: PointSet

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return tuple(self.module.parameters())

    def some_weights(self, seed: int) -> Tensor:
        """Of both equations at each point, from 0.1 to 1.1."""
        generator = torch.Generator().manual_seed(seed)
        count = len(self.points.interior)
        return torch.rand(2, count, generator=generator, dtype=torch.float64) + 0.1

    def objective(
        self, weighting: Weighting, factors: dict[str, float] | None = None, chunk: int = 0
    ) -> Objective:
        return Objective(self.problem, self.module, weighting, factors or {}, chunk)

    def view(
        self,
        weighting: Weighting,
        weights: Tensor,
        factors: dict[str, float] | None = None,
        chunk: int = 0,
        **changes: Any,
    ) -> View:
        """What an analyzer sees; `changes` replace what does not matter to most."""
        sgd = torch.optim.SGD(self.parameters, lr=1.0)
        others = {"step": 7, "memories": {}, "optimizer": sgd, "evaluator": None, "seed": 0}
        return View(
            problem=self.problem,
            objective=self.objective(weighting, factors, chunk),
            points=self.points,
            weights=weights,
            **{**others, "records": None, **changes},
        )

    def residuals(self, points: Tensor) -> Tensor:
        """(2, n), the equations of the toy problem by nested autograd, written out by hand."""
        points = points.clone().requires_grad_()
        u, v = self.module(points).T

        def d(value: Tensor, axis: int) -> Tensor:
            return torch.autograd.grad(value.sum(), points, create_graph=True)[0][:, axis]

        u_xx, v_x = d(d(u, 0), 0), d(v, 0)
        first = d(u, 1) - self.problem.nu * u_xx + u * v_x
        second = d(d(v_x, 0), 1) + torch.sin(u) - points[:, 0] * v
        return torch.stack([first, second])

    def condition_losses(self) -> tuple[Tensor, Tensor]:
        """The losses of "initial" and "walls", by nested autograd."""
        at_start, at_walls = self.points.conditions.values()
        initial = (self.module(at_start)[:, 0] - torch.cos(at_start[:, 0])) ** 2
        at_walls = at_walls.clone().requires_grad_()
        u, v = self.module(at_walls).T
        u_x = torch.autograd.grad(u.sum(), at_walls, create_graph=True)[0][:, 0]
        return initial.mean(), (u_x**2).mean() + (v**2).mean()


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    def make(seed: int = 0, count: int = 13) -> Case:
        generator = torch.Generator().manual_seed(seed)
        module = torch.nn.Sequential(
            torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4), torch.nn.SiLU(),
            torch.nn.Linear(4, 2),
        ).double()  # fmt: skip
        for parameter in module.parameters():
            parameter.data.normal_(0, 0.6, generator=generator)

        def uniform(n: int, x: float | None = None, t: float | None = None) -> Tensor:
            unit = torch.rand(n, 2, generator=generator, dtype=torch.float64)
            points = torch.stack([2 * unit[:, 0] - 1, 2 * unit[:, 1]], 1)
            points[:, 0] = points[:, 0] if x is None else x
            points[:, 1] = points[:, 1] if t is None else t
            return points

        walls = torch.cat([uniform(3, x=-1.0), uniform(4, x=1.0)])
        conditions = {"initial": uniform(6, t=0.0), "walls": walls}
        return Case(Toy(), module, PointSet(uniform(count), conditions))

    return make
