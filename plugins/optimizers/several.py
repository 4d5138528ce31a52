"""Torch optimizers of different parameters as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch


class Several(torch.optim.Optimizer):
    """Steps with each of several optimizers after one evaluation of the loss.

    Its groups and its state are theirs, one after another, so that one state_dict holds all.
    """

    def __init__(self, inner: Sequence[torch.optim.Optimizer]) -> None:
        self.inner = tuple(inner)
        groups = [group for optimizer in inner for group in optimizer.param_groups]
        super().__init__([p for group in groups for p in group["params"]], {})
        self.param_groups = groups
        self._collect()

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        with torch.enable_grad():
            loss = closure()
        for optimizer in self.inner:
            optimizer.step()
        self._collect()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        groups = iter(self.param_groups)
        for optimizer in self.inner:
            own = [next(groups) for _ in optimizer.param_groups]
            parameters = [p for group in own for p in group["params"]]
            state = {p: self.state[p] for p in parameters if p in self.state}
            optimizer.__setstate__({"param_groups": own, "state": defaultdict(dict, state)})

    def _collect(self) -> None:
        for optimizer in self.inner:
            self.state.update(optimizer.state)
