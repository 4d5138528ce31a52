"""Reflections under which a problem keeps its form, and the signs that its fields take in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from pinn.core.domain import Box
from pinn.core.errors import out_of_memory
from pinn.core.problem import Condition, Measurements, Problem
from pinn.engine.derivatives.mixing import smooth_fields, some_points
from pinn.engine.derivatives.residuals import Residuals
from pinn.engine.derivatives.unknowns import start_values

Signs = tuple[int, ...]
"""For each output of the network 1, if it is even about the middle of a coordinate, or −1, if odd."""
MOST_OUTPUTS = 3
"""Whose signs are not stated, so that all combinations are tried."""
POINTS = 256
ROUNDING, NOTHING = 1e-11, 1e-14
"""Of a residual, beside the largest one and by itself."""


@frozen
class Reflections:
    """Which reflections x ↦ x* of one coordinate about its middle keep the form of a problem.

    With a sign s for every output of the network one does, if residuals of the mirror image s N(x*) of
    any network N are those of N at the reflected places but for a sign, r[s N*](x) = ± r[N](x*), for the
    equations and for all conditions, of which one may take the place of another. Then the mirror image
    of a solution is one, too; where there is only one, it has these signs. Tried at 256 points and for
    one N, that has no symmetry itself.

    Attributes:
        equations, conditions: of one problem, the conditions with the laws made of them.
    """

    equations: Residuals
    conditions: Sequence[tuple[Condition | Measurements, Residuals]]

    @property
    def problem(self) -> Problem:
        return self.equations.problem

    def signs(self, coordinate: str, stated: Sequence[int]) -> list[Signs] | None:
        """All that do and agree with those stated, 0 for any; None where that is not known, of data,
        shapes, or too many combinations."""
        if stated.count(0) > MOST_OUTPUTS:
            return None
        every = list(product(*((sign,) if sign else (1, -1) for sign in stated)))
        found = [self.keep(coordinate, signs) for signs in every]
        if None in found:
            return None
        return [signs for signs, kept in zip(every, found, strict=True) if kept]

    def keep(self, coordinate: str, signs: Signs) -> bool | None:
        """Whether these do; None where that is not known: of data, shapes, fields of some coordinates,
        laws that have no value for N, conditions that hold elsewhere."""
        problem, domain = self.problem, self.problem.domain
        if not isinstance(domain, Box) or isinstance(problem.fields, Mapping):
            return None
        mirror = _Mirror(problem, domain.names.index(coordinate), signs)
        try:
            if (kept := mirror.keeps(_Piece(self.equations), [_Piece(self.equations)])) is not True:
                return kept
            pieces = self._pieces(domain)
            found = None if pieces is None else [mirror.keeps(piece, pieces) for piece in pieces]
        except Exception as error:
            if out_of_memory(error):
                raise
            return None
        return None if found is None or None in found else all(found)

    def _pieces(self, domain: Box) -> list[_Piece] | None:
        """The laws of all conditions, face by face; None where some are not on faces."""
        found = []
        for condition, law in self.conditions:
            if isinstance(condition, Measurements) or condition.at is not None:
                return None
            found += [_Piece(law, domain.face(text).fixed) for text in condition.on]
        return found


@frozen
class _Piece:
    """What holds where some coordinates have a value."""

    law: Residuals
    fixed: Mapping[str, float] = field(factory=dict)

    def at(self, points: Tensor) -> Tensor:
        points = points.clone()
        for name, value in self.fixed.items():
            points[:, self.law.problem.domain.names.index(name)] = value
        return points


@frozen
class _Mirror:
    """The reflection of one coordinate, and the signs that outputs take with it."""

    problem: Problem
    axis: int
    signs: Signs

    def keeps(self, piece: _Piece, others: Sequence[_Piece]) -> bool | None:
        """Whether the image of `piece` is one of the others; None where none of them is in its place, or
        where residuals have no value."""
        name = self.problem.domain.names[self.axis]
        fixed = dict(piece.fixed)
        if name in fixed:
            fixed[name] = self._ends - fixed[name]
        image = evolve(piece, fixed=fixed)
        there = [other for other in others if _same_place(other, image)]
        found = [self._agree(piece, other) for other in there]
        return True if True in found else None if None in found or not found else False

    @property
    def _ends(self) -> float:
        return self.problem.domain.lower[self.axis] + self.problem.domain.upper[self.axis]

    def _agree(self, piece: _Piece, other: _Piece) -> bool | None:
        if len(piece.law.names) != len(other.law.names):
            return False
        points = some_points(self.problem, POINTS, 0.0)
        flip, shift = torch.ones_like(points[0]), torch.zeros_like(points[0])
        flip[self.axis], shift[self.axis] = -1, self._ends
        signs = torch.tensor(self.signs, dtype=points.dtype)

        def network(places: Any) -> Any:
            return smooth_fields(self.problem, places)

        def mirrored(places: Any) -> Any:
            return signs * network(places * flip + shift)

        here = piece.law.with_any_normals(piece.at(points))
        flips = torch.cat([flip, flip]) if piece.law.normals else flip
        elsewhere = here * flips + torch.nn.functional.pad(shift, (0, len(flips) - len(flip)))
        if piece.law.normals != other.law.normals:
            elsewhere = other.law.with_any_normals(elsewhere[:, : len(flip)])
        image, own = (
            _residuals(piece.law, mirrored, here),
            _residuals(other.law, network, elsewhere),
        )
        if not (image.isfinite().all() and own.isfinite().all()):
            return None
        same, opposite = ((image - s * own).abs().amax(1) for s in (1, -1))
        allowed = ROUNDING * own.abs().amax(1) + NOTHING
        return bool((torch.minimum(same, opposite) <= allowed).all())


def _same_place(one: _Piece, other: _Piece) -> bool:
    def rounded(piece: _Piece) -> dict[str, float]:
        return {name: round(value, 9) for name, value in piece.fixed.items()}

    return rounded(one) == rounded(other)


def _residuals(law: Residuals, network: Any, points: Tensor) -> Tensor:
    """Of unknowns near their first values, so that no special one of these stands for all."""
    near = {n: 1.1 * value + 0.1 for n, value in start_values(law.problem, points).items()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        earlier = (network, near) if law.remembers else None
        return law(network, points, near, earlier).double()
