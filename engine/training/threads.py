"""As many threads as there are cores for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pinn.engine.configuration.cores import cores


@contextmanager
def no_more_than_cores(processes: int = 1) -> Iterator[None]:
    """Torch takes a thread for every core of the machine, also where the process may use few of them;
    not so inside, unless OMP_NUM_THREADS says how many it is to be.

    Args:
        processes: that share the cores.
    """
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(min(before, cores() // processes), 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
