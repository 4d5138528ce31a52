"""Limits of methods that hold a matrix with the square of the parameters: time and precision."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

SLOW = 20_000
"""Parameters from which a factorisation takes minutes on a processor."""


def tell_slow(name: str, rows: int) -> None:
    """Warns where factorising a square matrix of so many rows takes long."""
    if rows > SLOW:
        warnings.warn(
            f"optimizer {name!r} factorises a matrix of {rows:,} x {rows:,} numbers in "
            f"{rows**3 / 3:.0e} operations; faster are a narrower network, as the parameters grow with "
            "the square of its width, and lbfgs, whose memory and time grow with the parameters",
            stacklevel=2,
        )


def check_precision(name: str, parameters: Sequence[Tensor]) -> None:
    """Warns where a parameter has less than double precision."""
    if any(parameter.dtype != torch.float64 for parameter in parameters):
        warnings.warn(
            f"optimizer {name!r} is meant for double precision: in single precision its steps are soon "
            'in vain. Set [run] precision = "float64"',
            stacklevel=2,
        )
