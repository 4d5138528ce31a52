"""What was trained as a function for other programs: torch.export, ONNX."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pinn.core.errors import PinnError
from pinn.core.files import write_atomically
from pinn.core.problem import Problem
from pinn.core.tracebacks import first_line
from pinn.engine.derivatives.ansatz import behind_ansatz
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.scales import scaled
from pinn.engine.derivatives.unknowns import unknown_values

POINTS = 7
"""Of the example that is traced; the function takes any number."""


class Solution(nn.Module):
    """Coordinates (n, dimension) to the fields (n, fields), scales and ansatz included."""

    def __init__(self, problem: Problem, network: nn.Module) -> None:
        super().__init__()
        self.problem = problem
        self.network = network

    def forward(self, coordinates: Tensor) -> Tensor:
        problem = self.problem
        outputs = self.network(coordinates)
        places = {name: coordinates[:, i] for i, name in enumerate(problem.domain.names)}
        unknowns = unknown_values(problem, dict(self.network.named_parameters()))
        fields = behind_ansatz(problem, places, scaled(problem, outputs), unknowns, self.network)
        return torch.stack([fields[name] for name in components(problem)], 1)


def export_function(path: Path, problem: Problem, network: nn.Module, dtype: torch.dtype) -> None:
    """Write the solution as a function, in the format that the path's ending says.

    Raises:
        PinnError: a package is missing, or the network cannot be traced.
        TrainingError: the file cannot be written.
    """
    solution = Solution(problem, network).eval().requires_grad_(False)
    low = torch.tensor(problem.domain.lower, dtype=dtype)
    high = torch.tensor(problem.domain.upper, dtype=dtype)
    example = low + (high - low) * torch.linspace(0.1, 0.9, POINTS, dtype=dtype)[:, None]
    try:
        with _silent():
            program = torch.export.export(
                solution, (example,), dynamic_shapes=({0: torch.export.Dim("points")},)
            )
        content = EXPORTED[path.suffix](program, problem)
    except PinnError:
        raise
    except Exception as error:  # whatever a tracer cannot follow in a network or an ansatz
        raise PinnError(
            f"{path}: the network and the ansatz of {problem.name} cannot be exported for any number "
            f"of points: {first_line(error)}"
        ) from error
    write_atomically(path, content)


def _pt2(program: torch.export.ExportedProgram, problem: Problem) -> bytes:
    buffer = io.BytesIO()
    names = {"coordinates": problem.domain.names, "fields": components(problem)}
    torch.export.save(program, buffer, extra_files={"pinn.json": json.dumps(names)})
    return buffer.getvalue()


def _onnx(program: torch.export.ExportedProgram, problem: Problem) -> bytes:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise PinnError(
            f"to write .onnx needs the package {missing[0]}: pip install 'pinn-dynamics[onnx]'"
        )
    with _silent():
        found: Any = torch.onnx.export(
            program, input_names=["coordinates"], output_names=["fields"], dynamo=True
        )
    content: bytes = found.model_proto.SerializeToString()
    return content


@contextmanager
def _silent() -> Iterator[None]:
    """Without what exporters print and warn of, which is of their own code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


EXPORTED: dict[str, Callable[[torch.export.ExportedProgram, Problem], bytes]] = {
    ".pt2": _pt2,
    ".onnx": _onnx,
}
"""Endings of the files that hold a function."""
