"""A problem's residuals, as functions of a network and of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from pinn.core.errors import PinnError
from pinn.core.problem import Problem
from pinn.engine.derivatives.ansatz import NetworkCall, Unknowns, field_series
from pinn.engine.derivatives.expressions import Expansion, derivative_of_series, expanded
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.jets import Jets
from pinn.engine.derivatives.quadrature import quadrature
from pinn.engine.derivatives.quantities import (
    Differentiate,
    Elsewhere,
    Forms,
    Places,
    Quantities,
    Resolve,
    named_tensors,
)
from pinn.engine.derivatives.series import Series

Law = Callable[[Quantities], Any]
Earlier = tuple[NetworkCall, Unknowns | None]
"""The network as it was, and the unknowns."""


@frozen
class Residuals:
    """Named tensors of shape (n,) that `law` makes from the quantities at n points.

    `equations`, one condition, and the observables of a problem are each one of these. Which
    derivatives the law needs is found once, by calling it on arbitrary numbers.
    """

    problem: Problem
    law: Law
    what: str
    jets: Jets
    names: tuple[str, ...]
    single: str | None = None
    expansion: Expansion | None = None
    normals: bool = False
    """Whether the law asks for the outward normal: points have it as further columns then."""
    remembers: bool = False
    """Whether the law asks for the fields as they were, `q.earlier`."""

    def __call__(
        self,
        network: NetworkCall,
        points: Tensor,
        unknowns: Unknowns | None = None,
        earlier: Earlier | None = None,
    ) -> Tensor:
        """Residuals (len(names), n) of the network at points (n, dimension).

        Further columns of the points are the outward normals, where the law asks for them, or measured
        values, one a residual, which are subtracted, and their standard deviations, if known, by which
        the differences are divided.
        """
        if not self.names:
            return points.new_zeros(0, len(points))
        places, normals, measured = self.split(points)
        fields = field_series(self.problem, network, places, self.jets, unknowns)

        def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
            return quantities(self.problem, network, others, self.jets, unknowns, there)

        def before() -> Quantities:
            assert earlier is not None
            then, knowns = earlier
            return quantities(self.problem, then, places, self.jets, knowns, normals)

        resolve = read_series(self.problem, places, fields)
        as_it_was = None if earlier is None else before
        found = self.at(places, resolve, unknowns, elsewhere, normals, as_it_was)
        if not measured.shape[1]:
            return found
        values, *deviations = measured.T.split(len(found))
        return (found - values) / deviations[0] if deviations else found - values

    def split(self, points: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Places (n, dimension), the normals there, and measured values."""
        dimension = self.problem.domain.dimension
        ends = [dimension, dimension * (2 if self.normals else 1)]
        places, normals, measured = points.tensor_split(ends, 1)
        return places, normals if self.normals else None, measured

    def with_any_normals(self, places: Tensor) -> Tensor:
        """Points to try the law at, where the normals are of no matter."""
        normal = torch.ones_like(places) / places.shape[1] ** 0.5
        return torch.cat([places, normal], 1) if self.normals else places

    def at(
        self,
        points: Tensor,
        resolve: Resolve,
        unknowns: Unknowns | None,
        elsewhere: Elsewhere,
        normals: Tensor | None,
        earlier: Callable[[], Quantities] | None = None,
    ) -> Tensor:
        """Residuals (len(names), n) at points (n, dimension), where `resolve` knows the derivatives."""
        places = evolve(places_of(self.problem, points, elsewhere, normals), earlier=earlier)
        q = law_quantities(self.problem, places, resolve, unknowns, self.expansion)
        return self.stacked(self.law(q), len(points))

    def stacked(self, found: Any, count: int) -> Tensor:
        """What the law returned as (len(names), count), divided by what the problem says of its size; at
        least one."""
        tensors = named_tensors(found, count, self.what, self.single)
        sizes = self.problem.residual_scales
        of_all = sizes.get(self.single or "", 1.0)
        scaled = [r / sizes.get(name, of_all) if sizes else r for name, r in tensors.items()]
        return torch.stack(scaled)


def places_of(
    problem: Problem, points: Tensor, elsewhere: Elsewhere, normals: Tensor | None
) -> Places:
    """Where a law is asked, (n, dimension), and how it sees other places."""
    known = None if normals is None else lambda: normals
    return Places(points, elsewhere, partial(quadrature, problem.domain), known)


def coordinates_of(problem: Problem, points: Tensor) -> dict[str, Tensor]:
    return {name: points[:, i] for i, name in enumerate(problem.domain.names)}


def law_quantities(
    problem: Problem,
    places: Places,
    resolve: Resolve,
    unknowns: Unknowns | None = None,
    steps: Expansion | None = None,
) -> Quantities:
    """q at some places for a law that is expanded so far, where `resolve` gives numbers."""
    named = coordinates_of(problem, places.points)
    if steps is None:
        return quantities_at(problem, named, resolve, unknowns, _unexpected(problem), places)
    coordinates, series = expanded(named, steps.jets), steps.resolve(resolve)

    def known(forms: Forms) -> Series:
        try:
            return series(forms)
        except KeyError:
            raise _other_forms(problem, forms) from None

    return quantities_at(problem, coordinates, known, unknowns, derivative_of_series, places)


def quantities_at(
    problem: Problem,
    places: Mapping[str, Any],
    resolve: Resolve,
    unknowns: Unknowns | None,
    differentiate: Differentiate,
    around: Places,
) -> Quantities:
    """q for coordinates by name, where these know the derivatives of fields and of expressions."""
    own = components(problem), resolve, unknowns, differentiate, problem.complex_fields
    return Quantities(places, *own, around)


def _unexpected(problem: Problem) -> Differentiate:
    def differentiate(*_: Any) -> Any:
        raise PinnError(
            f"the equations of {problem.name} take the derivative of an expression, which at first "
            "they did not: they must not depend on values"
        )

    return differentiate


def quantities(
    problem: Problem,
    network: NetworkCall,
    points: Tensor,
    wanted: Jets,
    unknowns: Unknowns | None = None,
    normals: Tensor | None = None,
) -> Quantities:
    """q for the fields of a network at `points` (n, dimension), with derivatives."""
    fields = field_series(problem, network, points, wanted, unknowns)

    def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
        return quantities(problem, network, others, wanted, unknowns, there)

    places = places_of(problem, points, elsewhere, normals)
    return law_quantities(problem, places, read_series(problem, points, fields), unknowns)


def read_series(problem: Problem, points: Tensor, fields: Mapping[str, Any]) -> Resolve:
    """The derivatives of fields that are given as Taylor series."""

    def resolve(forms: Forms) -> Tensor:
        try:
            terms = [fields[name].read(form) for name, form in forms.items() if any(form.values())]
        except KeyError:
            raise _other_forms(problem, forms) from None
        return sum(terms[1:], terms[0]) if terms else torch.zeros_like(points[:, 0])

    return resolve


def _other_forms(problem: Problem, forms: Forms) -> PinnError:
    return PinnError(
        f"the equations of {problem.name} ask for another combination of derivatives than at "
        f"first: {_written(problem, forms)}; a factor must be a number known beforehand, or a "
        "tensor, but no float(…) of a tensor"
    )


def _written(problem: Problem, forms: Forms) -> str:
    """Such as "1 u_t + -0.1 u_xx"."""
    names = problem.domain.names
    terms = []
    for field, form in forms.items():
        for index, factor in form.items():
            letters = "".join(name * degree for name, degree in zip(names, index, strict=True))
            terms.append(f"{factor:g} {field}{'_' if letters else ''}{letters}")
    return " + ".join(terms)
