"""Optimizers that others wrote, by the import path of their class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from pinn.core import above, option
from pinn.core.lazy import torch
from pinn.plugins.optimizers.schedule import Scheduled, own_first

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def _path(_: Any, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not PATH.fullmatch(value):
        raise ValueError(f"expected an import path, as torch.optim.AdamW is, found {value!r}")


@frozen(field_transformer=own_first)
class TorchOptimizer(Scheduled):
    """Any subclass of torch.optim.Optimizer, by its import path, with its options.

    The class is imported when a run trains, never when one is read, checked or reported: the import runs
    the code of its package.
    """

    name = "torch"

    class_: str = option("torch.optim.AdamW", "import path of the class", _path)
    options: dict[str, Any] = option({}, "of the class by name, but for lr; lists become tuples")
    others: str | None = option(
        None, "class of the parameters that are no matrices, for one that takes only these", _path
    )
    lr: float | None = option(
        None,
        "learning rate, which the schedule changes; else the class's own, unchanged",
        attrs.validators.optional(above(0)),
    )

    def __attrs_post_init__(self) -> None:
        fields = attrs.fields_dict(Scheduled)  # type: ignore[type-abstract]
        given = [name for name, field in fields.items() if getattr(self, name) != field.default]
        if "lr" in self.options:
            raise ValueError("options.lr: the learning rate is the option lr of the stage itself")
        if self.lr is None and given:
            raise ValueError(f"{', '.join(given)} without lr: a schedule needs the rate to change")

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer that the class makes.

        Raises:
            PinnError: there is no such class, it has no such option, or it refuses a value.
        """
        parameters = list(parameters)
        if self.others is None:
            return self._made(self.class_, parameters, self.options)
        from pinn.plugins.optimizers.several import Several

        matrices = [parameter for parameter in parameters if parameter.ndim == 2]
        rest = [parameter for parameter in parameters if parameter.ndim != 2]
        made = [self._made(self.class_, matrices, self.options)] if matrices else []
        if rest:
            made.append(self._made(self.others, rest, {}))
        return Several(made)

    def learning_rate(self, step: int, steps: int) -> float | None:
        return None if self.lr is None else self.rate(self.lr, step, steps)

    def _made(
        self, path: str, parameters: Sequence[torch.nn.Parameter], options: Mapping[str, Any]
    ) -> torch.optim.Optimizer:
        from pinn.plugins.optimizers.imported import made

        given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        return made(path, parameters, given if self.lr is None else {**given, "lr": self.lr})
