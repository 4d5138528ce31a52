"""A problem's residuals, as functions of a network and of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import PartError, PinnError, Whence, one_of
from pinn.core.problem import Problem
from pinn.core.tracebacks import one_line
from pinn.engine.derivatives.jets import Functional, Jets, jets
from pinn.engine.derivatives.quantities import Forms, Quantities, named_tensors
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

    def __call__(
        self, network: NetworkCall, points: Tensor, unknowns: Unknowns | None = None
    ) -> Tensor:
        """Residuals (len(names), n) of the network at points (n, dimension).

        Further columns of the points are measured values, one a residual, and are subtracted.
        """
        places, measured = points.tensor_split([self.problem.domain.dimension], 1)
        found = self.of(quantities(self.problem, network, places, self.jets, unknowns), len(points))
        return found - measured.T if measured.shape[1] else found

    def of(self, q: Quantities, count: int) -> Tensor:
        """Residuals (len(names), count) of the quantities at so many points."""
        tensors = named_tensors(self.law(q), count, self.what, self.single)
        return torch.stack(list(tensors.values()))


def residuals(
    problem: Problem, law: Law, what: str, single: str | None = None, dtype: Any = torch.float32
) -> Residuals:
    """Find what `law` asks for.

    Args:
        what: how messages call the law, such as "the equations of heat".
        single: the name of the residual where the law returns a bare tensor.

    Raises:
        PinnError: the law asks for something unknown, fails, or returns the wrong shape.
    """
    _check_names(problem)
    requests: list[Functional] = [{(0,) * problem.domain.dimension: 1.0}]
    generator = torch.Generator().manual_seed(0)

    def numbers() -> Tensor:
        return torch.rand(PROBE_POINTS, generator=generator, dtype=dtype) + 0.5

    def record(forms: Forms) -> Tensor:
        requests.extend(form for form in forms.values() if any(form.values()))
        return numbers()

    low = torch.tensor(problem.domain.lower, dtype=dtype)
    high = torch.tensor(problem.domain.upper, dtype=dtype)
    middle = low + (high - low) * torch.rand(
        PROBE_POINTS, len(low), generator=generator, dtype=dtype
    )
    places = dict(zip(problem.domain.names, middle.T, strict=True))
    try:
        start = start_values(problem, low)
        found = law(Quantities(places, problem.fields, record, start))
        named = named_tensors(found, PROBE_POINTS, what, single)
        needed = jets(requests)
    except PinnError as error:
        named_already = what in str(error)
        begin = () if named_already else (f"{what}: ",)
        raise PartError(*begin, *error.pieces, Whence(problem, error)) from None
    except Exception as error:
        raise PartError(f"{what} fail: {one_line(error)}", Whence(problem, error)) from error
    return Residuals(problem, law, what, needed, tuple(named), single)


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
    return _from_series(problem, points, fields, unknowns)


def _coordinates(problem: Problem, points: Tensor, wanted: Jets) -> dict[str, Series]:
    names = enumerate(problem.domain.names)
    return {name: coordinate(points[:, i], i, wanted) for i, name in names}


def _from_series(
    problem: Problem, points: Tensor, fields: Mapping[str, Any], unknowns: Unknowns | None
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

    places = {name: points[:, i] for i, name in enumerate(problem.domain.names)}
    return Quantities(places, problem.fields, resolve, unknowns)


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
    series = _coordinates(problem, points, law.jets)
    fields = problem.solution(Quantities(series, (), unknowns=true))
    if fields is None:
        raise PinnError(f"{problem.name} has no exact solution")
    return law.of(_from_series(problem, points, fields, true), len(points))
