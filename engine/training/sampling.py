"""Collocation points: drawn by the sampler, inside the domain and on the faces of each condition."""

from __future__ import annotations

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from pinn.core.blame import by
from pinn.core.domain import Box, Face, Points
from pinn.core.errors import PinnError
from pinn.core.problem import Condition, Measurements
from pinn.core.randomness import numpy_generator
from pinn.engine.configuration.config import Config


@frozen
class PointSet:
    """Points as tensors (n, dimension): interior, and by the name of each condition.

    Points of measurements have their values as further columns.
    """

    interior: Tensor
    conditions: dict[str, Tensor]


def draw_points(config: Config, dtype: torch.dtype, device: torch.device) -> PointSet:
    """All points of a run at its start."""
    conditions = {}
    for condition in config.problem.conditions():
        if isinstance(condition, Measurements):
            drawn = condition.table(config.problem.domain)
        else:
            drawn = _on_faces(config, condition, config.points.conditions(condition.name))
        conditions[condition.name] = torch.as_tensor(drawn, dtype=dtype, device=device)
    stream = numpy_generator(config.run.seed, "sampling", 0)
    interior = _draw(config, config.problem.domain, config.points.options.interior, stream)
    return PointSet(torch.as_tensor(interior, dtype=dtype, device=device), conditions)


def redraw_interior(config: Config, draw: int, interior: Tensor, residuals: Tensor) -> Tensor:
    """New interior points in place of those with these residuals; `draw` numbers the redraws."""
    stream = numpy_generator(config.run.seed, "sampling", draw)
    old, seen = interior.double().cpu().numpy(), residuals.double().cpu().numpy()
    new = config.points.sampler.redraw(config.problem.domain, old, seen, stream)
    return torch.as_tensor(_checked(config, new, old.shape)).to(interior)


def _on_faces(config: Config, condition: Condition, count: int) -> Points:
    """`count` points shared out evenly over the faces of the condition; a corner needs but one."""
    faces = [config.problem.domain.face(text) for text in condition.on]
    shares = [len(part) for part in np.array_split(np.empty(count), len(faces))]
    return np.concatenate(
        [
            _on_face(config, face, max(share, 1), f"condition {condition.name} {place}")
            for place, (face, share) in enumerate(zip(faces, shares, strict=True))
        ]
    )


def _on_face(config: Config, face: Face, count: int, stream: str) -> Points:
    if face.free is None:
        return face.embed(np.empty((1, 0)))
    generator = numpy_generator(config.run.seed, stream)
    return face.embed(_draw(config, face.free, count, generator))


def _draw(config: Config, box: Box, count: int, generator: np.random.Generator) -> Points:
    points = config.points.sampler.draw(box, count, generator)
    return _checked(config, points, (count, box.dimension))


def _checked(config: Config, points: Points, shape: tuple[int, ...]) -> Points:
    points = np.asarray(points)
    if points.shape != shape:
        raise PinnError(
            f"sampler {config.points.sampler.name!r}{by(config.points.sampler)} returned points of "
            f"shape {points.shape}; expected {shape}"
        )
    return points
