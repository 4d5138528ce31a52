"""What was trained, opened by other programs: torch.export, ONNX, meshes."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from attrs import frozen
from click.testing import CliRunner

from pinn.core import Box, PinnError, Problem
from pinn.engine import Config, Run, open_run, train
from pinn.engine.cli import commands
from pinn.engine.training.mesh import grid_cells

MakeConfig = Callable[..., Config]


@frozen
class Wave(Problem):
    """Fields u with an ansatz that holds u = 1 at t = 0, and v = 2 everywhere, in three coordinates."""

    name = "wave"
    fields = ("u", "v")
    domain = Box(x=(0, 2), y=(-1, 1), t=(0, 3))
    grid: ClassVar[dict[str, int]] = {"x": 5, "y": 4, "t": 3}

    def equations(self, q: Any) -> dict[str, Any]:
        return {"wave": q.u_tt - q.u_xx - q.u_yy + q.v}

    def ansatz(self, q: Any) -> dict[str, Any]:
        return {"u": 1 + q.t * q.u, "v": 2 + 0 * q.v}


@frozen
class Warm(Problem):
    """A temperature around 320, and a complex field of size 5."""

    name = "warm"
    fields = ("T", "psi")
    complex_fields = ("psi",)
    domain = Box(x=(0, 1))
    scales: ClassVar[dict[str, Any]] = {"T": (320.0, 10.0), "psi": 5.0}

    def equations(self, q: Any) -> dict[str, Any]:
        return {"heat": q.T_xx, "wave": 1j * q.psi_x + q.psi}


@pytest.fixture
def trained(make_config: MakeConfig, without_results: None) -> Callable[..., Run]:
    def make(problem: Any = None, **sections: Any) -> Run:
        problem = problem or {"name": "burgers", "hard": True}
        return train(make_config(problem, **sections))

    return make


def somewhere(run: Run, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    low, high = torch.tensor(run.domain.lower), torch.tensor(run.domain.upper)
    unit = torch.rand(count, len(low), generator=generator, dtype=torch.float64)
    return low + (high - low) * unit


# a function


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("network", [{"name": "mlp"}, {"name": "modified-mlp"}])
def test_the_program_gives_the_same_numbers_for_any_number_of_points(
    network: dict[str, Any], precision: str, trained: Callable[..., Run], tmp_path: Path
) -> None:
    run = trained(run={"precision": precision}, network=network)
    run.export(tmp_path / "run.pt2")
    names = {"pinn.json": ""}
    program = torch.export.load(tmp_path / "run.pt2", extra_files=names).module()
    assert json.loads(names["pinn.json"]) == {"coordinates": ["x", "t"], "fields": ["u"]}
    for count in (1, 7, 130):
        points = somewhere(run, count)
        found = program(points.to(getattr(torch, precision)))
        assert found.shape == (count, 1)
        np.testing.assert_allclose(found[:, 0], run.predict(points)["u"], rtol=1e-6, atol=1e-7)


def test_the_program_needs_torch_alone(trained: Callable[..., Run], tmp_path: Path) -> None:
    run = trained()
    run.export(tmp_path / "run.pt2")
    code = (
        "import sys, torch\n"
        f"program = torch.export.load({str(tmp_path / 'run.pt2')!r}).module()\n"
        "print(float(program(torch.tensor([[0.25, 0.5]]))[0, 0]))\n"
        "assert not any(name.startswith('pinn') for name in sys.modules)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert float(printed.stdout) == pytest.approx(float(run.predict(x=0.25, t=0.5)["u"]), abs=1e-6)


def test_several_fields_come_in_their_order_with_the_ansatz(
    trained: Callable[..., Run], offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(Wave)
    run = trained({"name": "wave"})
    run.export(tmp_path / "run.pt2")
    points = somewhere(run, 9).float()
    points[:4, 2] = 0
    u, v = torch.export.load(tmp_path / "run.pt2").module()(points).T
    assert (u[:4] == 1).all()
    assert (v == 2).all()
    np.testing.assert_allclose(u, run.predict(points)["u"], rtol=1e-6)


def test_scales_and_complex_fields_are_exported(
    trained: Callable[..., Run], offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(Warm)
    run = trained({"name": "warm"}, points={"interior": 16})
    run.export(tmp_path / "run.pt2")
    names = {"pinn.json": ""}
    program = torch.export.load(tmp_path / "run.pt2", extra_files=names).module()
    assert json.loads(names["pinn.json"])["fields"] == ["T", "psi_re", "psi_im"]
    points = somewhere(run, 9)
    expected = np.stack([*run.predict(points).values()], 1)
    np.testing.assert_allclose(program(points.float()), expected, rtol=1e-5, atol=1e-4)


def test_the_best_network_is_exported(trained: Callable[..., Run], tmp_path: Path) -> None:
    stage = {"name": "adam", "steps": 8, "lr": 0.5}  # such a rate throws the network away
    problem = {"name": "helmholtz", "a1": 1, "a2": 1}
    newest = trained(problem, run={"checkpoint": 1}, optimizers=[stage])
    run = open_run(newest.path, best=True)
    run.export(tmp_path / "best.pt2")
    points = somewhere(run, 3)
    found = torch.export.load(tmp_path / "best.pt2").module()(points.float())
    np.testing.assert_allclose(found[:, 0], run.predict(points)["u"], rtol=1e-6, atol=1e-7)
    assert not np.allclose(found[:, 0], newest.predict(points)["u"])


def test_onnx_gives_the_same_numbers(trained: Callable[..., Run], tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    run = trained()
    run.export(tmp_path / "run.onnx")
    session = runtime.InferenceSession(tmp_path / "run.onnx")
    for count in (1, 130):
        points = somewhere(run, count)
        (found,) = session.run(["fields"], {"coordinates": points.float().numpy()})
        np.testing.assert_allclose(found[:, 0], run.predict(points)["u"], rtol=1e-5, atol=1e-6)


def test_an_ansatz_that_cannot_be_traced_is_one_message(
    trained: Callable[..., Run], offer: Callable[..., None], tmp_path: Path
) -> None:
    @frozen
    class Counting(Wave):
        """One whose ansatz looks at the numbers."""

        name = "counting"

        def ansatz(self, q: Any) -> dict[str, Any]:
            u = q.u
            return {"u": u * 2 if float(torch.as_tensor(1.0) * len(u)) > 1000 else u, "v": q.v}

    offer(Counting)
    run = trained({"name": "counting"})
    with pytest.raises(
        PinnError, match=r"the ansatz of counting cannot be exported for any number"
    ):
        run.export(tmp_path / "run.pt2")
    assert not (tmp_path / "run.pt2").exists()


# a mesh


@pytest.fixture
def meshio() -> Any:
    return pytest.importorskip("meshio")


@pytest.mark.parametrize("ending", ["vtu", "vtk"])
def test_the_evaluation_grid_is_a_mesh(
    ending: str,
    meshio: Any,
    trained: Callable[..., Run],
    offer: Callable[..., None],
    tmp_path: Path,
) -> None:
    offer(Wave)
    run = trained({"name": "wave"})
    run.export(tmp_path / f"run.{ending}")
    found = meshio.read(tmp_path / f"run.{ending}")
    np.testing.assert_allclose(found.points, run.on_grid().points())
    assert found.point_data.keys() == {"u", "v"}
    np.testing.assert_allclose(found.point_data["u"], run.predict(found.points)["u"], rtol=1e-6)
    (cells,) = found.cells
    assert cells.type == "hexahedron"
    assert len(cells.data) == 4 * 3 * 2


def test_a_plane_grid_lies_in_space(
    meshio: Any, trained: Callable[..., Run], tmp_path: Path
) -> None:
    run = trained({"name": "helmholtz"})
    run.export(tmp_path / "run.vtu")
    found = meshio.read(tmp_path / "run.vtu")
    assert found.cells[0].type == "quad"
    corners = found.points[found.cells[0].data]
    x, y = corners[..., 0], corners[..., 1]
    areas = (x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1) / 2
    assert (areas > 0).all()  # so that no cell is a bow tie
    assert areas.sum() == pytest.approx(4)
    assert (found.points[:, 2] == 0).all()


def test_cells_of_space_have_their_volume() -> None:
    ((kind, cells),) = grid_cells([3, 4, 5])
    axes = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
    corners = np.stack([a.ravel() for a in axes], 1)[cells]
    assert kind == "hexahedron"
    assert cells.shape == (2 * 3 * 4, 8)
    a, b, c = (corners[:, place] - corners[:, 0] for place in (1, 3, 4))
    np.testing.assert_array_equal(np.linalg.det(np.stack([a, b, c], 1)), 1)
    np.testing.assert_array_equal(corners[:, 6] - corners[:, 0], a + b + c)
    np.testing.assert_array_equal(corners[:, 2] - corners[:, 0], a + b)


@pytest.mark.parametrize(
    ("counts", "kind", "shape"), [([4], "line", (3, 2)), ([3, 1], "vertex", (3, 1))]
)
def test_cells_of_other_grids(counts: list[int], kind: str, shape: tuple[int, int]) -> None:
    ((found, cells),) = grid_cells(counts)
    assert found == kind
    assert cells.shape == shape


def test_four_coordinates_are_no_mesh() -> None:
    with pytest.raises(PinnError, match="three coordinates at most, and the evaluation grid has 4"):
        grid_cells([2, 2, 2, 2])


def test_a_mesh_of_ones_own(meshio: Any, trained: Callable[..., Run], tmp_path: Path) -> None:
    run = trained({"name": "helmholtz"})
    points = np.array([[0, 0, 0], [0.5, 0, 0], [0, 0.7, 0]], float)
    meshio.write(tmp_path / "own.vtk", meshio.Mesh(points, [("triangle", [[0, 1, 2]])]))
    run.export(tmp_path / "out.vtu", mesh=tmp_path / "own.vtk")
    found = meshio.read(tmp_path / "out.vtu")
    assert found.cells[0].data.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(found.point_data["u"], run.predict(points[:, :2])["u"])


def test_a_mesh_that_does_not_fit(meshio: Any, trained: Callable[..., Run], tmp_path: Path) -> None:
    run = trained({"name": "helmholtz"})
    file = tmp_path / "own.vtk"
    points = np.array([[0, 0, 0], [0.5, 0, 1], [0, 0.7, 0]], float)
    meshio.write(file, meshio.Mesh(points, [("triangle", [[0, 1, 2]])]))
    for mesh, told in (
        (file, "its points differ in coordinate 3; the domain has only x, y"),
        (tmp_path / "none.vtk", "there is no such file"),
    ):
        with pytest.raises(PinnError, match=f"{mesh}: {told}"):
            run.export(tmp_path / "out.vtu", mesh=mesh)
    file.write_text("no mesh")
    with pytest.raises(PinnError, match=r"own\.vtk: is no mesh that meshio reads"):
        run.export(tmp_path / "out.vtu", mesh=file)


# what is missing


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def imported(name: str, *given: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", imported)
    monkeypatch.setattr("pinn.engine.training.exported.find_spec", lambda name: None)


def test_a_missing_package_is_named(
    trained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained()
    without("meshio", monkeypatch)
    with pytest.raises(PinnError, match=r"pip install 'pinn-dynamics\[meshio\]'"):
        run.export(tmp_path / "run.vtu")
    with pytest.raises(PinnError, match=r"pip install 'pinn-dynamics\[onnx\]'"):
        run.export(tmp_path / "run.onnx")


def test_an_unknown_ending_is_told(
    meshio: Any, trained: Callable[..., Run], tmp_path: Path
) -> None:
    with pytest.raises(PinnError, match=r"expected the ending \.pt2, \.onnx, or one that meshio"):
        trained().export(tmp_path / "run.what")


def test_a_function_has_no_mesh(trained: Callable[..., Run], tmp_path: Path) -> None:
    with pytest.raises(PinnError, match=r"holds a function; a mesh belongs to \.vtu"):
        trained().export(tmp_path / "run.pt2", mesh=tmp_path / "mesh.vtk")


def test_the_command(
    trained: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, ["export", str(run.path), "-o", "run.pt2"])
    assert result.output == "wrote run.pt2\n"
    assert torch.export.load("run.pt2").module()(torch.zeros(3, 2)).shape == (3, 1)
