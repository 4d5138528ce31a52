"""Limits of methods that hold a matrix with the square of the parameters: memory, time, precision."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from pinn.core import PinnError

SLOW = 20_000
"""Parameters from which a factorisation takes minutes on a processor."""
DOUBLE = 8
"""Bytes."""
INSTEAD = (
    "a narrower network, as the parameters grow with the square of its width, or lbfgs, whose memory "
    "and time grow with the parameters"
)


def check_square(name: str, unknowns: int, held: int, device: torch.device) -> None:
    """Whether `held` square matrices of doubles, of so many unknowns, fit into this device's memory.

    Warns where they fit and factorising one takes long: n³ / 3 operations.

    Raises:
        PinnError: they need more memory than the device has, used or not.
    """
    needed, there = held * DOUBLE * unknowns**2, memory(device)
    holds = f"optimizer {name!r} holds {held} matrices of {unknowns:,} x {unknowns:,} numbers"
    if there is not None and needed > there:
        where = "this machine" if device.type == "cpu" else str(device)
        raise PinnError(
            f"{holds}, as many rows as the network has parameters: {needed / 1e9:,.1f} GB, and {where} "
            f"has {there / 1e9:,.1f} GB in all. Choose {INSTEAD}"
        )
    if unknowns > SLOW:
        warnings.warn(
            f"{holds}, and factorises one in {unknowns**3 / 3:.0e} operations; faster is {INSTEAD}",
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


def memory(device: torch.device) -> int | None:
    """All memory of the device in bytes, used or not; None where it cannot be known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type != "cpu" or "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
