"""Python's operators for what stands in for a tensor."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any


def _binary(function: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: self.__torch_function__(function, (), (self, other))


def _reflected(function: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: self.__torch_function__(function, (), (other, self))


class Operators:
    """An operator is what the class's own `__torch_function__` makes of the function of its name.

    A class that treats some operators by itself overrides those: a + b serves b + a as well, and a * b
    serves b * a, because torch's sums and products of a number and a tensor begin with the tensor.
    """

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

    def __abs__(self) -> Any:
        return self.__torch_function__(operator.abs, (), (self,))  # type: ignore[attr-defined]
