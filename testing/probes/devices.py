"""Whether code makes tensors on a fixed device, found on a machine that has but one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
"""torch's device for tensors without numbers: it stands in for a GPU."""

MAY_MIX = ("copy_", "_to_copy", "index", "index_put", "index_put_")


class MixedDevices(Exception):
    """An operation has tensors of two devices."""


class _Watch(TorchDispatchMode):
    """Refuses what a GPU would: numbers alone, tensors of no dimension, may come from elsewhere."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.ndim]
        name = func.overloadpacket.__name__
        if len({tensor.device for tensor in tensors}) > 1 and name not in MAY_MIX:
            raise MixedDevices(name)
        return func(*args, **(kwargs or {}))


def check_device(what: str, mend: str, call: Callable[[], torch.Tensor]) -> None:
    """`call`, which is given meta tensors, returns one, and makes none elsewhere on the way.

    Raises:
        AssertionError: it does not.
    """
    advice = f"it would fail on a GPU: {mend}"
    try:
        with _Watch():
            found = call().device
    except MixedDevices as error:
        raise AssertionError(
            f"{what}: a tensor is made on the CPU, wherever the points are (torch.{error} meets it): "
            f"{advice}"
        ) from None
    except (RuntimeError, NotImplementedError, TypeError):
        return  # it looks at numbers, which meta tensors do not have
    assert found == META, f"{what}: the result is on {found}, wherever the points are: {advice}"
