"""The sizes of fields: as the problem states them, or measured from what it says of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pinn.core.errors import PartError, Whence, nearest, one_of
from pinn.core.problem import Problem
from pinn.engine.derivatives.fields import parts_of_field
from pinn.engine.derivatives.known_values import values_of_conditions, values_of_measurements

MEASURED = "measured"

Scales = Mapping[str, tuple[Any, Any]]
"""(middle, size) of fields: middle + size × the network's output."""


def scales_of(problem: Problem) -> Scales:
    if isinstance(problem.scales, str):
        return _remembered(problem)
    return {name: middle_and_size(scale) for name, scale in problem.scales.items()}


def scaled(problem: Problem, outputs: Any) -> dict[str, Any]:
    """The fields from a network's outputs (n, components), each in its scale."""
    found: dict[str, Any] = {}
    scales = scales_of(problem)
    for field in problem.fields:
        middle, size = scales.get(field, (0.0, 1.0))
        middles = complex(middle).real, complex(middle).imag
        for part, shift in zip(parts_of_field(problem, field), middles, strict=False):
            column = outputs[:, len(found)]
            column = column if size == 1 else size * column
            found[part] = column + shift if shift else column
    return found


def middle_and_size(scale: Any) -> tuple[Any, Any]:
    """Of a scale that is a size around 0, or (middle, size)."""
    return scale if isinstance(scale, tuple) and len(scale) == 2 else (0.0, scale)


def measured_scales(problem: Problem) -> dict[str, tuple[float, float]]:
    """The scale of each real field of which measurements or conditions give values other than 0.

    The middle is that of their range, the size half of it, at least |middle|: so an untrained network
    starts around it.
    """
    found: dict[str, list[float]] = {}
    for known in (*values_of_conditions(problem), *values_of_measurements(problem)):
        found.setdefault(known.field, []).extend((known.values.min(), known.values.max()))
    return {
        field: _around(min(values), max(values)) for field, values in found.items() if any(values)
    }


def _around(low: float, high: float) -> tuple[float, float]:
    middle = (low + high) / 2
    return middle, max((high - low) / 2, abs(middle))


def check_scales(problem: Problem) -> None:
    """
    Raises:
        PartError: no size, or one of what is no field; "measured" behind an ansatz.
    """
    begin = problem.name, Whence(problem)
    if problem.scales == MEASURED and type(problem).ansatz is not Problem.ansatz:
        raise PartError(
            *begin,
            ': scales = "measured" and an ansatz: conditions say how large the fields are, not what the '
            "network puts out for them; state the scales",
        )
    sizes = "a finite number above 0"
    _check_sizes(problem, "scales", problem.scales, f'{sizes}, or (middle, size); or "measured"')
    _check_sizes(problem, "residual_scales", problem.residual_scales, sizes)
    for name in () if problem.scales == MEASURED else problem.scales:
        if name not in problem.fields:
            near = nearest(str(name), problem.fields)
            text = f": scales has {name!r}, which is no field{near}; there are "
            raise PartError(*begin, text + one_of(problem.fields))


def _check_sizes(problem: Problem, what: str, stated: Any, expected: str) -> None:
    begin = problem.name, Whence(problem)
    if what == "scales" and stated == MEASURED:
        return
    if not isinstance(stated, Mapping):
        raise PartError(*begin, f": {what} = {stated!r}; expected {{name: {expected}}}")
    for name, scale in stated.items():
        middle, size = middle_and_size(scale) if what == "scales" else (0.0, scale)
        if not (_is_finite(middle) and _is_finite(size) and size > 0):
            raise PartError(*begin, f": {what} has {name!r}: {scale!r}; expected {expected}")


def _is_finite(number: Any) -> bool:
    return isinstance(number, int | float) and math.isfinite(number)


@lru_cache(maxsize=8)
def _remembered(problem: Problem) -> dict[str, tuple[float, float]]:
    return measured_scales(problem)
