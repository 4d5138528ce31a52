"""torch, imported when it is first used: `pinn list` does not wait for it.

`from pinn.core.lazy import torch` in place of `import torch` is all that a plugin needs for that; plain
`import torch` works as well.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


class Lazy(ModuleType):
    """A module that is imported when one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = Lazy("torch")
