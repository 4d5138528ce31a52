"""What a law asks for, found by calling it on arbitrary numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from attrs import define, evolve, field
from torch import Tensor

from pinn.core.errors import PartError, PinnError, Whence, nearest, one_of
from pinn.core.problem import Condition, Measurements, Problem
from pinn.core.tracebacks import one_line
from pinn.engine.derivatives.expressions import Expansion, expansion
from pinn.engine.derivatives.fields import components
from pinn.engine.derivatives.hints import hint_for
from pinn.engine.derivatives.jets import Functional, MultiIndex, jets
from pinn.engine.derivatives.quantities import (
    Differentiate,
    Forms,
    Quantities,
    Resolve,
    named_tensors,
)
from pinn.engine.derivatives.residuals import (
    Law,
    Residuals,
    coordinates_of,
    places_of,
    quantities_at,
)
from pinn.engine.derivatives.scales import check_scales
from pinn.engine.derivatives.unknowns import start_values, unknowns_of

PROBE_POINTS = 3


def residuals(
    problem: Problem,
    law: Law,
    what: str,
    single: str | None = None,
    dtype: Any = torch.float32,
    of_fields: bool = False,
    may_lack: bool = False,
) -> Residuals:
    """Find what `law` asks for.

    Args:
        what: how messages call the law, such as "the equations of heat".
        single: the name of the residual where the law returns a bare tensor.
        of_fields: whether every residual must contain a field or an unknown.
        may_lack: whether {} is an answer: equations may be none, where data say all that is known.

    Raises:
        PinnError: the law asks for something unknown, fails, or returns the wrong shape.
    """
    _check_names(problem)
    probe = _Probe(problem, law, what, single, dtype, may_lack)
    try:
        with torch.enable_grad():
            found = probe.called()
            if of_fields:
                _check_contents(problem, found, probe.trained)
        steps = probe.expansion() if probe.taken else None
        needed = jets([*probe.requests, *(steps.requests() if steps else ())])
    except PinnError as error:
        named_already = what in str(error)
        begin = () if named_already else (f"{what}: ",)
        raise PartError(*begin, *error.pieces, Whence(problem, error)) from None
    except Exception as error:
        told = f"{one_line(error)}{hint_for(error)}"
        raise PartError(f"{what} fail: {told}", Whence(problem, error)) from error
    asked = probe.normals is not None, probe.remembers
    return Residuals(problem, law, what, needed, tuple(found), single, steps, *asked)


def condition_law(
    problem: Problem, condition: Condition | Measurements, dtype: Any = torch.float32
) -> Residuals:
    """The residuals of a condition; of measurements, what was measured."""
    law: Law = condition.residual
    if isinstance(condition, Measurements):
        law = partial(condition.residual, observables=problem.observables)
    what = f"condition {condition.name!r} of {problem.name}"
    return residuals(problem, law, what, condition.name, dtype, of_fields=True)


@define(eq=False)
class _Probe:
    """Calls a law at a few points, where derivatives are arbitrary numbers, and notes what it asks for.

    Attributes:
        requests: the derivatives of fields.
        taken: those of expressions.
        trained: what the law was given that training would change.
        normals: the outward normals, once they were asked for.
        beyond: whether it asked for other places, and `remembers`: for the fields as they were.
        middle: the points.
        start: the unknowns.
    """

    problem: Problem
    law: Law
    what: str
    single: str | None
    dtype: Any
    may_lack: bool
    requests: list[Functional] = field(init=False)
    taken: list[MultiIndex] = field(factory=list, init=False)
    trained: list[Tensor] = field(factory=list, init=False)
    normals: Tensor | None = field(default=None, init=False)
    beyond: bool = field(default=False, init=False)
    remembers: bool = field(default=False, init=False)
    middle: Tensor = field(init=False)
    start: dict[str, Tensor] = field(init=False)
    _generator: torch.Generator = field(init=False)

    def __attrs_post_init__(self) -> None:
        domain = self.problem.domain
        self.requests = [{(0,) * domain.dimension: 1.0}]
        self._generator = torch.Generator().manual_seed(0)
        low, high = (torch.tensor(ends, dtype=self.dtype) for ends in (domain.lower, domain.upper))
        self.middle = low + (high - low) * self._drawn(PROBE_POINTS, len(low))
        start = start_values(self.problem, low)
        self.start = {name: value.requires_grad_() for name, value in start.items()}
        self.trained += self.start.values()

    def called(self) -> dict[str, Tensor]:
        """What the law returns, by name."""
        # NumPy refuses tensors of which gradients are asked, so that it cannot be used unnoticed
        places = coordinates_of(self.problem, self.middle.requires_grad_())
        return self._call(
            places, self._record_at(PROBE_POINTS), self._differentiate_at(PROBE_POINTS)
        )

    def expansion(self) -> Expansion:
        """How far the quantities of a law that takes derivatives of expressions must be expanded."""
        if self.beyond or self.remembers:
            raise PinnError(
                "q.at, q.integral and q.earlier do not go together with q.d of an expression: write its "
                "derivative out"
            )
        self.requests = self.requests[:1]
        self.start = {name: value.detach().double() for name, value in self.start.items()}
        places = coordinates_of(self.problem, self.middle.detach().double())
        return expansion(lambda *given: self._call(*given).values(), places, self.taken)

    def _call(
        self, places: Mapping[str, Any], resolve: Resolve, differentiate: Differentiate
    ) -> dict[str, Tensor]:
        around = places_of(self.problem, self.middle, self._elsewhere, None)
        around = evolve(around, earlier=self._earlier)
        if self.single is not None:  # a condition, which may be on a boundary
            around = evolve(around, normals=self._normal)
        q = quantities_at(self.problem, places, resolve, self.start, differentiate, around)
        found = self.law(q)
        if self.may_lack and isinstance(found, Mapping) and not found:
            return {}
        return named_tensors(found, PROBE_POINTS, self.what, self.single)

    def _drawn(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._generator, dtype=self.dtype)

    def _numbers(self, count: int) -> Tensor:
        drawn = (self._drawn(count) + 0.5).requires_grad_()
        self.trained.append(drawn)
        return drawn

    def _record_at(self, count: int) -> Resolve:
        def record(forms: Forms) -> Tensor:
            self.requests.extend(form for form in forms.values() if any(form.values()))
            return self._numbers(count)

        return record

    def _record_past(self, forms: Forms) -> Tensor:
        return self._record_at(PROBE_POINTS)(forms).detach()

    def _differentiate_at(self, count: int) -> Differentiate:
        def differentiate(_: Any, index: MultiIndex) -> Tensor:
            self.taken.append(index)
            return self._numbers(count)

        return differentiate

    def _normal(self) -> Tensor:
        if self.normals is None:
            self.normals = self._drawn(*self.middle.shape) + 0.5
        return self.normals

    def _elsewhere(self, points: Tensor, there: Tensor | None) -> Quantities:
        self.beyond = True
        count = len(points)
        named = coordinates_of(self.problem, points)
        around = places_of(self.problem, points, self._elsewhere, there)
        of_fields, of_expressions = self._record_at(count), self._differentiate_at(count)
        return quantities_at(self.problem, named, of_fields, self.start, of_expressions, around)

    def _earlier(self) -> Quantities:
        self.remembers = True
        middle = self.middle.detach()
        named = coordinates_of(self.problem, middle)
        around = places_of(self.problem, middle, self._elsewhere, None)
        known = {name: value.detach() for name, value in self.start.items()}
        return quantities_at(self.problem, named, self._record_past, known, _no_past, around)


def _no_past(*_: Any) -> Any:
    raise PinnError("q.earlier knows the derivatives of fields alone, not of expressions")


def _check_contents(problem: Problem, named: Mapping[str, Tensor], trained: list[Tensor]) -> None:
    """Every residual contains something that is trained."""
    for name, residual in named.items():
        slopes = (
            torch.autograd.grad(residual.sum(), trained, retain_graph=True, allow_unused=True)
            if residual.requires_grad and trained
            else ()
        )
        if all(slope is None for slope in slopes):
            raise PinnError(
                f"{name!r} contains no field, so that nothing can make it smaller: read the fields "
                f"{one_of(problem.fields)} from q, as in q.{next(iter(problem.fields))}, and detach "
                "nothing"
            )


def _check_names(problem: Problem) -> None:
    if isinstance(problem.complex_fields, str):
        raise PartError(
            problem.name,
            Whence(problem),
            f": complex_fields = {problem.complex_fields!r} is no "
            f"tuple: write ({problem.complex_fields!r},)",
        )
    for name in problem.complex_fields:
        if name not in problem.fields:
            raise PartError(
                problem.name,
                Whence(problem),
                f": complex_fields has {name!r}, which is no field"
                f"{nearest(str(name), problem.fields)}; there are {one_of(problem.fields)}",
            )
    check_scales(problem)
    fields = dict.fromkeys([*problem.fields, *components(problem)])
    names = [*problem.domain.names, *fields, *unknowns_of(problem)]
    for name in names:
        if names.count(name) > 1:
            why = "is the name of two of them"
        elif name.startswith("_") or hasattr(Quantities, name):
            why = (
                'cannot be one: they do not begin with "_", and are not what q has besides: d, d_n, at, '
                "earlier, integral, interpolated, normal"
            )
        else:
            continue
        what = f": coordinates, fields and unknowns are attributes of q; {name!r} {why}"
        raise PartError(problem.name, Whence(problem), what)
