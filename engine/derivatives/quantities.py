"""q: what equations see. Every coordinate, field and derivative by its textbook name."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import PinnError, nearest, one_of
from pinn.core.reference import Table
from pinn.engine.derivatives.jets import Functional, MultiIndex
from pinn.engine.derivatives.operators import Operators
from pinn.engine.derivatives.series import Series
from pinn.engine.derivatives.splines import spline

Forms = Mapping[str, Functional]
"""A linear combination of derivatives: {field: {α: a_α}}; of complex fields a_α may be complex."""

Resolve = Callable[[Forms], Any]
Differentiate = Callable[[Any, MultiIndex], Any]
"""The derivative D^α of an expression that is not linear in the fields."""
Elsewhere = Callable[[Tensor, Tensor | None], "Quantities"]
"""The quantities at other points, (n, dimension), and the normals that are known there."""


@frozen
class Rule:
    """A quadrature rule at each of n points, or one for all of them: then n is 1.

    Attributes:
        points: of all nodes, (n * nodes, dimension), the nodes of each point after each other.
        weights: (n, nodes).
        normals: at the nodes, (n * nodes, dimension), on boundaries.
    """

    points: Tensor
    weights: Tensor
    normals: Tensor | None = None


@frozen(eq=False)
class Places:
    """Where quantities are, and how to find them elsewhere.

    Attributes:
        points: (n, dimension); in an ansatz, a series of them.
        elsewhere: the quantities at other points, and the normals there.
        quadrature: (over, nodes, points, low, high) → a rule.
        normals: the outward unit normals, (n, dimension), asked for when they are needed.
        earlier: the quantities of the network as it was; None where no network is trained.
    """

    points: Any
    elsewhere: Elsewhere
    quadrature: Callable[..., Rule]
    normals: Callable[[], Tensor] | None = None
    earlier: Callable[[], Quantities] | None = None


class Quantities:
    """Coordinates and fields by name, `q.x`, `q.u`; derivatives, `q.u_xx`, where they are known.

    Args:
        coordinates: by name, in the order of the domain.
        fields: by name; a complex field is made of its parts, `psi_re` and `psi_im`.
        resolve: the value of a linear combination of derivatives; None where only fields are known.
        unknowns: numbers that training finds, by name.
        differentiate: what `q.d(expression, …)` does; None where only fields are known.
        complex_fields: names of fields of which `fields` has the parts.
        places: the points, and how to find quantities at others; None where that is not possible.
    """

    def __init__(
        self,
        coordinates: Mapping[str, Any],
        fields: Mapping[str, Any] | Collection[str],
        resolve: Resolve | None = None,
        unknowns: Mapping[str, Tensor] | None = None,
        differentiate: Differentiate | None = None,
        complex_fields: Collection[str] = (),
        places: Places | None = None,
    ) -> None:
        self._coordinates = coordinates
        self._fields = fields
        self._resolve = resolve
        self._unknowns = unknowns or {}
        self._differentiate = differentiate
        self._complex = complex_fields
        self._places = places

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._unknowns:
            return self._unknowns[name]
        if name in self._coordinates:
            return self._coordinates[name]
        if name in self._fields or name in self._complex:
            return self.d(name)
        for field in sorted([*self._fields, *self._complex], key=len, reverse=True):
            letters = name.removeprefix(f"{field}_")
            if letters == name:
                continue
            found = spelled(letters, tuple(self._coordinates))
            if len(found) > 1:
                both = " or ".join(self._written(field, index) for index in found[:2])
                raise PinnError(f"{name!r} may mean more than one derivative: write {both}")
            if found:
                return self._derivative(field, found[0])
        if name.startswith("n_") and name[2:] in self._coordinates:
            return self.normal(name[2:])
        raise PinnError(self._unknown(name))

    def __getitem__(self, name: Any) -> Any:
        raise PinnError(f"q[{name!r}]: quantities are attributes: write q.{name}, or getattr(q, …)")

    def d(self, what: Any, *coordinates: str) -> Any:
        """The derivative of a field or of an expression.

        `q.d("u", "theta", "theta")` is u_θθ, and `q.d(torch.exp(q.T) * q.T_x, "x")` is (e^T T_x)_x; the
        expression may be made of fields, their derivatives, coordinates, unknowns and other such
        derivatives by any differentiable operations at each point.

        Raises:
            PinnError: an unknown field or coordinate; a derivative where only fields are known.
        """
        for name in coordinates:
            self._check_coordinate(what, name, coordinates)
        index = tuple(coordinates.count(name) for name in self._coordinates)
        if isinstance(what, str):
            if what not in self._fields and what not in self._complex:
                known = [*self._fields, *self._complex]
                raise PinnError(
                    f"the equations ask for {what!r}{nearest(what, known)}; there are "
                    f"{one_of(known)}"
                )
            return self._derivative(what, index)
        if not coordinates:
            return what
        if self._differentiate is None:
            raise PinnError("q.d of an expression is not known here, only the fields are")
        return _differentiated(what, index, self._differentiate)

    def _derivative(self, field: str, index: MultiIndex) -> Any:
        if self._resolve is None:
            if any(index):
                raise PinnError(
                    f"the derivative of {field!r} is not known here, only {field!r}: an ansatz is made "
                    "of the fields themselves"
                )
            assert isinstance(self._fields, Mapping)
            return self._fields[field]
        if field in self._complex:
            re, im = parts_of(field)
            parts: Any = {re: {index: 1.0}, im: {index: 1j}}
            return Combination(parts, None, self._resolve)
        return Combination({field: {index: 1.0}}, None, self._resolve)

    def _check_coordinate(self, what: Any, name: Any, coordinates: tuple[Any, ...]) -> None:
        if isinstance(name, str) and name in self._coordinates:
            return
        shown = repr(what) if isinstance(what, str) else "…"
        first = (
            coordinates[0] if coordinates[0] in self._coordinates else next(iter(self._coordinates))
        )
        if not isinstance(name, str):
            raise PinnError(
                f"q.d({shown}, …, {name!r}): coordinates are names, each written as often as it is "
                f"differentiated by, as in q.d({shown}, {first!r}, {first!r})"
            )
        if found := spelled(name, tuple(self._coordinates)):
            letters = ", ".join(
                repr(n) for n, k in zip(self._coordinates, found[0], strict=True) for _ in range(k)
            )
            raise PinnError(f"{name!r} is no coordinate: write q.d({shown}, {letters})")
        raise PinnError(
            f"the equations ask for {name!r}{nearest(name, self._coordinates)}; "
            f"there are {one_of(self._coordinates)}"
        )

    def normal(self, coordinate: str) -> Tensor:
        """A component of the outward unit normal, on boundaries: `q.normal("x")`, or `q.n_x`."""
        if self._places is None or self._places.normals is None:
            raise PinnError(
                "a normal is known on faces and boundaries alone: in a condition that is on one, or "
                'at points that come with normals, at={…, "n_x": …}'
            )
        if coordinate not in self._coordinates:
            raise PinnError(
                f"there is no coordinate {coordinate!r}{nearest(coordinate, self._coordinates)}; "
                f"there are {one_of(self._coordinates)}"
            )
        return self._places.normals()[:, [*self._coordinates].index(coordinate)]

    def d_n(self, field: str) -> Any:
        """The slope along the outward unit normal, n · ∇u: `q.d_n("u")`."""
        slopes = [self.normal(name) * self.d(field, name) for name in self._coordinates]
        return sum(slopes[1:], slopes[0])

    def at(self, **coordinates: Any) -> Quantities:
        """The same quantities where some coordinates have other values: `q.u - q.at(x=1).u`.

        Args:
            coordinates: numbers, or tensors (n,): `q.at(t=q.t - delay)`.
        """
        places = self._elsewhere()
        columns: dict[str, Any] = dict(zip(self._coordinates, places.points.unbind(1), strict=True))
        for name, value in coordinates.items():
            if name not in columns:
                raise PinnError(
                    f"q.at: there is no coordinate {name!r}{nearest(name, columns)}; "
                    f"there are {one_of(columns)}"
                )
            columns[name] = torch.zeros_like(columns[name]) + _plain(value)
        return places.elsewhere(torch.stack([*columns.values()], 1), None)

    @property
    def earlier(self) -> Quantities:
        """The same quantities of the network as it was some steps ago, as numbers: `q.u - q.earlier.u`.

        A stage says by `renew` every how many steps that is now. Where no network is trained, as of an
        exact solution, nothing changes.
        """
        if self._places is None or self._places.earlier is None:
            return self
        return self._places.earlier()

    def integral(
        self,
        what: str | Callable[[Quantities], Any],
        over: str | Sequence[str],
        low: Any = None,
        high: Any = None,
        nodes: int = 32,
    ) -> Tensor:
        """∫ what d(over) at each point, by Gauss-Legendre quadrature, (n,).

        The points of the quadrature belong to the integral, and have nothing to do with collocation
        points: `q.integral("u", over="x")`, `q.integral(lambda q: q.u * q.x, over="x", high=q.x)`,
        `q.integral(lambda q: q.d_n("T"), over="hole")`, `q.integral("p", over=("x", "y"))`.

        Args:
            what: a field or derivative by its name, or a function of the quantities at the nodes.
            over: a coordinate, from `low` to `high`, by default the ends of the domain; a part of
                a shape's boundary, by length or area; or several coordinates, the inside of the domain.
                The other coordinates are the point's own.
            nodes: of each interval, or piece of the boundary, in each direction.
        """
        places = self._elsewhere()
        rule = places.quadrature(over, nodes, places.points, low, high)
        function = what if callable(what) else lambda q: getattr(q, what)
        found = _plain(function(places.elsewhere(rule.points, rule.normals)))
        if not isinstance(found, Tensor) or found.shape != (len(rule.points),):
            raise PinnError("what is integrated must be one number at each point, a tensor (n,)")
        return (found.reshape(rule.weights.shape) * rule.weights).sum(1).expand(len(places.points))

    def interpolated(self, table: Table) -> Any:
        """A function that is known on a grid, at these points: `table(q)`."""
        return spline(table, [getattr(self, name) for name in table.knots])

    def _elsewhere(self) -> Places:
        if self._places is None:
            raise PinnError("q.at and q.integral need a network: here, its fields are known alone")
        return self._places

    def _written(self, field: str, index: MultiIndex) -> str:
        names = [n for n, k in zip(self._coordinates, index, strict=True) for _ in range(k)]
        return f"q.d({', '.join(map(repr, [field, *names]))})"

    def _unknown(self, name: str) -> str:
        fields = [*self._fields, *self._complex]
        known = [*self._coordinates, *fields, *self._unknowns]
        example = "_".join([*fields][:1] + [*self._coordinates][:1])
        near = nearest(name, known)
        for field in sorted(fields, key=len, reverse=True):
            rest = name.removeprefix(field)
            if rest != name and (found := spelled(rest.strip("_"), tuple(self._coordinates))):
                letters = "".join(n * k for n, k in zip(self._coordinates, found[0], strict=True))
                near = f" (did you mean {f'{field}_{letters}'!r}?)"
                break
        return (
            f"the equations ask for {name!r}{near}; coordinates are "
            f"{one_of(self._coordinates)}, fields are {one_of(fields)}, and a derivative is "
            f"written field_coordinates, as in {example}"
        )


@lru_cache(maxsize=1024)
def spelled(letters: str, coordinates: tuple[str, ...]) -> list[MultiIndex]:
    """Every derivative that `letters` may mean, as concatenated names of coordinates: "x1x2", "ttx"."""
    found: dict[str, set[MultiIndex]] = {"": {(0,) * len(coordinates)}}

    def ways(rest: str) -> set[MultiIndex]:
        if rest not in found:
            found[rest] = {
                tuple(degree + (i == axis) for i, degree in enumerate(index))
                for axis, name in enumerate(coordinates)
                if rest.startswith(name)
                for index in ways(rest.removeprefix(name))
            }
        return found[rest]

    return sorted(ways(letters)) if letters else []


def parts_of(field: str) -> tuple[str, str]:
    """Names of the real and the imaginary part of a complex field."""
    return f"{field}_re", f"{field}_im"


def _differentiated(what: Any, index: MultiIndex, differentiate: Differentiate) -> Any:
    """Linear combinations of derivatives are themselves differentiated to one; the rest is expanded."""
    if isinstance(what, Combination):
        rest = what.rest
        return Combination(
            {field: shifted(form, index) for field, form in what.forms.items()},
            None if rest is None else _differentiated(rest, index, differentiate),
            what.resolve,
        )
    if isinstance(what, int | float | complex):
        return 0.0
    if not isinstance(what, Tensor | Series):
        raise PinnError(
            f"q.d differentiates a field by its name or an expression of quantities, not a "
            f"{type(what).__name__}"
        )
    return differentiate(what, index)


def shifted(form: Functional, index: MultiIndex) -> dict[MultiIndex, float]:
    """D^index of Σ a_α D^α u."""
    return {
        tuple(a + b for a, b in zip(alpha, index, strict=True)): factor
        for alpha, factor in form.items()
    }


NUMBER = int | float | complex


class Combination(Operators):
    """A sum Σ a_α D^α u + rest that waits: it becomes a tensor when something not linear needs it.

    Waiting lets `q.u_t - nu * q.u_xx` reach the network as one request (see `jets.py`).
    """

    waits = True

    def __init__(self, forms: Forms, rest: Any, resolve: Resolve) -> None:
        self.forms = forms
        self.rest = rest
        self.resolve = resolve

    def tensor(self) -> Any:
        """The value at every point, (n,); as a series where the law differentiates expressions."""
        factors = [a for form in self.forms.values() for a in form.values()]
        if any(isinstance(a, complex) for a in factors):
            real, imaginary = (self.resolve(_part(self.forms, name)) for name in ("real", "imag"))
            value = torch.complex(real, imaginary)
        else:
            value = self.resolve(self.forms)
        return value if self.rest is None else value + self.rest

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named = {name: _plain(value) for name, value in (kwargs or {}).items()}
        return func(*_resolved(args), **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return getattr(self.tensor(), name)
        except AttributeError:
            raise AttributeError(
                f"a quantity has no attribute {name!r}; a derivative is written with an underscore, "
                "as in q.u_x"
            ) from None

    def __getitem__(self, item: Any) -> Tensor:
        return self.tensor()[item]

    def __len__(self) -> int:
        return len(self.tensor())

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor())

    def __add__(self, other: Any) -> Combination:
        if isinstance(other, Combination) and other.resolve is not self.resolve:
            other = other.tensor()  # it is of other points
        if isinstance(other, Combination):
            forms = {field: dict(form) for field, form in self.forms.items()}
            for field, form in other.forms.items():
                mine = forms.setdefault(field, {})
                for index, factor in form.items():
                    mine[index] = mine.get(index, 0.0) + factor
            return Combination(forms, _plus(self.rest, other.rest), self.resolve)
        return Combination(self.forms, _plus(self.rest, other), self.resolve)

    def __neg__(self) -> Combination:
        return self._times(-1.0)

    def __sub__(self, other: Any) -> Combination:
        return self + (-other)

    def __rsub__(self, other: Any) -> Combination:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        return self._times(other) if isinstance(other, NUMBER) else super().__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        return self._times(1 / other) if isinstance(other, NUMBER) else super().__truediv__(other)

    def _times(self, factor: complex) -> Combination:
        forms: Any = {f: {i: factor * a for i, a in form.items()} for f, form in self.forms.items()}
        rest = None if self.rest is None else factor * self.rest
        return Combination(forms, rest, self.resolve)


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _plain(value: Any) -> Any:
    return value.tensor() if isinstance(value, Combination) else value


def _part(forms: Forms, name: str) -> Forms:
    """The real or the imaginary part of every factor; zeros are left out."""
    parts = {
        field: {index: getattr(a, name) for index, a in form.items()}
        for field, form in forms.items()
    }
    return {
        f: {i: a for i, a in form.items() if a} for f, form in parts.items() if any(form.values())
    }


def _resolved(args: Any) -> Any:
    if isinstance(args, tuple | list):
        return type(args)(_resolved(arg) for arg in args)
    return _plain(args)


def named_tensors(
    found: Any, count: int, what: str, single: str | None = None, constants: bool = False
) -> dict[str, Tensor]:
    """What equations or a condition returned, as {name: (count,)}, real numbers.

    A complex residual is two, `name_re` and `name_im`.

    Args:
        constants: a number stands for itself at every point.

    Raises:
        PinnError: not a mapping (or a tensor, where `single` names it), a shape other than (count,), or
            what are no real or complex numbers.
    """
    if single is not None and not isinstance(found, Mapping):
        found = {single: found}
    if not isinstance(found, Mapping) or not found:
        kind = "an empty one" if isinstance(found, Mapping) else _kind(found)
        raise PinnError(
            f"{what} must return {{name: residual}}, not {kind}; as in return {{'heat': q.u_t - q.u_xx}}"
        )
    tensors: dict[str, Tensor] = {}
    for name, value in found.items():
        tensor = _real_or_complex(f"{what}: {name!r}", value, count, constants)
        of = dict.fromkeys([str(name)], tensor)
        if tensor.is_complex():
            of = dict(zip(parts_of(str(name)), (tensor.real, tensor.imag), strict=True))
        for part, values in of.items():
            if part in tensors:
                raise PinnError(
                    f"{what}: {part!r} is there twice: the parts of a complex one are called so"
                )
            tensors[part] = values
    return tensors


def _real_or_complex(which: str, value: Any, count: int, constants: bool) -> Tensor:
    tensor = _plain(value)
    if isinstance(tensor, Series):
        tensor = tensor.value.expand(tensor.shape)
    if constants and isinstance(tensor, int | float | complex):
        tensor = torch.as_tensor(complex(tensor) if isinstance(tensor, complex) else float(tensor))
    if not isinstance(tensor, Tensor):
        raise PinnError(
            f"{which} is {_kind(tensor)}, not a tensor with a number at each point: make it of q, as "
            "in q.u - 1.0"
        )
    if constants and tensor.ndim == 0:
        tensor = tensor.expand(count)
    if tensor.shape != (count,):
        raise PinnError(
            f"{which} has shape {tuple(tensor.shape)} for {count} points; expected one "
            f"residual a point, ({count},){_mend(tensor, count)}"
        )
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise PinnError(
            f"{which} has numbers of type {str(tensor.dtype).removeprefix('torch.')}, which have no "
            "slope to train by: a residual is the difference of two sides, as in q.u - 1.0"
        )
    return tensor


def _mend(tensor: Tensor, count: int) -> str:
    if tensor.ndim > 1 and math.prod(tensor.shape) == count:
        return ": leave out the further dimension"
    if tensor.ndim == 0:
        return ": sums and means over points are not residuals"
    return ""


def _kind(value: Any) -> str:
    return "a tensor" if isinstance(value, Combination | Series | Tensor) else type(value).__name__
