"""Collocation points: drawn by the sampler, inside the domain and on the faces of each condition."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from attrs import evolve
from torch import Tensor

from pinn.core.domain import FIRST_TRIED, MOST_TRIED, Box, Face, Placed, Points, PointSet, Shape
from pinn.core.errors import PartError, PinnError, Whence
from pinn.core.parts import Sampler
from pinn.core.problem import Condition, Measurements, Problem, conditions_of
from pinn.core.randomness import numpy_generator
from pinn.engine.configuration.config import Collocation
from pinn.engine.derivatives.probing import condition_law
from pinn.engine.derivatives.residuals import Residuals


def draw_points(
    problem: Problem, points: Collocation, seed: int, like: Tensor, within: Box | None = None
) -> PointSet:
    """All points of a run at its start, in the precision and on the device of `like`.

    Args:
        within: the part of the domain in which they lie; None: all of it.

    Raises:
        PinnError: a domain or a part of its boundary in which no points lie.
    """
    conditions = draw_conditions(problem, points, seed, like, within)
    stream = numpy_generator(seed, "sampling", 0)
    where = part_of(problem.domain, within)
    interior = _inside(points.sampler, where, points.options.interior, stream)
    return PointSet(torch.as_tensor(interior, dtype=like.dtype, device=like.device), conditions)


def part_of(domain: Shape, within: Box | None) -> Shape:
    """What of the domain lies in a box."""
    if within is None:
        return domain
    return within if isinstance(domain, Box) else domain & within


def draw_conditions(
    problem: Problem, points: Collocation, seed: int, like: Tensor, within: Box | None = None
) -> dict[str, Tensor]:
    """The points of every condition, by its name; of one that has none `within`, those that it has."""
    conditions = {}
    for condition in conditions_of(problem):
        if isinstance(condition, Measurements):
            drawn = _of_those(condition.table(problem.domain), within)
        else:
            law = condition_law(problem, condition)
            if condition.at is not None:
                placed = condition.given(problem.domain)
                drawn = _of_those(with_normals(condition, law, *placed), within)
            else:
                sampler, count = points.of_condition(condition.name)
                placed = _on_faces(condition, problem.domain, count, sampler, seed, within)
                drawn = with_normals(condition, law, *placed)
        conditions[condition.name] = torch.as_tensor(drawn, dtype=like.dtype, device=like.device)
    return conditions


def _of_those(rows: Points, within: Box | None) -> Points:
    """The rows whose point, the first columns, lies in the box; all, if none does."""
    if within is None:
        return rows
    kept = within.inside(rows[:, : within.dimension])
    return rows[kept] if kept.any() else rows


def with_normals(condition: Condition, law: Residuals, points: Points, normals: Points) -> Points:
    """The points, and the normals beside them where the law asks for these.

    Raises:
        PinnError: it does, and there is none somewhere.
    """
    if not law.normals:
        return points
    if np.isnan(normals).any():
        raise PinnError(
            f"condition {condition.name!r} asks for the normal at points that have none: at an edge or "
            "corner, or at points that were given without"
        )
    return np.hstack([points, normals])


def redraw_interior(
    sampler: Sampler,
    domain: Shape,
    seed: int,
    draw: int,
    count: int,
    interior: Tensor,
    residuals: Callable[[Tensor], Tensor],
    memory: Tensor | None,
    anew: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`count` new interior points in place of these, and what the sampler remembers of them.

    Where their number changes, or `anew`, the sampler sees points that it has drawn as at the start.

    Args:
        draw: numbers the redraws.
        residuals: (equations, n) at points (n, dimension).
        memory: what it remembered before.
    """

    def seen(points: Points) -> Points:
        return residuals(torch.as_tensor(points).to(interior)).cpu().double().numpy()

    stream = numpy_generator(seed, "sampling", draw)
    old = interior.cpu().double().numpy()
    if anew or count != len(old):
        old = _inside(sampler, domain, count, stream)
    kept = None if memory is None else memory.cpu().numpy()
    drawn, kept = sampler.redraw_from(kept, domain, old, seen, stream)
    new = _checked(sampler, drawn, old.shape)
    inside = domain.inside(new)
    if not inside.all():  # a sampler that knows boxes alone
        more = _inside(sampler, domain, int((~inside).sum()), stream)
        new = np.concatenate([new[inside], more])
    return torch.as_tensor(new).to(interior), None if kept is None else torch.as_tensor(kept)


def _on_faces(
    condition: Condition,
    domain: Shape,
    count: int,
    sampler: Sampler,
    seed: int,
    within: Box | None,
) -> tuple[Points, Points]:
    """`count` points shared out evenly over the faces of the condition, and the normals there.

    A corner needs but one.
    """
    faces = domain.faces(condition.on)
    if within is not None:
        faces = [_cut(face, within) for face in faces if _reaches(face, within)] or faces
    shares = [len(part) for part in np.array_split(np.empty(count), len(faces))]
    where = f"condition {condition.name!r}, on {', '.join(condition.on)}"
    found = [
        _draw_on(
            where,
            face,
            max(share, 1),
            sampler,
            numpy_generator(seed, f"condition {condition.name} {place}"),
        )
        for place, (face, share) in enumerate(zip(faces, shares, strict=True))
    ]
    points, normals = (np.concatenate(each) for each in zip(*found, strict=True))
    return points, normals


def _reaches(face: Face, within: Box) -> bool:
    """Whether some of the face lies in the box, as far as its coordinates of one value say."""
    low_high = ((within.intervals[name], value) for name, value in face.fixed.items())
    return all(low <= value <= high for (low, high), value in low_high)


def _cut(face: Face, within: Box) -> Face:
    """The face without what lies outside of the box."""
    if face.free is None:
        return face

    def place(parameters: Points) -> Placed:
        points, normals, kept = face.place(parameters)
        return points, normals, kept & within.inside(points)

    return evolve(face, place=place, whole=False)


def _inside(sampler: Sampler, domain: Shape, count: int, generator: np.random.Generator) -> Points:
    return _draw_on("[points] interior", domain.interior(), count, sampler, generator)[0]


def _draw_on(
    where: str, face: Face, count: int, sampler: Sampler, generator: np.random.Generator
) -> tuple[Points, Points]:
    """`count` points and normals: of more parameters where some are cut away, of which so many are kept
    in even strides, so that what a sampler spreads evenly stays so."""
    if face.free is None:
        return face.at(np.empty((1, 0)))
    if face.whole:
        return face.at(_draw(sampler, face.free, count, generator))
    dimension, asked = face.free.dimension, count
    while True:
        along = math.ceil(asked ** (1 / dimension))
        tried = along**dimension  # a number that a grid can draw, too
        points, normals = face.at(_draw(sampler, face.free, tried, generator))
        if len(points) >= count:
            break
        if tried > FIRST_TRIED + MOST_TRIED * count:
            raise PinnError(f"{where}: {len(points):,} of {tried:,} points lie there: too few")
        asked = tried + math.ceil(tried * min(1.02 * count / max(len(points), 1) - 1, 8)) + 1
    chosen = np.linspace(0, len(points) - 1, count).round().astype(int)
    return points[chosen], normals[chosen]


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
