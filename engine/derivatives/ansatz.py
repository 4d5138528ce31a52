"""The fields of a problem as series: of a network behind the ansatz, or of the exact solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pinn.core.errors import PartError, PinnError, Whence, one_of
from pinn.core.problem import Problem
from pinn.core.tracebacks import one_line
from pinn.engine.derivatives.fields import Columns, components
from pinn.engine.derivatives.hints import hint_for
from pinn.engine.derivatives.jets import Jets
from pinn.engine.derivatives.quantities import Places, Quantities, parts_of
from pinn.engine.derivatives.scales import scaled
from pinn.engine.derivatives.series import Series, coordinate
from pinn.engine.derivatives.unknowns import true_values

NetworkCall = Callable[[Any], Any]
Unknowns = Mapping[str, Tensor]
"""Values of a problem's unknowns, scalars."""


def field_series(
    problem: Problem,
    network: NetworkCall,
    points: Tensor,
    wanted: Jets,
    unknowns: Unknowns | None = None,
) -> dict[str, Series]:
    """The fields of a network behind the ansatz, near points (n, dimension); a complex one is two."""
    columns = [coordinate(points[:, i : i + 1], i, wanted) for i in range(problem.domain.dimension)]
    together: Any = torch.cat(columns, -1)  # type: ignore[arg-type]
    outputs = network(Columns(columns) if isinstance(problem.fields, Mapping) else together)
    expected = len(points), len(components(problem))
    if tuple(outputs.shape) != expected:
        raise PinnError(
            f"the network returned shape {tuple(outputs.shape)} for {len(points)} points and the "
            f"fields {', '.join(components(problem))}; expected {expected}"
        )
    raw = scaled(problem, outputs)
    if type(problem).ansatz is Problem.ansatz:
        return raw
    places = coordinate_series(problem, points, wanted)
    return behind_ansatz(problem, places, raw, unknowns, network)


def behind_ansatz(
    problem: Problem,
    places: Mapping[str, Any],
    raw: Mapping[str, Any],
    unknowns: Unknowns | None,
    network: NetworkCall,
) -> dict[str, Any]:
    """The fields that the ansatz makes of the network's outputs, series or tensors; a complex one is
    two. It may ask for those elsewhere, `q.at(x=1).u`.

    Raises:
        PartError: other fields, or what is no field.
    """

    def q(places: Mapping[str, Any], raw: Mapping[str, Any]) -> Quantities:
        given = dict(raw)
        for name in problem.complex_fields:
            given[name] = torch.complex(*(raw[part] for part in parts_of(name)))
        points: Any = torch.stack([*places.values()], 1)
        around = Places(points, elsewhere, _no_quadrature)
        return Quantities(places, given, unknowns=unknowns, places=around)

    def elsewhere(points: Any, _: Any) -> Quantities:
        columns = dict(zip(problem.domain.names, points.unbind(1), strict=True))
        return q(columns, scaled(problem, network(points)))

    try:
        found = problem.ansatz(q(places, raw))
    except PinnError as error:
        raise PartError(
            f"the ansatz of {problem.name}: ", *error.pieces, Whence(problem, error)
        ) from None
    except (TypeError, ValueError, RuntimeError) as error:
        if hint := hint_for(error):
            raise PartError(
                f"the ansatz of {problem.name} fails: {one_line(error)}{hint}",
                Whence(problem, error),
            ) from error
        raise
    if not isinstance(found, Mapping) or set(found) != set(problem.fields):
        names = one_of(found) if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise PartError(
            f"the ansatz of {problem.name} must return the fields {one_of(problem.fields)}, "
            f"not {names}",
            Whence(problem),
        )
    what = f"the ansatz of {problem.name}"
    return as_fields(problem, found, next(iter(raw.values())), what)


def _no_quadrature(*_: Any) -> Any:
    raise PinnError("q.integral is not known in an ansatz: state it as a condition")


def as_fields(problem: Problem, found: Mapping[str, Any], like: Any, what: str) -> dict[str, Any]:
    """Fields that a problem made, each in the shape of `like`, (n,), a series or a tensor; numbers are
    fields that are the same everywhere, and a complex field is two.

    Raises:
        PartError: one is no number and has another shape.
    """
    fields: dict[str, Any] = {}
    for name in problem.fields:
        value = as_field(found[name], like)
        if value is None:
            shape = getattr(found[name], "shape", None)
            shown = type(found[name]).__name__ if shape is None else f"of shape {tuple(shape)}"
            raise PartError(
                f"{what} returns {name!r} {'as ' if shape is None else ''}{shown}; expected a number "
                f"at each point, {tuple(like.shape)}, made of q by torch, or one number",
                Whence(problem),
            )
        if name not in problem.complex_fields and value.dtype.is_complex:
            raise PartError(
                f"{what} returns complex numbers for {name!r}; a field of complex values is named in "
                f"complex_fields = ({name!r},)",
                Whence(problem),
            )
        if name in problem.complex_fields:
            real, imaginary = parts_of(name)
            zero = value * 0 if not value.dtype.is_complex else value.imag
            fields |= {real: value.real if value.dtype.is_complex else value, imaginary: zero}
        else:
            fields[name] = value
    return fields


def as_field(value: Any, like: Any) -> Any:
    """A series or tensor in the shape of `like`, from one or a number; None where it is neither."""
    if isinstance(value, int | float | complex):
        kind = (
            torch.promote_types(like.dtype, torch.complex64) if isinstance(value, complex) else None
        )
        value = torch.as_tensor(value, dtype=kind or like.dtype, device=like.device)
    if not isinstance(value, Series | Tensor) or tuple(value.shape) not in ((), tuple(like.shape)):
        return None
    if isinstance(value, Series):
        return value if value.shape else value + torch.zeros_like(like)
    value = value.expand(like.shape)
    if not (value.is_floating_point() or value.is_complex()):
        value = value.to(like.dtype)
    return Series({0: value}, like.jets) if isinstance(like, Series) else value


def coordinate_series(problem: Problem, points: Tensor, wanted: Jets) -> dict[str, Series]:
    names = enumerate(problem.domain.names)
    return {name: coordinate(points[:, i], i, wanted) for i, name in names}


def exact_fields(problem: Problem, points: Tensor, wanted: Jets) -> dict[str, Series] | None:
    """The fields of the exact solution near points (n, dimension), where it is known.

    Raises:
        PartError: a field is missing, or is none.
    """
    series = coordinate_series(problem, points, wanted)
    found = problem.solution(Quantities(series, (), unknowns=true_values(problem, points)))
    if found is None:
        return None
    what = f"the solution of {problem.name}"
    missing = [name for name in problem.fields if name not in found]
    if missing:
        raise PartError(f"{what} lacks the fields {one_of(missing)}", Whence(problem))
    return as_fields(problem, found, next(iter(series.values())), what)
