"""Where two structures of tensors and plain values differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path


def first_difference(one: Any, other: Any) -> str | None:
    """Where two nested structures differ, bit by bit; None if nowhere."""
    ours, theirs = (dict(_leaves(value)) for value in (one, other))
    if [*ours] != [*theirs]:
        missing = sorted(ours.keys() ^ theirs.keys()) or ["the order"]
        return missing[0]
    return next((path for path, value in ours.items() if not _same(value, theirs[path])), None)


def _leaves(value: Any) -> list[tuple[str, Any]]:
    found, _ = tree_flatten_with_path(value)
    return [(keystr(path), leaf) for path, leaf in found]


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if not isinstance(one, Tensor):
        return bool(one == other) or (one != one and other != other)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return bool(((one == other) | (torch.isnan(one) & torch.isnan(other))).all())
