"""A problem's residuals, as functions of a network and of points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from pinn.core.errors import PartError, PinnError, Whence, nearest, one_of
from pinn.core.problem import Condition, Measurements, Problem
from pinn.core.tracebacks import one_line
from pinn.engine.derivatives.expressions import (
    Expansion,
    derivative_of_series,
    expanded,
    expansion,
)
from pinn.engine.derivatives.fields import Columns, components
from pinn.engine.derivatives.jets import Functional, Jets, MultiIndex, jets
from pinn.engine.derivatives.operators import AT_EACH_POINT
from pinn.engine.derivatives.quadrature import quadrature
from pinn.engine.derivatives.quantities import (
    Differentiate,
    Elsewhere,
    Forms,
    Places,
    Quantities,
    Resolve,
    named_tensors,
    parts_of,
)
from pinn.engine.derivatives.scales import check_scales, scaled
from pinn.engine.derivatives.series import Series, coordinate
from pinn.engine.derivatives.unknowns import start_values, true_values, unknowns_of

NetworkCall = Callable[[Any], Any]
Law = Callable[[Quantities], Any]
Unknowns = Mapping[str, Tensor]
"""Values of a problem's unknowns, scalars."""
Earlier = tuple[NetworkCall, Unknowns | None]
"""The network as it was, and the unknowns."""

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
    requests: list[Functional] = [{(0,) * problem.domain.dimension: 1.0}]
    taken: list[MultiIndex] = []
    trained: list[Tensor] = []
    generator = torch.Generator().manual_seed(0)

    normals: list[Tensor] = []
    beyond: list[Tensor] = []
    remembered: list[Tensor] = []

    def numbers(count: int) -> Tensor:
        drawn = torch.rand(count, generator=generator, dtype=dtype) + 0.5
        trained.append(drawn.requires_grad_())
        return drawn

    def record_at(count: int) -> Resolve:
        def record(forms: Forms) -> Tensor:
            requests.extend(form for form in forms.values() if any(form.values()))
            return numbers(count)

        return record

    def differentiate_at(count: int) -> Differentiate:
        def differentiate(_: Any, index: MultiIndex) -> Tensor:
            taken.append(index)
            return numbers(count)

        return differentiate

    def normal() -> Tensor:
        if not normals:
            normals.append(torch.rand(*middle.shape, generator=generator, dtype=dtype) + 0.5)
        return normals[0]

    def elsewhere(points: Tensor, there: Tensor | None) -> Quantities:
        beyond.append(points)
        count = len(points)
        places = places_of(problem, points, elsewhere, there)
        named = _by_name(problem, points)
        return _quantities(problem, named, record_at(count), start, differentiate_at(count), places)

    def earlier() -> Quantities:
        remembered.append(middle)
        named = _by_name(problem, middle.detach())
        places = places_of(problem, middle.detach(), elsewhere, None)
        known = {name: value.detach() for name, value in start.items()}
        return _quantities(problem, named, record_past, known, _no_past, places)

    def record_past(forms: Forms) -> Tensor:
        return record_at(PROBE_POINTS)(forms).detach()

    low = torch.tensor(problem.domain.lower, dtype=dtype)
    high = torch.tensor(problem.domain.upper, dtype=dtype)
    middle = low + (high - low) * torch.rand(
        PROBE_POINTS, len(low), generator=generator, dtype=dtype
    )
    names = problem.domain.names
    start = {name: value.requires_grad_() for name, value in start_values(problem, low).items()}
    trained += start.values()

    def call(places: Mapping[str, Any], resolve: Resolve, of: Differentiate) -> dict[str, Tensor]:
        around = evolve(places_of(problem, middle, elsewhere, None), earlier=earlier)
        if single is not None:  # a condition, which may be on a boundary
            around = evolve(around, normals=normal)
        found = law(_quantities(problem, places, resolve, start, of, around))
        if may_lack and isinstance(found, Mapping) and not found:
            return {}
        return named_tensors(found, PROBE_POINTS, what, single)

    steps: Expansion | None = None
    try:
        # NumPy refuses tensors of which gradients are asked, so that it cannot be used unnoticed
        places = dict(zip(names, middle.requires_grad_().T, strict=True))
        with torch.enable_grad():
            named = call(places, record_at(PROBE_POINTS), differentiate_at(PROBE_POINTS))
            if of_fields:
                _check_contents(problem, named, trained)
        if taken and (beyond or remembered):
            raise PinnError(
                "q.at, q.integral and q.earlier do not go together with q.d of an expression: write its "
                "derivative out"
            )
        if taken:
            requests = requests[:1]
            double = dict(zip(names, middle.detach().double().T, strict=True))
            start = {name: value.detach().double() for name, value in start.items()}
            steps = expansion(lambda *given: call(*given).values(), double, taken)
            requests.extend(steps.requests())
        needed = jets(requests)
    except PinnError as error:
        named_already = what in str(error)
        begin = () if named_already else (f"{what}: ",)
        raise PartError(*begin, *error.pieces, Whence(problem, error)) from None
    except Exception as error:
        told = f"{one_line(error)}{_hint(error)}"
        raise PartError(f"{what} fail: {told}", Whence(problem, error)) from error
    asked = bool(normals), bool(remembered)
    return Residuals(problem, law, what, needed, tuple(named), single, steps, *asked)


def _no_past(*_: Any) -> Any:
    raise PinnError("q.earlier knows the derivatives of fields alone, not of expressions")


def condition_law(
    problem: Problem, condition: Condition | Measurements, dtype: Any = torch.float32
) -> Residuals:
    """The residuals of a condition; of measurements, what was measured."""
    law: Law = condition.residual
    if isinstance(condition, Measurements):
        law = partial(condition.residual, observables=problem.observables)
    what = f"condition {condition.name!r} of {problem.name}"
    return residuals(problem, law, what, condition.name, dtype, of_fields=True)


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


HINTS = {
    "Boolean value of Tensor": AT_EACH_POINT,
    "converted to Python scalar": "; quantities have a value at each point: write torch.sin, not "
    "math.sin",
    "numpy() on Tensor": "; NumPy's functions know no derivatives: write torch.sin, not np.sin",
    "not have been used in the graph": "; derivatives are read as q.u_x, and of an expression as "
    'q.d(expression, "x")',
    "does not require grad": "; derivatives are read as q.u_x, and of an expression as "
    'q.d(expression, "x")',
}
"""What is meant by errors of torch, and the way out."""


def _hint(error: Exception) -> str:
    return next((hint for text, hint in HINTS.items() if text in str(error)), "")


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
        if names.count(name) > 1 or name.startswith("_") or hasattr(Quantities, name):
            raise PartError(
                problem.name,
                Whence(problem),
                f": {name!r} cannot name a coordinate, field or unknown: names must differ, not begin "
                'with "_", and not be what q has besides: d, d_n, at, earlier, integral, interpolated, '
                "normal",
            )


def places_of(
    problem: Problem, points: Tensor, elsewhere: Elsewhere, normals: Tensor | None
) -> Places:
    """Where a law is asked, (n, dimension), and how it sees other places."""
    known = None if normals is None else lambda: normals
    return Places(points, elsewhere, partial(quadrature, problem.domain), known)


def _by_name(problem: Problem, points: Tensor) -> dict[str, Tensor]:
    return {name: points[:, i] for i, name in enumerate(problem.domain.names)}


def law_quantities(
    problem: Problem,
    places: Places,
    resolve: Resolve,
    unknowns: Unknowns | None = None,
    steps: Expansion | None = None,
) -> Quantities:
    """q at some places for a law that is expanded so far, where `resolve` gives numbers."""
    named = _by_name(problem, places.points)
    if steps is None:
        return _quantities(problem, named, resolve, unknowns, _unexpected(problem), places)
    coordinates, series = expanded(named, steps.jets), steps.resolve(resolve)

    def known(forms: Forms) -> Series:
        try:
            return series(forms)
        except KeyError:
            raise _other_forms(problem, forms) from None

    return _quantities(problem, coordinates, known, unknowns, derivative_of_series, places)


def _quantities(
    problem: Problem,
    places: Mapping[str, Any],
    resolve: Resolve,
    unknowns: Unknowns | None,
    differentiate: Differentiate,
    around: Places,
) -> Quantities:
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
        if hint := _hint(error):
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


def exact_residuals(law: Residuals, points: Tensor) -> Tensor:
    """Residuals (len(names), n) of the problem's own exact `solution`."""
    problem, true = law.problem, true_values(law.problem, points)

    def resolve(points: Tensor) -> Resolve:
        fields = exact_fields(problem, points, law.jets)
        if fields is None:
            raise PinnError(f"{problem.name} has no exact solution")
        return read_series(problem, points, fields)

    def elsewhere(others: Tensor, there: Tensor | None) -> Quantities:
        places = places_of(problem, others, elsewhere, there)
        return law_quantities(problem, places, resolve(others), true)

    where, normals, _ = law.split(points)
    return law.at(where, resolve(where), true, elsewhere, normals)


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
