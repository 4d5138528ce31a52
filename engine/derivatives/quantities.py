"""q: what equations see. Every coordinate, field and derivative by its textbook name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
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


class Quantities:
    """Coordinates and fields by name, `q.x`, `q.u`; derivatives, `q.u_xx`, where they are known.

    Args:
        coordinates: by name, in the order of the domain.
        fields: by name.
        resolve: the value of a linear combination of derivatives; None where only fields are known.
        unknowns: numbers that training finds, by name.
    """

    def __init__(
        self,
        coordinates: Mapping[str, Any],
        fields: Mapping[str, Any] | Sequence[str],
        resolve: Resolve | None = None,
        unknowns: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._coordinates = coordinates
        self._fields = fields
        self._resolve = resolve
        self._unknowns = unknowns or {}

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
