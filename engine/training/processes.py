"""One run on several processes: each holds everything that moves, and computes its share of the points.

Draws, weights, measurements and steps are the same in all of them, so that no sampler, weighting,
optimizer or analyzer needs to know. What costs time, residuals and their derivatives, is computed of a
share, and put together in the order of the shares: the numbers are those of one process to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from attrs import frozen
from torch import Tensor


@frozen
class Processes:
    """Those of a run, and which of them this one is; tensors are exchanged inside compiled code, too."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return not self.rank

    def share(self, size: int) -> slice:
        """Of so many points those of this process; no process has two more than another."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def own(self, points: Tensor, dim: int = 0) -> Tensor:
        """The share of this process, of a tensor that has the points along `dim`."""
        if self.count == 1:
            return points
        share = self.share(points.shape[dim])
        return points.narrow(dim, share.start, share.stop - share.start)

    def whole(self, own: Tensor, size: int, dim: int = 0) -> Tensor:
        """The shares of all processes, along `dim`, of so many points in all."""
        if self.count == 1:
            return own
        each = math.ceil(size / self.count)
        rows = own.movedim(dim, 0)
        missing = rows.new_zeros(each - len(rows), *rows.shape[1:])
        gathered = torch.ops._c10d_functional.all_gather_into_tensor(
            torch.cat([rows, missing]).contiguous(), self.count, _group()
        )
        padded = _arrived(gathered).split(each)
        shares = [Processes(rank, self.count).share(size) for rank in range(self.count)]
        rows = torch.cat([p[: s.stop - s.start] for p, s in zip(padded, shares, strict=True)])
        return rows.movedim(0, dim).contiguous()

    def total(self, tensors: Sequence[Tensor], behind: Tensor | None = None) -> list[Tensor]:
        """The sums over the processes, the same to the bit in each of them.

        Args:
            behind: what was gathered before: all processes must exchange in one order, also where each
                has compiled its own.
        """
        if self.count == 1:
            return list(tensors)
        parts = [tensor.reshape(-1) for tensor in tensors]
        if behind is not None:
            parts.append(behind.reshape(-1)[:1])
        summed = torch.ops._c10d_functional.all_reduce(torch.cat(parts), "sum", _group())
        split = _arrived(summed).split([len(part) for part in parts])
        return [each.view_as(tensor) for each, tensor in zip(split, tensors, strict=False)]

    def any(self, flag: bool) -> bool:
        """Whether it holds in any of them."""
        if self.count == 1:
            return flag
        answer = torch.tensor(float(flag))
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def told(self, value: Any) -> Any:
        """What the first process says."""
        return self.told_by_all(value)[0] if self.count > 1 else value

    def told_by_all(self, value: Any) -> list[Any]:
        """What each of them says, in their order."""
        if self.count == 1:
            return [value]
        answers: list[Any] = [None] * self.count
        dist.all_gather_object(answers, value)
        return answers


ALONE = Processes()


def _group() -> str:
    return dist.group.WORLD.group_name  # type: ignore[union-attr]


def _arrived(tensor: Tensor) -> Tensor:
    return torch.ops._c10d_functional.wait_tensor(tensor)
