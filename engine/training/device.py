"""The device and number format that a configuration names."""

from __future__ import annotations

import re

import torch

from pinn.core.errors import PinnError


def choose_device(name: str) -> torch.device:
    """ "auto" is the first GPU, or the CPU where there is none.

    Raises:
        PinnError: an unknown device, or CUDA where there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name, re.ASCII):
        raise PinnError(f"[run] device: {name!r} is unknown; expected auto, cpu, cuda or cuda:1")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise PinnError(
                f"[run] device: {name!r} was asked for, but no CUDA device is available; "
                'set device = "cpu" or "auto"'
            )
        if int(number or 0) >= count:
            raise PinnError(
                f"[run] device: there is no {name!r}; CUDA devices are 0 to {count - 1}"
            )
    return torch.device(name)


def number_format(precision: str) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


def device_name(device: torch.device) -> str:
    """For people: which GPU, or how many threads of the CPU."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"CPU ({torch.get_num_threads()} threads)"
    return str(device)
