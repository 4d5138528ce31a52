"""What was trained at the points of a mesh, for programs that draw fields."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pinn.core.errors import PinnError, one_of
from pinn.core.tracebacks import one_line

if TYPE_CHECKING:
    from pinn.core.domain import Shape
    from pinn.core.reference import Reference

CELLS = ("vertex", "line", "quad", "hexahedron")
"""By dimension, as meshio calls them."""
CORNERS = ((0,), (0, 1), (0, 1, 3, 2), (0, 1, 3, 2, 4, 5, 7, 6))
"""The corners of a cell as VTK orders them: in 0b110 the second and third coordinate are upper ones."""


class Solved(Protocol):
    """A run, as a mesh needs it."""

    @property
    def domain(self) -> Shape: ...

    def predict(self, points: Any, /) -> dict[str, NDArray[np.float64]]: ...

    def on_grid(self) -> Reference: ...


def write_mesh(path: Path, run: Solved, mesh: Path | None) -> None:
    """Write the observables on the evaluation grid, or at the points of the mesh in a file.

    Raises:
        PinnError: meshio is missing or does not know a format, or the mesh does not fit the domain.
    """
    meshio = _meshio(path)
    if path.suffix not in meshio.extension_to_filetypes:
        raise PinnError(
            f"{path}: expected the ending .pt2, .onnx, or one that meshio writes: "
            f"{one_of(meshio.extension_to_filetypes)}"
        )
    if mesh is None:
        grid = run.on_grid()
        places, cells = grid.points(), grid_cells([len(a) for a in grid.coordinates.values()])
        values: Mapping[str, Any] = {name: f.ravel() for name, f in grid.fields.items()}
    else:
        given = _read(meshio, mesh)
        values = run.predict(_coordinates(given.points, run.domain, mesh))
        places, cells = given.points, given.cells
    space = np.zeros((len(places), 3))
    space[:, : places.shape[1]] = places
    written = meshio.Mesh(space, cells, point_data=dict(values))
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            meshio.write(path, written)
    except (Exception, SystemExit) as error:  # each format fails in its own way
        raise PinnError(f"{path}: cannot be written: {one_line(error)}") from error


def _meshio(path: Path) -> Any:
    try:
        import meshio
    except ImportError:
        raise PinnError(
            f"{path}: .pt2 and .onnx hold the network as a function; any other ending needs the package "
            "meshio: pip install 'pinn-dynamics[meshio]'"
        ) from None
    return meshio


def grid_cells(counts: Sequence[int]) -> list[tuple[str, NDArray[np.int64]]]:
    """The cells between the points of a tensor grid, numbered in the order of `Reference.points`.

    Raises:
        PinnError: the grid has more than three dimensions.
    """
    dimension = len(counts)
    if dimension >= len(CELLS):
        raise PinnError(
            f"a mesh has three coordinates at most, and the evaluation grid has {dimension}; "
            "`pinn predict` writes it as .npz"
        )
    numbers = np.arange(int(np.prod(counts))).reshape(counts)
    if min(counts) < 2:
        return [(CELLS[0], numbers.reshape(-1, 1))]
    corners = []
    for corner in CORNERS[dimension]:
        upper = [corner >> axis & 1 for axis in range(dimension)]
        corners.append(numbers[tuple(slice(1, None) if u else slice(-1) for u in upper)].ravel())
    return [(CELLS[dimension], np.stack(corners, axis=1))]


def _read(meshio: Any, file: Path) -> Any:
    if not file.is_file():
        raise PinnError(f"{file}: there is no such file")
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return meshio.read(file)
    except (Exception, SystemExit) as error:  # each format fails in its own way
        raise PinnError(f"{file}: is no mesh that meshio reads: {one_line(error)}") from None


def _coordinates(points: NDArray[Any], domain: Shape, file: Path) -> NDArray[np.float64]:
    """The points of the mesh, (n, dimension); what it has besides must be flat."""
    names = ", ".join(domain.names)
    if points.shape[1] < domain.dimension:
        raise PinnError(
            f"{file}: its points have {points.shape[1]} coordinates; the domain has {names}"
        )
    for axis in range(domain.dimension, points.shape[1]):
        if np.ptp(points[:, axis]) > 0:
            raise PinnError(
                f"{file}: its points differ in coordinate {axis + 1}; the domain has only {names}"
            )
    return np.asarray(points[:, : domain.dimension], np.float64)
