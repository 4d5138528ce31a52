"""Python's operators for what stands in for a tensor."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pinn.core.errors import PinnError

NUMPY = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.power: operator.pow,
}
"""NumPy's operators, which a NumPy number on the left calls."""


AT_EACH_POINT = (
    "; it has a value at each point: write torch.where(q.x < 0.5, …, …) for if, torch.maximum and "
    "torch.minimum for max and min, and (q.x > 0.2) & (q.x < 0.4) for and"
)


def _binary(function: Callable[[Any, Any], Any]) -> Any:
    def operator(self: Any, other: Any) -> Any:
        if getattr(other, "waits", False) and not self.waits:
            return NotImplemented
        return self.__torch_function__(function, (), (self, other))

    return operator


def _reflected(function: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: self.__torch_function__(function, (), (other, self))


class Operators:
    """An operator is what the class's own `__torch_function__` makes of the function of its name.

    A class that treats some operators by itself overrides those: a + b serves b + a as well, and a * b
    serves b * a, because torch's sums and products of a number and a tensor begin with the tensor.
    """

    waits = False
    """Whether operators are left to this one wherever it stands."""

    __add__, __mul__ = _binary(operator.add), _binary(operator.mul)
    __sub__, __rsub__ = _binary(operator.sub), _reflected(operator.sub)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _reflected(operator.truediv)
    __pow__, __rpow__ = _binary(operator.pow), _reflected(operator.pow)
    __matmul__, __rmatmul__ = _binary(operator.matmul), _reflected(operator.matmul)
    __gt__, __lt__ = _binary(operator.gt), _binary(operator.lt)
    __ge__, __le__ = _binary(operator.ge), _binary(operator.le)
    __eq__, __ne__ = _binary(operator.eq), _binary(operator.ne)
    __hash__ = object.__hash__

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Any:
        """A NumPy number on the left of an operator; NumPy's functions know no derivatives."""
        function = NUMPY.get(ufunc)
        if function is None:
            raise PinnError(
                f"np.{ufunc.__name__} knows no derivatives: use torch's, such as torch.{ufunc.__name__}"
            )
        return function(*map(_for_torch, inputs))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise PinnError("NumPy's functions know no derivatives: use torch's")

    def __float__(self) -> float:
        raise PinnError(
            "a quantity has a value at each point, not one: use torch.sqrt, not math.sqrt"
        )

    def __bool__(self) -> bool:
        raise PinnError(f"a quantity is not true or false{AT_EACH_POINT}")

    def __abs__(self) -> Any:
        return self.__torch_function__(operator.abs, (), (self,))  # type: ignore[attr-defined]


def _for_torch(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value
