"""A problem's residuals, as functions of a network and of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import PartError, PinnError, Whence, one_of
from pinn.core.problem import Condition, Measurements, Problem
from pinn.core.tracebacks import one_line
from pinn.engine.derivatives.jets import Functional, Jets, jets
from pinn.engine.derivatives.quadrature import quadrature
from pinn.engine.derivatives.quantities import Forms, Places, Quantities, named_tensors
from pinn.engine.derivatives.series import Series, coordinate
from pinn.engine.derivatives.unknowns import start_values, true_values

NetworkCall = Callable[[Any], Any]
Law = Callable[[Quantities], Any]
Unknowns = Mapping[str, Tensor]
"""Values of a problem's unknowns, scalars."""

PROBE_POINTS = 3


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
    normals: bool = False
    """Whether the law asks for the outward normal: points have it as further columns then."""

    def __call__(
        self, network: NetworkCall, points: Tensor, unknowns: Unknowns | None = None
    ) -> Tensor:
        """Residuals (len(names), n) of the network at points (n, dimension).

        Further columns of the points are the outward normals, where the law asks for them, or measured
        values, one a residual, which are subtracted, and their standard deviations, if known, by which
        the differences are divided.
        """
        if not self.names:
            return points.new_zeros(0, len(points))
        places, normals, measured = self.split(points)
        q = quantities(self.problem, network, places, self.jets, unknowns, normals)
        found = self.of(q, len(points))
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

    def of(self, q: Quantities, count: int) -> Tensor:
        """Residuals (len(names), count) of the quantities at so many points; there is at least one."""
        tensors = named_tensors(self.law(q), count, self.what, self.single)
        return torch.stack(list(tensors.values()))


def residuals(
    problem: Problem,
    law: Law,
    what: str,
    single: str | None = None,
    dtype: Any = torch.float32,
    may_lack: bool = False,
) -> Residuals:
    """Find what `law` asks for.

    Args:
        what: how messages call the law, such as "the equations of heat".
        single: the name of the residual where the law returns a bare tensor.
        may_lack: whether {} is an answer: equations may be none, where data say all that is known.

    Raises:
        PinnError: the law asks for something unknown, fails, or returns the wrong shape.
    """
    _check_names(problem)
    requests: list[Functional] = [{(0,) * problem.domain.dimension: 1.0}]
    generator = torch.Generator().manual_seed(0)

    asked_for_normals = []

    def recording(points: Tensor, normals: Tensor | None) -> Quantities:
        """q that notes what it is asked for, and answers with arbitrary numbers."""

        def numbers(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=dtype) + 0.5

        def record(forms: Forms) -> Tensor:
            requests.extend(form for form in forms.values() if any(form.values()))
            return numbers(len(points))

        def normal() -> Tensor:
            asked_for_normals.append(True)
            return numbers(*points.shape)

        own = normal if of_condition else None
        places = Places(
            points,
            recording,
            partial(quadrature, problem.domain),
            own if normals is None else lambda: normals,
        )
        return Quantities(_by_name(problem, points), problem.fields, record, start, places)

    low = torch.tensor(problem.domain.lower, dtype=dtype)
    high = torch.tensor(problem.domain.upper, dtype=dtype)
    middle = low + (high - low) * torch.rand(
        PROBE_POINTS, len(low), generator=generator, dtype=dtype
    )
    of_condition = single is not None
    try:
        start = start_values(problem, low)
        found = law(recording(middle, None))
        none = may_lack and isinstance(found, Mapping) and not found
        named = {} if none else named_tensors(found, PROBE_POINTS, what, single)
        needed = jets(requests)
    except PinnError as error:
        named_already = what in str(error)
        begin = () if named_already else (f"{what}: ",)
        raise PartError(*begin, *error.pieces, Whence(problem, error)) from None
    except Exception as error:
        raise PartError(f"{what} fail: {one_line(error)}", Whence(problem, error)) from error
    normals = bool(asked_for_normals)
    return Residuals(problem, law, what, needed, tuple(named), single, normals)


def condition_law(
    problem: Problem, condition: Condition | Measurements, dtype: Any = torch.float32
) -> Residuals:
    """The residuals of a condition; of measurements, what was measured."""
    law: Law = condition.residual
    if isinstance(condition, Measurements):
        law = partial(condition.residual, observables=problem.observables)
    what = f"condition {condition.name!r} of {problem.name}"
    return residuals(problem, law, what, condition.name, dtype)


def _check_names(problem: Problem) -> None:
    names = [*problem.domain.names, *problem.fields, *problem.unknowns()]
    for name in names:
        if names.count(name) > 1 or name == "d" or name.startswith("_"):
            raise PartError(
                problem.name,
                Whence(problem),
                f": {name!r} cannot name a coordinate, field or unknown: names must differ, not begin "
                'with "_", and not be "d", which is how q takes derivatives',
            )


def quantities(
    problem: Problem,
    network: NetworkCall,
    points: Tensor,
    wanted: Jets,
    unknowns: Unknowns | None = None,
    normals: Tensor | None = None,
) -> Quantities:
    """q for the fields of a network at `points` (n, dimension), with derivatives."""
    inputs: Any = [
        coordinate(points[:, i : i + 1], i, wanted) for i in range(problem.domain.dimension)
    ]
    outputs = network(torch.cat(inputs, -1))
    if tuple(outputs.shape) != (len(points), len(problem.fields)):
        raise PinnError(
            f"the network returned shape {tuple(outputs.shape)} for {len(points)} points and the "
            f"fields {', '.join(problem.fields)}; expected ({len(points)}, {len(problem.fields)})"
        )
    raw = {field: outputs[:, i] for i, field in enumerate(problem.fields)}
    series = _coordinates(problem, points, wanted)
    fields = problem.ansatz(Quantities(series, raw, unknowns=unknowns))
    if set(fields) != set(problem.fields):
        raise PartError(
            f"the ansatz of {problem.name} must return the fields {one_of(problem.fields)}, "
            f"not {one_of(fields)}",
            Whence(problem),
        )

    def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
        return quantities(problem, network, others, wanted, unknowns, there)

    return _from_series(problem, points, fields, unknowns, normals, elsewhere)


def _coordinates(problem: Problem, points: Tensor, wanted: Jets) -> dict[str, Series]:
    names = enumerate(problem.domain.names)
    return {name: coordinate(points[:, i], i, wanted) for i, name in names}


def _by_name(problem: Problem, points: Tensor) -> dict[str, Tensor]:
    return {name: points[:, i] for i, name in enumerate(problem.domain.names)}


def _from_series(
    problem: Problem,
    points: Tensor,
    fields: Mapping[str, Any],
    unknowns: Unknowns | None,
    normals: Tensor | None,
    elsewhere: Callable[[Tensor, Tensor | None], Quantities],
) -> Quantities:
    """q for fields that are given as Taylor series."""

    def resolve(forms: Forms) -> Tensor:
        try:
            terms = [fields[name].read(form) for name, form in forms.items() if any(form.values())]
        except KeyError:
            raise PinnError(
                f"the equations of {problem.name} ask for another combination of derivatives than at "
                f"first: {_written(problem, forms)}; a factor must be a number known beforehand, or a "
                "tensor, but no float(…) of a tensor"
            ) from None
        return sum(terms[1:], terms[0]) if terms else torch.zeros_like(points[:, 0])

    places = Places(
        points,
        elsewhere,
        partial(quadrature, problem.domain),
        None if normals is None else lambda: normals,
    )
    return Quantities(_by_name(problem, points), problem.fields, resolve, unknowns, places)


def _written(problem: Problem, forms: Forms) -> str:
    """Such as "1 u_t + -0.1 u_xx"."""
    names = problem.domain.names
    terms = []
    for field, form in forms.items():
        for index, factor in form.items():
            letters = "".join(name * degree for name, degree in zip(names, index, strict=True))
            terms.append(f"{factor:g} {field}{'_' if letters else ''}{letters}")
    return " + ".join(terms)


def exact_residuals(law: Residuals, points: Tensor) -> Tensor:
    """Residuals (len(names), n) of the problem's own exact `solution`."""
    problem = law.problem
    true = true_values(problem, points)

    def exact(places: Tensor, normals: Tensor | None) -> Quantities:
        series = _coordinates(problem, places, law.jets)
        fields = problem.solution(Quantities(series, (), unknowns=true))
        if fields is None:
            raise PinnError(f"{problem.name} has no exact solution")
        return _from_series(problem, places, fields, true, normals, exact)

    places, normals, _ = law.split(points)
    return law.of(exact(places, normals), len(points))
