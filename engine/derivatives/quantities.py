"""q: what equations see. Every coordinate, field and derivative by its textbook name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from pinn.core.errors import PinnError, nearest, one_of
from pinn.engine.derivatives.jets import Functional
from pinn.engine.derivatives.operators import Operators

Forms = Mapping[str, Functional]
"""A linear combination of derivatives: {field: {α: a_α}}."""

OPERATORS = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.power: operator.pow,
}

Resolve = Callable[[Forms], Tensor]


@frozen
class Rule:
    """A quadrature rule at each of n points.

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
        points: (n, dimension).
        elsewhere: the quantities at other points, and the normals there.
        quadrature: (over, nodes, points, low, high) → a rule.
        normals: the outward unit normals, (n, dimension), asked for when they are needed.
    """

    points: Tensor
    elsewhere: Callable[[Tensor, Tensor | None], Quantities]
    quadrature: Callable[..., Rule]
    normals: Callable[[], Tensor] | None = None


class Quantities:
    """Coordinates and fields by name, `q.x`, `q.u`; derivatives, `q.u_xx`, where they are known.

    Args:
        coordinates: by name, in the order of the domain.
        fields: by name.
        resolve: the value of a linear combination of derivatives; None where only fields are known.
        unknowns: numbers that training finds, by name.
        places: the points, and how to find quantities at others; None where that is not possible.
    """

    def __init__(
        self,
        coordinates: Mapping[str, Any],
        fields: Mapping[str, Any] | Sequence[str],
        resolve: Resolve | None = None,
        unknowns: Mapping[str, Tensor] | None = None,
        places: Places | None = None,
    ) -> None:
        self._coordinates = coordinates
        self._fields = fields
        self._resolve = resolve
        self._unknowns = unknowns or {}
        self._places = places

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._unknowns:
            return self._unknowns[name]
        if name in self._coordinates:
            return self._coordinates[name]
        if name in self._fields:
            return self.d(name)
        for field in sorted(self._fields, key=len, reverse=True):
            letters = name.removeprefix(f"{field}_")
            if letters not in (name, "") and all(letter in self._coordinates for letter in letters):
                return self.d(field, *letters)
        if name.startswith("n_") and name[2:] in self._coordinates:
            return self.normal(name[2:])
        known = [*self._coordinates, *self._fields, *self._unknowns]
        example = "_".join([*self._fields][:1] + [*self._coordinates][:1])
        raise PinnError(
            f"the equations ask for {name!r}{nearest(name, known)}; coordinates are "
            f"{one_of(self._coordinates)}, fields are {one_of(self._fields)}, and a derivative is "
            f"written field_coordinates, as in {example}"
        )

    def d(self, field: str, *coordinates: str) -> Any:
        """The derivative of a field: `q.d("u", "theta", "theta")` is u_θθ."""
        for name, known in ((field, self._fields), *((c, self._coordinates) for c in coordinates)):
            if name not in known:
                raise PinnError(
                    f"the equations ask for {name!r}{nearest(name, known)}; "
                    f"there are {one_of(known)}"
                )
        if self._resolve is None:
            if coordinates:
                raise PinnError(f"the derivative of {field!r} is not known here, only {field!r}")
            assert isinstance(self._fields, Mapping)
            return self._fields[field]
        index = tuple(coordinates.count(name) for name in self._coordinates)
        return Combination({field: {index: 1.0}}, None, self._resolve)

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
        columns = dict(zip(self._coordinates, places.points.T, strict=True))
        for name, value in coordinates.items():
            if name not in columns:
                raise PinnError(
                    f"q.at: there is no coordinate {name!r}{nearest(name, columns)}; "
                    f"there are {one_of(columns)}"
                )
            columns[name] = torch.zeros_like(columns[name]) + _plain(value)
        return places.elsewhere(torch.stack([*columns.values()], 1), None)

    def integral(
        self,
        what: str | Callable[[Quantities], Any],
        over: str,
        low: Any = None,
        high: Any = None,
        nodes: int = 32,
    ) -> Tensor:
        """∫ what d(over) at each point, by Gauss-Legendre quadrature, (n,).

        The points of the quadrature belong to the integral, and have nothing to do with collocation
        points: `q.integral("u", over="x")`, `q.integral(lambda q: q.u * q.x, over="x", high=q.x)`,
        `q.integral(lambda q: q.d_n("T"), over="hole")`.

        Args:
            what: a field or derivative by its name, or a function of the quantities at the nodes.
            over: a coordinate, from `low` to `high`, by default the ends of the domain; or a part of
                a shape's boundary, by length or area, at the point's own other coordinates.
            nodes: of each interval, or piece of the boundary, in each direction.
        """
        places = self._elsewhere()
        rule = places.quadrature(over, nodes, places.points, low, high)
        function = what if callable(what) else lambda q: getattr(q, what)
        found = _plain(function(places.elsewhere(rule.points, rule.normals)))
        if not isinstance(found, Tensor) or found.shape != (len(rule.points),):
            raise PinnError("what is integrated must be one number at each point, a tensor (n,)")
        return (found.reshape(rule.weights.shape) * rule.weights).sum(1)

    def _elsewhere(self) -> Places:
        if self._places is None:
            raise PinnError("q.at and q.integral need a network: here, its fields are known alone")
        return self._places


class Combination(Operators):
    """A sum Σ a_α D^α u + rest that waits: it becomes a tensor when something not linear needs it.

    Waiting lets `q.u_t - nu * q.u_xx` reach the network as one request (see `jets.py`).
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Any:
        """A NumPy number on the left of an operator; NumPy's functions know no derivatives."""
        apply = OPERATORS.get(ufunc)
        if apply is None:
            raise PinnError(f"np.{ufunc.__name__} of a field knows no derivatives: use torch's")
        return apply(*map(_for_torch, inputs))

    def __float__(self) -> float:
        raise PinnError("a field has a value at each point, not one: use torch.sqrt, not math.sqrt")

    def __init__(self, forms: Forms, rest: Any, resolve: Resolve) -> None:
        self._forms = forms
        self._rest = rest
        self._resolve = resolve

    def tensor(self) -> Tensor:
        """The value at every point, (n,)."""
        value = self._resolve(self._forms)
        return value if self._rest is None else value + self._rest

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named = {name: _plain(value) for name, value in (kwargs or {}).items()}
        return func(*_resolved(args), **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.tensor(), name)

    def __getitem__(self, item: Any) -> Tensor:
        return self.tensor()[item]

    def __len__(self) -> int:
        return len(self.tensor())

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor())

    def __add__(self, other: Any) -> Combination:
        if isinstance(other, Combination) and other._resolve is not self._resolve:
            other = other.tensor()  # it is of other points
        if isinstance(other, Combination):
            forms = {field: dict(form) for field, form in self._forms.items()}
            for field, form in other._forms.items():
                mine = forms.setdefault(field, {})
                for index, factor in form.items():
                    mine[index] = mine.get(index, 0.0) + factor
            return Combination(forms, _plus(self._rest, other._rest), self._resolve)
        return Combination(self._forms, _plus(self._rest, other), self._resolve)

    def __neg__(self) -> Combination:
        return self._times(-1.0)

    def __sub__(self, other: Any) -> Combination:
        return self + (-other)

    def __rsub__(self, other: Any) -> Combination:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        return self._times(other) if isinstance(other, int | float) else super().__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        return (
            self._times(1 / other) if isinstance(other, int | float) else super().__truediv__(other)
        )

    def _times(self, factor: float) -> Combination:
        forms = {f: {i: factor * a for i, a in form.items()} for f, form in self._forms.items()}
        rest = None if self._rest is None else factor * self._rest
        return Combination(forms, rest, self._resolve)


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _plain(value: Any) -> Any:
    return value.tensor() if isinstance(value, Combination) else value


def _for_torch(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value


def _resolved(args: Any) -> Any:
    if isinstance(args, tuple | list):
        return type(args)(_resolved(arg) for arg in args)
    return _plain(args)


def named_tensors(
    found: Any, count: int, what: str, single: str | None = None
) -> dict[str, Tensor]:
    """What equations or a condition returned, as {name: (count,)}.

    Raises:
        PinnError: not a mapping (or a tensor, where `single` names it), or a shape other than (count,).
    """
    if single is not None and not isinstance(found, Mapping):
        found = {single: found}
    if not isinstance(found, Mapping) or not found:
        kind = "an empty one" if isinstance(found, Mapping) else type(found).__name__
        raise PinnError(f"{what} must return {{name: residual}}, not {kind}")
    tensors = {}
    for name, value in found.items():
        tensor = _plain(value)
        if not isinstance(tensor, Tensor):
            raise PinnError(f"{what}: {name!r} is {type(tensor).__name__}, not a tensor")
        if tensor.shape != (count,):
            raise PinnError(
                f"{what}: {name!r} has shape {tuple(tensor.shape)} for {count} points; expected one "
                f"residual a point, ({count},)"
            )
        tensors[str(name)] = tensor
    return tensors
