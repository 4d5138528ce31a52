"""Collocation points: drawn by the sampler, inside the domain and on the faces of each condition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pinn.core.domain import Box, Face, Points, PointSet
from pinn.core.errors import PartError, Whence
from pinn.core.parts import Sampler
from pinn.core.problem import Condition, Measurements, Problem
from pinn.core.randomness import numpy_generator
from pinn.engine.configuration.config import Collocation


def draw_points(problem: Problem, points: Collocation, seed: int, like: Tensor) -> PointSet:
    """All points of a run at its start, in the precision and on the device of `like`."""
    conditions = {}
    for condition in problem.conditions():
        if isinstance(condition, Measurements):
            drawn = condition.table(problem.domain)
        else:
            sampler, count = points.of_condition(condition.name)
            drawn = _on_faces(condition, problem.domain, count, sampler, seed)
        conditions[condition.name] = torch.as_tensor(drawn, dtype=like.dtype, device=like.device)
    stream = numpy_generator(seed, "sampling", 0)
    interior = _draw(points.sampler, problem.domain, points.options.interior, stream)
    return PointSet(torch.as_tensor(interior, dtype=like.dtype, device=like.device), conditions)


def redraw_interior(
    sampler: Sampler,
    domain: Box,
    seed: int,
    draw: int,
    count: int,
    interior: Tensor,
    residuals: Callable[[Tensor], Tensor],
) -> Tensor:
    """`count` new interior points in place of these.

    Where their number changes, the sampler sees points that it has drawn as at the start.

    Args:
        draw: numbers the redraws.
        residuals: (equations, n) at points (n, dimension).
    """

    def seen(points: Points) -> Points:
        return residuals(torch.as_tensor(points).to(interior)).double().cpu().numpy()

    stream = numpy_generator(seed, "sampling", draw)
    old = interior.double().cpu().numpy()
    if count != len(old):
        old = _draw(sampler, domain, count, stream)
    new = _checked(sampler, sampler.redraw(domain, old, seen, stream), old.shape)
    return torch.as_tensor(new).to(interior)


def _on_faces(condition: Condition, domain: Box, count: int, sampler: Sampler, seed: int) -> Points:
    """`count` points shared out evenly over the faces of the condition; a corner needs but one."""
    faces = [domain.face(text) for text in condition.on]
    shares = [len(part) for part in np.array_split(np.empty(count), len(faces))]
    return np.concatenate(
        [
            _on_face(
                face,
                max(share, 1),
                sampler,
                numpy_generator(seed, f"condition {condition.name} {place}"),
            )
            for place, (face, share) in enumerate(zip(faces, shares, strict=True))
        ]
    )


def _on_face(face: Face, count: int, sampler: Sampler, generator: np.random.Generator) -> Points:
    if face.free is None:
        return face.embed(np.empty((1, 0)))
    return face.embed(_draw(sampler, face.free, count, generator))


def _draw(sampler: Sampler, box: Box, count: int, generator: np.random.Generator) -> Points:
    return _checked(sampler, sampler.draw(box, count, generator), (count, box.dimension))


def _checked(sampler: Sampler, points: Points, shape: tuple[int, ...]) -> Points:
    points = np.asarray(points)
    if points.shape != shape:
        raise PartError(
            f"sampler {sampler.name!r}",
            Whence(sampler),
            f" returned points of shape {points.shape}; expected {shape}",
        )
    return points
